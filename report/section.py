"""One section of the page: a matrix at a scale, as texts, tables and figures for the template."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from benchmarks.matrix import Label
from report import words
from report.commands import shortest_command
from report.content import Content, Group
from report.contrasts import note, sentence
from report.curves import Curves, curves
from report.drawing import Picture
from report.facts import facts
from report.figures import accuracy, forest, pareto
from report.histogram_figure import weight_histograms
from report.histograms import histograms
from report.integers import of_all
from report.length_figure import by_length
from report.lengths import length_table, several_lengths
from report.outcomes import BAD_FILE, Records, reason
from report.paper import Claim, Number
from report.pareto import MEASURES, points
from report.runs import Runs, runs
from report.summary import COMPARED_SCALE, Summary
from report.table import Table
from report.tables import contrast_table, method_table, reference_table, seed_test_table
from report.training_figures import (
    accuracy_curves,
    interval_curves,
    learning_rates,
    loss_curves,
)
from report.words import SCALE_NOTES

MOST_DRAWN = 4


class SettingView(NamedTuple):
    """The comparisons within one setting; None where there is nothing to show. ``problem`` says why
    a figure of ``weights`` could not be made."""

    label: str
    sentences: tuple[str, ...]
    note: str
    contrasts: tuple[Table, ...]
    seed_tests: Table | None
    forest: Picture | None
    methods: Table
    accuracy: Picture | None
    curves: tuple[Picture, ...]
    weights: Picture | None
    problem: str
    undrawn: str


class LengthView(NamedTuple):
    """Settings that differ in the length of training alone: their contrasts beside each other."""

    table: Table
    picture: Picture


class SectionView(NamedTuple):
    """All that a section shows. ``facts`` are terms with their descriptions."""

    anchor: str
    matrix: str
    scale: str
    label: Label
    note: str
    command: str
    is_reference: bool
    facts: tuple[tuple[str, str], ...]
    lengths: tuple[LengthView, ...]
    settings: tuple[SettingView, ...]
    pareto: tuple[Picture, ...]
    runs: Runs
    reference_sentence: str
    reference: Table | None

    @property
    def tables(self) -> Iterator[Table]:
        """Every table that can be taken away."""
        yield from (one.table for one in self.lengths)
        for setting in self.settings:
            yield from (*setting.contrasts, setting.methods)
            yield from filter(None, (setting.seed_tests,))
        yield from (self.runs.table, self.runs.base)
        yield from filter(None, (self.reference,))

    @property
    def pictures(self) -> Iterator[Picture]:
        """Every figure."""
        yield from (one.picture for one in self.lengths)
        for setting in self.settings:
            drawn = setting.forest, setting.accuracy, *setting.curves, setting.weights
            yield from filter(None, drawn)
        yield from self.pareto


def section_view(
    content: Content, paper: dict[Claim, Number], page: Path, taken: set[str], drawn: int = 0
) -> SectionView:
    """The section as the template needs it; ``page`` is the folder that the page lies in, ``taken``
    the anchors that it has so far, ``drawn`` the settings: MOST_DRAWN of a page have figures."""
    run, against = content.readings.run, content.against
    known = facts(content.readings)
    anchor = content.anchor
    return SectionView(
        anchor=anchor,
        matrix=run.matrix.name,
        scale=run.matrix.scale,
        label=run.matrix.label,
        note=SCALE_NOTES[run.matrix.scale],
        command=shortest_command(*run.key),
        is_reference=content.is_reference,
        facts=(
            ("Planned cost", run.matrix.label.cost),
            ("Stages", known.stages),
            ("Integer proof", of_all(content.readings.cells)),
            ("Software", known.software),
        ),
        lengths=tuple(_length_views(content)),
        settings=tuple(
            _setting_view(
                group, content, paper, f"{anchor}-{place}", is_drawn=drawn + place < MOST_DRAWN
            )
            for place, group in enumerate(content.groups)
        ),
        pareto=tuple(_pareto_figures(content.summaries, f"{anchor}-pareto")),
        runs=runs(content.readings, page, taken),
        reference_sentence=against.sentence if against else "",
        reference=reference_table(against.rows, f"{anchor}-reference") if against else None,
    )


def _length_views(content: Content) -> Iterator[LengthView]:
    several = several_lengths(content.readings.run.matrix, content.groups)
    for place, found in enumerate(several):
        name = f"{content.anchor}-lengths-{place}"
        drawn = by_length(found, f"{name}-figure")
        picture = Picture(f"{name}-figure", words.BY_LENGTH_FIGURE, drawn)
        yield LengthView(length_table(found, name), picture)


def _setting_view(
    group: Group, content: Content, paper: dict[Claim, Number], name: str, *, is_drawn: bool
) -> SettingView:
    scale, records = content.readings.run.matrix.scale, content.readings.run.records
    fixed = [one for one in group.compared if one.contrast.fixed]
    exploratory = [one for one in group.compared if not one.contrast.fixed]
    shown = group.methods if is_drawn else ()
    measured = [found for found in (curves(one, records) for one in shown) if found]
    weights, problem = _weights(shown, records, f"{name}-weights")
    differences = [*fixed, *exploratory] if is_drawn else []
    tables = [
        contrast_table(some, f"{name}-{kind}", is_fixed=kind == "fixed")
        for some, kind in ((fixed, "fixed"), (exploratory, "exploratory"))
        if some
    ]
    return SettingView(
        label=group.setting.label,
        sentences=tuple(sentence(one) for one in fixed),
        note=note(group.compared),
        contrasts=tuple(tables),
        seed_tests=seed_test_table(fixed, f"{name}-mcnemar"),
        forest=_picture(f"{name}-forest", words.FOREST, forest(differences, f"{name}-forest")),
        methods=method_table(
            group.methods, scale, paper, f"{name}-methods", caption=_method_caption(group, scale)
        ),
        accuracy=_picture(f"{name}-accuracy", words.ACCURACY, accuracy(shown, f"{name}-accuracy")),
        curves=tuple(_curve_figures(measured, name)),
        weights=weights,
        problem=problem,
        undrawn="" if is_drawn else words.UNDRAWN.format(MOST_DRAWN),
    )


def _method_caption(group: Group, scale: str) -> str:
    has_sizes = any(one.packed_bytes is not None for one in group.methods)
    verdicts = words.VERDICTS if scale == COMPARED_SCALE else ""
    texts = f"{group.setting.label}.", words.COST, words.SIZES if has_sizes else "", verdicts
    return " ".join(filter(None, texts))


def _curve_figures(measured: list[Curves], name: str) -> Iterator[Picture]:
    if all(len(one.learning_rate) < 2 for one in measured):
        return  # looked at once, at the end: dots, and no course
    drawn = (
        ("curves", words.CURVES, accuracy_curves),
        ("losses", words.LOSSES, loss_curves),
        ("rates", words.RATES, learning_rates),
    )
    for kind, caption, draw in drawn:
        picture = _picture(f"{name}-{kind}", caption, draw(measured, f"{name}-{kind}"))
        if picture is not None:
            yield picture
    with_intervals = [one for one in measured if one.intervals]
    if with_intervals:
        method = next((one for one in with_intervals if one.name == "qkd"), with_intervals[0])
        own = f"{name}-intervals"
        caption = words.INTERVAL_CURVES.format(method.name)
        yield from filter(None, (_picture(own, caption, interval_curves(method, own)),))


def _weights(shown: Sequence[Summary], records: Records, name: str) -> tuple[Picture | None, str]:
    """The histograms of QKD's first seed that is done, or of the first quantized method's; and why
    there are none, where they are damaged."""
    done = [
        next(one for one in summary.cells if one.top1 is not None)
        for summary in shown
        if summary.top1s and summary.cells[0].cell.history.student.quantization is not None
    ]
    if not done:
        return None, ""
    chosen = next((one for one in done if one.cell.method.name == "qkd"), done[0])
    run = chosen.cell.method.name, chosen.cell.seed
    try:
        found = histograms(chosen, records)
        drawn = weight_histograms(found, name) if found else None
    except BAD_FILE as error:
        return None, words.NO_WEIGHTS.format(*run, reason(error))
    return _picture(name, words.WEIGHTS.format(*run), drawn), ""


def _pareto_figures(found: Sequence[Summary], name: str) -> Iterator[Picture]:
    """One figure for each data set and measure of cost that has several costs to show."""
    groups: dict[str, list[Summary]] = {}
    for summary in found:
        groups.setdefault(summary.cells[0].cell.pair.data.name, []).append(summary)
    for place, (data, group) in enumerate(groups.items()):
        for number, measure in enumerate(MEASURES):
            own = f"{name}-{place}-{number}"
            caption = f"{data}: test top-1 against {measure.name}."
            picture = _picture(own, caption, pareto(points(group, measure), measure, own))
            if picture is not None:
                yield picture


def _picture(name: str, caption: str, drawn: Markup | None) -> Picture | None:
    return Picture(name, caption, drawn) if drawn is not None else None
