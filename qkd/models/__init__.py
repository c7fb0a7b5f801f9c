"""Networks. A factory returns a float ``torch.nn.Module``; `quantize` quantizes it."""
