"""The section on exported students: what each consumer made of each form, and how fast it is."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.elsewhere.figures import Elsewhere, Latency
from qkd.export.told import Told, Trial
from report.page import words
from report.page.table import Cell, Column, Table, number, state, table
from report.texts import fixed


class TrialGroup(NamedTuple):
    """What a consumer made of a form of several students, with one verdict."""

    form: str
    consumer: str
    version: str
    verdict: str
    trials: tuple[Trial, ...]


class LatencyView(NamedTuple):
    """A machine's latencies, and a sentence on whether low bits are faster there."""

    title: str
    facts: str
    sentence: str
    table: Table
    skipped: tuple[str, ...]


class ElsewhereView(NamedTuple):
    """The whole section; without tables of students where none was exported."""

    students: Table | None
    trials: Table | None
    machines: tuple[LatencyView, ...]


def _small(value: float) -> str:
    return f"{value:.1e}"


def _percent(share: float) -> str:
    return fixed(100 * share)


def _count(amount: float) -> str:
    return f"{amount:,.0f}" if amount else ""


def _extreme(
    which: Callable[[Iterable[float]], float],
    of: TrialGroup,
    name: str,
    words: Callable[[float], str],
) -> str:
    """The lowest or highest of an attribute over the students that have it; empty without any."""
    values = [value for trial in of.trials if (value := getattr(trial, name)) is not None]
    return words(which(values)) if values else ""


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _kernels(trial: Trial) -> str:
    return f"{trial.integer_layers} of {trial.layers}" if trial.layers else ""


TRIALS: tuple[Column[TrialGroup], ...] = (
    Column("form", lambda one: one.form),
    Column("consumer", lambda one: Cell(one.consumer, aside=one.version)),
    Column("verdict", lambda one: state(one.verdict)),
    number("students", lambda one: str(len(one.trials))),
    number("least same top-1, %", lambda one: _extreme(min, one, "agreement", _percent)),
    number("images at least", lambda one: _extreme(min, one, "images", _count)),
    number("largest difference", lambda one: _extreme(max, one, "largest", _small)),
    number("largest median difference", lambda one: _extreme(max, one, "median", _small)),
    Column("layers on integer kernels", lambda one: _distinct(map(_kernels, one.trials))),
    Column("to set, or to know", lambda one: _distinct(trial.note for trial in one.trials)),
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
        _students(exports) if exports else None,
        _trials(exports) if exports else None,
        tuple(_machine(one, f"elsewhere-{place}") for place, one in enumerate(machines)),
    )


def _students(exports: Sequence[Told]) -> Table:
    """A row for each student, a column for each form's bytes."""
    forms = dict.fromkeys(form.name for told in exports for form in told.forms)
    columns: list[Column[Told]] = [
        Column("student", lambda told: told.record),
        number("test images", lambda told: f"{told.images:,}"),
        number("top-1, %", lambda told: fixed(told.top1)),
        number("own rounding", lambda told: _small(told.rounding)),
        *(number(f"{name}, bytes", partial(_bytes, name)) for name in forms),
    ]
    title = "Exported students"
    return table("exports", title, columns, exports, lead="Students", caption=words.ROUNDING)


def _bytes(name: str, told: Told) -> str:
    """A form's bytes, or why there is none."""
    form = next((form for form in told.forms if form.name == name), None)
    if form is None:
        return ""
    return f"{form.bytes:,}" if form.file else form.refused


def _trials(exports: Sequence[Told]) -> Table:
    """A row for each form, consumer and verdict, over the students."""
    groups: dict[tuple[str, str, str, str], list[Trial]] = {}
    for trial in (trial for told in exports for trial in told.trials):
        key = trial.form, trial.consumer, trial.version, trial.verdict
        groups.setdefault(key, []).append(trial)
    rows = [TrialGroup(*key, tuple(trials)) for key, trials in groups.items()]
    return table("trials", "What programs made of them", TRIALS, rows, lead="Programs")


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
