"""One section of the page: a matrix at a scale, as texts, tables and figures for the template."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from report.analysis.arithmetic import of_one_arithmetic
from report.analysis.contrasts import FAMILIES, contrast_frames
from report.analysis.lengths import length_frames, several_lengths
from report.analysis.methods import MethodRow
from report.analysis.pareto import MEASURES, points
from report.analysis.sections import Group, Section
from report.figures.drawing import Picture
from report.figures.lengths import by_length
from report.figures.results import accuracy, forest, pareto
from report.figures.training import accuracy_curves, interval_curves, learning_rates, loss_curves
from report.figures.weights import weight_histograms
from report.frames.cells import CellRow
from report.frames.curves import borders, curves
from report.frames.layers import bins, learned
from report.frames.tidy import rows
from report.page import words
from report.page.commands import shortest_command
from report.page.drawers import Runs, runs
from report.page.facts import facts
from report.page.integers import of_all
from report.page.sentences import note, sentence
from report.page.table import Table
from report.page.tables import (
    contrast_table,
    length_table,
    method_table,
    reference_table,
    seed_test_table,
)

MOST_DRAWN = 4


class SettingView(NamedTuple):
    """The comparisons within one setting; None where there is nothing to show. ``problem`` says why
    a figure of ``weights`` could not be made."""

    label: str
    sentences: tuple[str, ...]
    note: str
    standing: str
    contrasts: tuple[Table, ...]
    seed_tests: Table | None
    forest: Picture | None
    methods: Table
    accuracy: Picture | None
    curves: tuple[Picture, ...]
    weights: Picture | None
    problem: str
    undrawn: str
    arithmetic: str


class LengthView(NamedTuple):
    """Settings that differ in the length of training alone: their contrasts beside each other."""

    table: Table
    picture: Picture | None


class SectionView(NamedTuple):
    """What the template shows of a section. ``facts`` are terms with their descriptions."""

    section: Section
    note: str
    command: str
    facts: tuple[tuple[str, str], ...]
    lengths: tuple[LengthView, ...]
    settings: tuple[SettingView, ...]
    pareto: tuple[Picture, ...]
    runs: Runs
    reference_sentence: str
    reference: Table | None


def section_view(section: Section, page: Path, taken: set[str], drawn: int = 0) -> SectionView:
    """The section as the template needs it; ``page`` is the folder that the page lies in, ``taken``
    the anchors that it has so far, ``drawn`` the settings: MOST_DRAWN of a page have figures."""
    run, against, anchor = section.readings.run, section.against, section.anchor
    known = facts(section)
    settings = [
        _setting_view(group, f"{anchor}-{place}", is_drawn=drawn + place < MOST_DRAWN)
        for place, group in enumerate(section.groups)
    ]
    return SectionView(
        section=section,
        note=words.SCALE_NOTES[section.scale],
        command=shortest_command(run),
        facts=(
            ("Planned cost", run.matrix.label.cost),
            ("Stages", known.stages),
            ("Integer proof", of_all(section.cells)),
            ("Software", known.software),
        ),
        lengths=tuple(_length_views(section)),
        settings=tuple(settings),
        pareto=tuple(_pareto_figures(section)),
        runs=runs(section, page, taken),
        reference_sentence=against.sentence if against else "",
        reference=reference_table(against.rows, f"{anchor}-reference") if against else None,
    )


def _length_views(section: Section) -> Iterator[LengthView]:
    several = several_lengths(section.readings.run.matrix, section.groups)
    for place, found in enumerate(several):
        name = f"{section.anchor}-lengths-{place}"
        own = f"{name}-figure"
        drawn = by_length(*length_frames(found), own)
        picture = _picture(own, words.BY_LENGTH_FIGURE, drawn)
        yield LengthView(length_table(found, name), picture)


def _setting_view(group: Group, name: str, *, is_drawn: bool) -> SettingView:
    fixed = [one for one in group.compared if one.contrast.fixed]
    kinds = [
        *((family, [one for one in fixed if one.contrast.family == family]) for family in FAMILIES),
        ("exploratory", [one for one in group.compared if not one.contrast.fixed]),
    ]
    drawn = _drawn(group, name) if is_drawn else {}
    weights, problem = _weights(group, f"{name}-weights") if is_drawn else (None, "")
    return SettingView(
        label=group.setting,
        sentences=tuple(map(sentence, fixed)),
        note=note(group),
        standing=words.SEEN if group.was_seen and fixed else "",
        contrasts=tuple(contrast_table(some, f"{name}-{kind}") for kind, some in kinds if some),
        seed_tests=seed_test_table(fixed, f"{name}-mcnemar"),
        forest=drawn.pop("forest", None),
        methods=method_table(rows(group.methods, MethodRow), f"{name}-methods"),
        accuracy=drawn.pop("accuracy", None),
        curves=tuple(drawn.values()),
        weights=weights,
        problem=problem,
        undrawn="" if is_drawn else words.UNDRAWN.format(MOST_DRAWN),
        arithmetic=_arithmetic(group),
    )


def _arithmetic(group: Group) -> str:
    """That cells which are compared were rounded differently; empty where all were alike."""
    trained = group.cells[group.cells["top1"].notna() & (group.cells["steps"] > 0)]
    counts = trained["arithmetic"].value_counts(sort=False)
    if len(counts) < 2:
        return ""
    kinds = "; ".join(f"{count} cells: {text}" for text, count in counts.items())
    return words.ARITHMETIC.format(kinds)


def _drawn(group: Group, name: str) -> dict[str, Picture]:
    """The figures of a setting by their kinds, in their order; only those with something to show.

    What was looked at once, at its end, has dots and no course: it has no curves.
    """
    compared = sorted(group.compared, key=lambda one: not one.contrast.fixed)
    done = of_one_arithmetic(group.cells[group.cells["top1"].notna()])
    found = curves(group.cells)
    ends = borders(group.cells)
    counts = found[found["series"] == "learning_rate"].groupby("method", sort=False)["step"].count()
    if (counts < 2).all():
        found = found.iloc[:0]
    learning = found[found["series"].str.startswith("interval ")]["method"].unique().tolist()
    method = "qkd" if "qkd" in learning else next(iter(learning), "")
    of_one = found[found["method"] == method], ends[ends["method"] == method]

    def own(kind: str) -> str:
        return f"{name}-{kind}"

    contrasts = contrast_frames((0, one) for one in compared)
    every = (
        ("forest", words.FOREST, forest(*contrasts, own("forest"))),
        ("accuracy", words.ACCURACY, accuracy(done, group.methods, own("accuracy"))),
        ("curves", words.CURVES, accuracy_curves(found, ends, own("curves"))),
        ("losses", words.LOSSES, loss_curves(found, ends, own("losses"))),
        ("rates", words.RATES, learning_rates(found, own("rates"))),
        (
            "intervals",
            words.INTERVAL_CURVES.format(method),
            interval_curves(*of_one, own("intervals")),
        ),
    )
    return {kind: Picture(own(kind), text, drawn) for kind, text, drawn in every if drawn}


def _weights(group: Group, name: str) -> tuple[Picture | None, str]:
    """The histograms of QKD's first seed that is done, or of the first quantized method's; and why
    there are none, where they are damaged."""
    quantized = group.cells[group.cells["top1"].notna() & (group.cells["bits"] != "fp")]
    first = rows(quantized.drop_duplicates("method"), CellRow)
    if not first:
        return None, ""
    row = next((row for row in first if row.method == "qkd"), first[0])
    found, why = row.records.histograms, row.records.no_histograms
    if why:
        return None, words.NO_WEIGHTS.format(row.method, row.seed, why)
    drawn = weight_histograms(bins(found), learned(found), name) if found else None
    return _picture(name, words.WEIGHTS.format(row.method, row.seed), drawn), ""


def _pareto_figures(section: Section) -> Iterator[Picture]:
    """One figure for each data set and measure of cost that has several costs to show."""
    for place, (data, methods) in enumerate(section.methods.groupby("dataset", sort=False)):
        for number, measure in enumerate(MEASURES):
            own = f"{section.anchor}-pareto-{place}-{number}"
            caption = f"{data}: test top-1 against {measure.name}."
            picture = _picture(own, caption, pareto(points(methods, measure), measure, own))
            if picture is not None:
                yield picture


def _picture(name: str, caption: str, drawn: Markup | None) -> Picture | None:
    return Picture(name, caption, drawn) if drawn is not None else None
