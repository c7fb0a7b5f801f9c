"""What can be said of a quantized cell's bits: its audit, and the proof that it is integers."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from report.cells import Reading
from report.parts import Layer, Quantized, Result
from report.verdicts import PROVEN
from report.words import MINUS, NO_BREAK, fixed


class LayerRow(NamedTuple):
    """What one quantizer of a layer was seen to do."""

    tensor: str
    bits: str
    levels: str
    clipped: str
    learned: str


def is_proven(reading: Reading) -> bool:
    """Whether the cell needs no integer proof, or has one that holds."""
    if reading.cell.bits is None:
        return True
    proof = reading.outcome.result.integer if reading.outcome.result else None
    return proof is not None and proof.agreement >= PROVEN


def in_short(reading: Reading) -> str:
    """``levels ok, clipped at most 3.1 %, integer agreement 100.00 %``; empty where there is
    nothing to audit. The share is the largest that a layer's weights or inputs are clipped by."""
    result = reading.outcome.result
    if reading.cell.bits is None or result is None:
        return ""
    return f"{_audit(result)}{_proof(result)}"


def in_a_word(reading: Reading) -> str:
    """``100.00 %``, the agreement of the proof, or what is the matter with it; empty where none is
    needed."""
    result = reading.outcome.result
    if reading.cell.bits is None or result is None:
        return ""
    return _proof(result).replace("proof failed", "failed").replace("integer agreement ", "")


def _audit(result: Result) -> str:
    """The levels are: a stage with more than declared fails, and such a record is unreadable."""
    if not result.audit:
        return ""
    largest = max(one.clipped for layer in result.audit for one in _quantizers(layer).values())
    return f"levels ok, clipped at most {_percent(largest, 1)}, "


def _proof(result: Result) -> str:
    proof = result.integer
    if proof is None:
        return "no proof" if result.integer_refused else "no proof recorded"
    agreement = f"integer agreement {_whole_percent(proof.agreement)}"
    return agreement if proof.agreement >= PROVEN else f"proof failed, {agreement}"


def in_full(reading: Reading) -> str:
    """The proof as a sentence, or why there is none; empty where nothing is recorded."""
    result = reading.outcome.result
    proof = result.integer if result else None
    if proof is None:
        refused = result.integer_refused if result else ""
        return f"It could not be run as integers: {refused}" if refused else ""
    return (
        f"Run as integers, {_whole_percent(proof.agreement)} of {proof.images} test images get the "
        "class that the fake-quantized network in float64 gives them "
        f"({_whole_percent(proof.agreement_float32)} that of float32); top-1 "
        f"{_percent(proof.top1 / 100)}, in float64 {_percent(proof.top1_reference / 100)}."
    )


def _percent(share: float, digits: int = 2) -> str:
    return f"{fixed(100 * share, digits)}{NO_BREAK}%"


def _whole_percent(share: float) -> str:
    """Rounded down, so that no agreement looks higher than it is."""
    return _percent(math.floor(share * 1e4 + 1e-6) / 1e4)


def of_all(cells: Iterable[Reading]) -> str:
    """How many of the quantized cells that are done have a proof that holds."""
    done = [reading for reading in cells if reading.cell.bits and reading.outcome.result]
    if not done:
        return "no quantized cell is done"
    count = sum(is_proven(reading) for reading in done)
    return f"{count} of {len(done)} quantized cells that are done run as integers"


def layer_rows(reading: Reading) -> list[LayerRow]:
    """A line for the weights and one for the inputs of each layer; none where none is recorded."""
    result = reading.outcome.result
    return [
        _row(f"{layer.layer} {side}", one)
        for layer in (result.audit if result else ())
        for side, one in _quantizers(layer).items()
    ]


def _quantizers(layer: Layer) -> dict[str, Quantized]:
    inputs = {"inputs": layer.activations} if layer.activations else {}
    return {"weights": layer.weights, **inputs}


def _row(tensor: str, one: Quantized) -> LayerRow:
    learned = [
        f"{name} " + f"{value:.4g}".replace("-", MINUS) for name, value in one.learned.items()
    ]
    return LayerRow(
        tensor=tensor,
        bits=f"{one.bits} {'signed' if one.signed else 'unsigned'}",
        levels=f"{one.levels} of {one.levels_declared}",
        clipped=fixed(100 * one.clipped),
        learned=", ".join(learned),
    )
