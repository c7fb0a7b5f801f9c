"""Networks. A factory returns a float ``torch.nn.Module``; `qkd.quantize` quantizes it."""
