"""What can be said of a quantized cell's bits: its audit, and the proof that it is integers."""

import math

import pandas as pd

from qkd.records.schema import Result
from report.analysis.methods import MethodRow
from report.frames.cells import PROVEN, CellRow
from report.frames.layers import LayerRow, layers_of
from report.texts import MINUS, NO_BREAK, fixed


def label(row: CellRow | MethodRow) -> str:
    """``W2A2``, or ``W2A2, 61 % of MACs`` where something of it stays in float."""
    return f"{row.bits}, {_percent(row.at_bits, 0)} of MACs" if _has_float(row) else row.bits


def in_short(row: CellRow) -> str:
    """``levels ok, clipped at most 3.1 %, integer agreement 100.00 %``; empty where there is
    nothing to audit. The share is the largest that a layer's weights or inputs are clipped by."""
    result = row.records.own.result
    if row.bits == "fp" or result is None:
        return ""
    # The levels are ok: a stage with more than declared fails, and such a record is unreadable.
    clipped = [one.clipped for one in layers_of(row)]
    audit = f"levels ok, clipped at most {_percent(max(clipped), 1)}, " if clipped else ""
    return f"{audit}{_proof(result)}{_beside(row)}"


def _beside(row: CellRow) -> str:
    """How many of its products are no integers, in short."""
    return f", {_percent(row.in_float, 1)} of MACs in float" if _has_float(row) else ""


def _stays(row: CellRow) -> str:
    return f" {_percent(row.in_float, 1)} of its MACs stay in float." if _has_float(row) else ""


def _has_float(row: CellRow | MethodRow) -> bool:
    return row.in_float is not None and row.in_float > 0


def in_a_word(row: CellRow) -> str:
    """``100.00 %``, the agreement of the proof, or what is the matter with it; empty where none is
    needed."""
    result = row.records.own.result
    if row.bits == "fp" or result is None:
        return ""
    return _proof(result).replace("proof failed", "failed").replace("integer agreement ", "")


def _proof(result: Result) -> str:
    proof = result.integer
    if proof is None:
        return "no proof" if result.integer_refused else "no proof recorded"
    agreement = f"integer agreement {whole_percent(proof.agreement)}"
    return agreement if proof.agreement >= PROVEN else f"proof failed, {agreement}"


def in_full(row: CellRow) -> str:
    """The proof as a sentence, or why there is none; empty where nothing is recorded."""
    result = row.records.own.result
    proof = result.integer if result else None
    if proof is None:
        refused = result.integer_refused if result else ""
        return f"It could not be run as integers: {refused}" if refused else ""
    return (
        f"Run as integers, {whole_percent(proof.agreement)} of {proof.images} test images get the "
        "class that the fake-quantized network in float64 gives them "
        f"({whole_percent(proof.agreement_float32)} that of float32); top-1 "
        f"{_percent(proof.top1)}, in float64 {_percent(proof.top1_reference)}."
        f"{_stays(row)}"
    )


def _percent(value: float | None, digits: int = 2) -> str:
    return f"{fixed(value, digits)}{NO_BREAK}%"


def whole_percent(share: float) -> str:
    """Rounded down, so that no agreement looks higher than it is."""
    return _percent(math.floor(share * 1e4 + 1e-6) / 1e2)


def of_all(cells: pd.DataFrame) -> str:
    """How many of the quantized cells that are done have a proof that holds."""
    done = cells[cells["top1"].notna() & (cells["bits"] != "fp")]
    if done.empty:
        return "no quantized cell is done"
    some = int((done["in_float"] > 0).sum())
    beside = f"; {some} of them have products that stay in float" if some else ""
    return (
        f"{done['is_proven'].sum()} of {len(done)} quantized cells that are done run as "
        f"integers{beside}"
    )


def learned_text(layer: LayerRow) -> str:
    """Its learned scalars by name."""
    return ", ".join(
        f"{name} " + f"{value:.4g}".replace("-", MINUS) for name, value in layer.learned.items()
    )
