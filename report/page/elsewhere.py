"""The section on exported students: what each consumer made of each form, and how fast it is."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.elsewhere.figures import Elsewhere, Latency
from qkd.export.told import Form, Told, Trial
from report.page.table import Cell, Column, Table, number, state, table
from report.texts import fixed


class ExportView(NamedTuple):
    """An exported record: its forms with their bytes, and its trials."""

    title: str
    facts: str
    forms: Table
    trials: Table


class LatencyView(NamedTuple):
    """A machine's latencies, and a sentence on whether low bits are faster there."""

    title: str
    facts: str
    sentence: str
    table: Table
    skipped: tuple[str, ...]


class ElsewhereView(NamedTuple):
    """The whole section."""

    exports: tuple[ExportView, ...]
    machines: tuple[LatencyView, ...]


def _small(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


FORMS: tuple[Column[Form], ...] = (
    Column("form", lambda one: one.name),
    number("bytes", lambda one: f"{one.bytes:,}" if one.file else ""),
    Column("file, or why there is none", lambda one: one.file or one.refused),
)
TRIALS: tuple[Column[Trial], ...] = (
    Column("form", lambda one: one.form),
    Column("consumer", lambda one: Cell(one.consumer, aside=one.version)),
    number(
        "same top-1, %",
        lambda one: "" if one.agreement is None else fixed(100 * one.agreement),
    ),
    number("images", lambda one: f"{one.images:,}" if one.images else ""),
    number("largest difference", lambda one: _small(one.largest)),
    number("median difference", lambda one: _small(one.median)),
    Column(
        "integer kernels",
        lambda one: f"{one.integer_layers} of {one.layers} layers" if one.layers else "",
    ),
    Column("verdict", lambda one: state(one.verdict)),
    Column("to set, or to know", lambda one: one.note),
)
LATENCIES: tuple[Column[Latency], ...] = (
    Column("network", lambda one: one.network),
    Column("bits", lambda one: one.bits),
    Column("form", lambda one: one.form),
    Column("consumer", lambda one: Cell(one.consumer, aside=one.version)),
    number("time over float32's", lambda one: Cell(fixed(one.ratio), kind="strong")),
    number("middle half", lambda one: f"{fixed(one.low)} to {fixed(one.high)}"),
    number("float32, ms", lambda one: fixed(one.float_milliseconds)),
    number("bytes", lambda one: f"{one.size:,}"),
    number("float32's bytes", lambda one: f"{one.float_size:,}"),
    Column("integer kernels", lambda one: f"{one.integer_layers} of {one.layers} layers"),
)


def elsewhere_view(exports: Sequence[Told], machines: Sequence[Elsewhere]) -> ElsewhereView | None:
    """The section; None where nothing was exported and nothing measured."""
    if not exports and not machines:
        return None
    return ElsewhereView(
        tuple(_export(told, f"export-{place}") for place, told in enumerate(exports)),
        tuple(_machine(one, f"elsewhere-{place}") for place, one in enumerate(machines)),
    )


def _export(told: Told, name: str) -> ExportView:
    facts = (
        f"{told.images:,} test images; the network itself: top-1 {fixed(told.top1)} %, its own "
        f"rounding (median image, float32 against float64) {_small(told.rounding)}"
    )
    title = told.record
    return ExportView(
        title,
        facts,
        table(f"{name}-forms", f"Forms of {title}", FORMS, told.forms, lead="Forms"),
        table(f"{name}-trials", f"Trials of {title}", TRIALS, told.trials, lead="Trials"),
    )


def _machine(one: Elsewhere, name: str) -> LatencyView:
    machine = one.machine
    facts = (
        f"{machine.cores} cores, {machine.threads} thread, one image at a time; torch "
        f"{machine.torch}, {machine.date}"
    )
    return LatencyView(
        machine.processor,
        facts,
        _sentence(one.latencies),
        table(name, f"Latency on {machine.processor}", LATENCIES, one.latencies, lead="Latency"),
        tuple(f"{what}: {why}" for what, why in one.skipped.items()),
    )


def _sentence(latencies: Sequence[Latency]) -> str:
    """How the fastest low-bit form of each consumer compares with float32 and with 8 bits."""
    sentences = []
    for consumer in dict.fromkeys(one.consumer for one in latencies):
        own = [one for one in latencies if one.consumer == consumer]
        best = {
            bits: min(one.ratio for one in own if one.bits == bits)
            for bits in dict.fromkeys(one.bits for one in own)
        }
        said = ", ".join(f"{fixed(ratio)} at {bits}" for bits, ratio in best.items())
        sentences.append(f"{consumer}: at best {said} of float32's time.")
    return " ".join(sentences)
