"""A quantizer's levels as constants of a graph."""

import torch
from torch import nn

from qkd.quantizers.codes import TOLERANCE, Codes

ROUNDING = 2.0**-22  # of a value that is computed from a level and an offset, and its difference


class NotExportable(ValueError):
    """A network that a form cannot hold, or a library that is not there."""


def evenly_spaced(name: str, quantizer: nn.Module) -> Codes:
    """What the quantizer makes of values around every level, almost half a step on both sides.

    Raises NotExportable where that is not always the level's own code: the quantizer then rounds
    at other places than its levels' (QIL; EWGS and N2UQ once they are trained).
    """
    assert callable(quantizer.codes)  # noqa: S101 (qkd.quantizers.quantize refuses any other)
    codes: Codes = quantizer.codes(torch.zeros(1))
    levels = torch.arange(codes.lowest - 2, codes.highest + 3, dtype=torch.float32)
    wanted = torch.cat([levels, levels])
    offset = 0.0 if codes.offset is None else float(codes.offset / codes.scale)
    near = 0.5 - TOLERANCE - ROUNDING * abs(offset)  # steps from a level
    probe = torch.cat([levels - near, levels + near]) * codes.scale
    if codes.offset is not None:
        probe = probe + codes.offset
    found: Codes = quantizer.codes(probe)
    if not torch.equal(found.integers, wanted.clamp(codes.lowest, codes.highest)):
        raise NotExportable(
            f"the input of {name} goes through {type(quantizer).__name__}, which rounds elsewhere "
            "than at its levels: quantize and dequantize with one scale cannot say so"
        )
    return codes


def container(name: str, codes: Codes) -> torch.dtype:
    """int8 where a code may be negative, else uint8.

    Raises NotExportable where a code is beyond it.
    """
    kind = torch.int8 if codes.lowest < 0 else torch.uint8
    limits = torch.iinfo(kind)
    if not limits.min <= codes.lowest <= codes.highest <= limits.max:
        raise NotExportable(
            f"{name} has codes from {codes.lowest} to {codes.highest}, which no 8-bit integer holds"
        )
    return kind


class Constants(nn.Module):
    """Scale and offset of codes as a graph's constants, float32 scalars (offset None: 0)."""

    scale: torch.Tensor
    offset: torch.Tensor | None

    def __init__(self, codes: Codes) -> None:
        super().__init__()
        offset = None if codes.offset is None else codes.offset.detach().clone().float()
        self.register_buffer("scale", codes.scale.detach().clone().float())
        self.register_buffer("offset", offset)
