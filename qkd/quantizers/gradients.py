"""Whether a quantizer of a user's own lets each of its levels learn.

Rounding has no derivative, so that a quantizer says itself where a gradient passes. One that rounds
and then clips by torch's clamp gives none to what it rounds to its outermost levels: since torch
2.14 clamp's derivative at a bound that is a number is 0 (1 before). At 2 bits that leaves the zeros
alone. One that clips first and then rounds loses only what lies beyond the bounds.
"""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from qkd.imports import names_user_code
from qkd.quantizers.codes import Codes

POINTS = 64  # values that each level is tried with
ROWS = 16
MEND = "clip before rounding, or pass the gradient straight through within the bounds"


def say_what_learns_not(factory: Callable[[int, bool], nn.Module], bits: int, signed: bool) -> None:
    """Prints which levels of a user's quantizer receive no gradient, once for each process.

    Ours and the rivals' are tested, and not looked at again.
    """
    if names_user_code(getattr(factory, "__module__", "qkd")):
        _say(factory, bits, signed)


@cache
def _say(factory: Callable[[int, bool], nn.Module], bits: int, signed: bool) -> None:
    name = f"{getattr(factory, '__name__', factory)} ({bits} bits, {'' if signed else 'un'}signed)"
    try:
        shares = gradient_shares(factory(bits, signed))
    except Exception as error:  # it is anybody's, and what it cannot do is found where it is used
        told = f"could not be tried: {type(error).__name__}: {error}"
    else:
        told = _in_words(shares)
    if told:
        print(f"the quantizer {name} {told}", file=sys.stderr, flush=True)


def _in_words(shares: dict[int, float]) -> str:
    """Which levels receive none, and what mends it; empty where all do."""
    silent = [code for code, share in shares.items() if share == 0]
    if not silent:
        return ""
    ends = [code for code in silent if code in (min(shares), max(shares))]
    which = "its outermost levels" if ends else "levels within"
    listed = ", ".join(f"{code:+d}" for code in (ends or silent)[:4])
    return (
        f"gives no gradient to {which}: of the values that it rounds to code {listed} none learns "
        f"({len(silent)} of {len(shares)} levels). Mend it: {MEND}"
    )


def gradient_shares(quantizer: nn.Module) -> dict[int, float]:
    """For each code, which share of the values that it stands for receives a gradient.

    The values are evenly spaced; those beyond the outermost levels, which every quantizer clips,
    do not count. The quantizer gets an interval by its own ``initialise``.

    Args:
        quantizer: of ``bits`` and ``signed``, as `qkd.quantizers.quantizer.Quantizer`.
    """
    own = cast(Any, quantizer)
    count = POINTS * 2**own.bits
    values = torch.linspace(-1.0 if own.signed else 0.0, 1.0, count).reshape(ROWS, -1)
    with torch.random.fork_rng(devices=[]):  # whatever it draws, training's draws are as before
        own.initialise(values, "minmax")
        codes = cast(Codes, own.codes(values))
        ends = torch.tensor([codes.lowest - 0.5, codes.highest + 0.5]) * codes.scale
        ends = ends if codes.offset is None else ends + codes.offset
        values = torch.linspace(float(ends[0]), float(ends[1]), count).reshape(ROWS, -1)
        codes = cast(Codes, own.codes(values))
        received = _gradient(quantizer, values).ne(0)
    lies_within = (codes.positions > codes.lowest) & (codes.positions < codes.highest)
    return {
        code: float(received[chosen].float().mean())
        for code in range(codes.lowest, codes.highest + 1)
        if bool((chosen := lies_within & (codes.integers == code)).any())
    }


@torch.enable_grad()
def _gradient(quantizer: nn.Module, values: Tensor) -> Tensor:
    """What the values receive where each output receives a gradient of its own."""
    x = values.clone().requires_grad_()
    factors = torch.rand(values.shape, generator=torch.Generator().manual_seed(0)) + 0.5
    output: Tensor = quantizer(x)
    if not output.requires_grad:
        return torch.zeros_like(values)
    (gradient,) = torch.autograd.grad(output, x, factors.to(output.dtype), allow_unused=True)
    return torch.zeros_like(values) if gradient is None else gradient
