"""Quantizers, and a float network quantized: what a quantizer is stands in `quantizer`."""

from qkd.quantizers.interval import IntervalQuantizer

__all__ = ["IntervalQuantizer"]
