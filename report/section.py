"""One section of the page: a matrix at a scale, as texts, tables and figures for the template."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from benchmarks.matrix import Label
from report.cells import Readings
from report.comparison import Against
from report.contrasts import compare_all, note, sentence
from report.curves import Curves, curves
from report.figures import (
    accuracy,
    accuracy_curves,
    forest,
    learning_rates,
    loss_curves,
    pareto,
)
from report.integers import of_all
from report.outcomes import Environment, Outcome, Status
from report.paper import Claim, Number
from report.pareto import MEASURES, points
from report.runs import RunView, hardware, local_changes, run_views, shortest_command
from report.setting import Setting
from report.summary import COMPARED_SCALE, Summary
from report.tables import (
    ContrastRow,
    MethodRow,
    ReferenceRow,
    SeedTestRow,
    contrast_row,
    method_rows,
    reference_row,
    seed_test_rows,
)
from report.words import SCALE_NOTES, duration, listed


class SettingView(NamedTuple):
    """The comparisons within one setting. Figures are None where there is nothing to draw."""

    label: str
    sentences: tuple[str, ...]
    note: str
    fixed: tuple[ContrastRow, ...]
    exploratory: tuple[ContrastRow, ...]
    seed_tests: tuple[SeedTestRow, ...]
    forest: Markup | None
    methods: tuple[MethodRow, ...]
    has_sizes: bool
    accuracy: Markup | None
    curves: tuple[tuple[str, Markup], ...]


class SectionView(NamedTuple):
    """All that a section shows. ``facts`` are terms with their descriptions."""

    anchor: str
    matrix: str
    scale: str
    label: Label
    note: str
    command: str
    is_reference: bool
    has_claims: bool
    facts: tuple[tuple[str, str], ...]
    settings: tuple[SettingView, ...]
    pareto: tuple[tuple[str, Markup], ...]
    runs: tuple[RunView, ...]
    reference_sentence: str
    reference: tuple[ReferenceRow, ...]


class Content(NamedTuple):
    """What is known of a section before it is put into words."""

    readings: Readings
    summaries: list[Summary]
    is_reference: bool
    against: Against | None


def section_view(
    content: Content, paper: dict[Claim, Number], page: Path, taken: set[str]
) -> SectionView:
    """The section as the template needs it; ``page`` is the folder that the page lies in, ``taken``
    the anchors that it has so far."""
    run = content.readings.run
    anchor = "-".join(run.key)
    groups: dict[Setting, list[Summary]] = {}
    for summary in content.summaries:
        groups.setdefault(summary.setting, []).append(summary)
    against = content.against
    return SectionView(
        anchor=anchor,
        matrix=run.matrix.name,
        scale=run.matrix.scale,
        label=run.matrix.label,
        note=SCALE_NOTES[run.matrix.scale],
        command=shortest_command(*run.key),
        is_reference=content.is_reference,
        has_claims=run.matrix.scale == COMPARED_SCALE,
        facts=tuple(_facts(content.readings)),
        settings=tuple(
            _setting_view(group, content, paper, f"{anchor}-{place}")
            for place, group in enumerate(groups.values())
        ),
        pareto=tuple(_pareto_figures(content.summaries, f"{anchor}-pareto")),
        runs=tuple(run_views(content.readings, page, taken)),
        reference_sentence=against.sentence if against else "",
        reference=tuple(reference_row(row) for row in against.rows) if against else (),
    )


def _setting_view(
    group: list[Summary], content: Content, paper: dict[Claim, Number], name: str
) -> SettingView:
    matrix, records = content.readings.run.matrix, content.readings.run.records
    contrasts = matrix.contrasts_among({summary.name for summary in group})
    compared = compare_all(contrasts, group, matrix.scale)
    fixed = [one for one in compared if one.contrast.fixed]
    exploratory = [one for one in compared if not one.contrast.fixed]
    measured = [found for found in (curves(summary, records) for summary in group) if found]
    return SettingView(
        label=group[0].setting.label,
        sentences=tuple(sentence(one) for one in fixed),
        note=note(compared),
        fixed=tuple(contrast_row(one) for one in fixed),
        exploratory=tuple(contrast_row(one) for one in exploratory),
        seed_tests=tuple(row for one in fixed for row in seed_test_rows(one)),
        forest=forest([*fixed, *exploratory], f"{name}-forest"),
        methods=tuple(method_rows(group, matrix.scale, paper)),
        has_sizes=any(summary.packed_bytes is not None for summary in group),
        accuracy=accuracy(group, f"{name}-accuracy"),
        curves=tuple(_curve_figures(measured, name)),
    )


def _curve_figures(measured: list[Curves], name: str) -> list[tuple[str, Markup]]:
    figures = [
        (
            "Held-out top-1 over the student's steps, mean over seeds. Dotted lines: where a "
            "phase ends.",
            accuracy_curves(measured, f"{name}-curves"),
        ),
        (
            "Terms of the losses, mean over seeds. Solid: cross-entropy; dashed: the others.",
            loss_curves(measured, f"{name}-losses"),
        ),
        (
            "Learning rates of the weights; the broad line is the teacher's, while it learns.",
            learning_rates(measured, f"{name}-rates"),
        ),
    ]
    return [(caption, figure) for caption, figure in figures if figure is not None]


def _pareto_figures(found: list[Summary], name: str) -> list[tuple[str, Markup]]:
    """One figure for each data set and measure of cost that has several costs to show."""
    groups: dict[str, list[Summary]] = {}
    for summary in found:
        groups.setdefault(summary.cells[0].cell.pair.data.name, []).append(summary)
    figures = []
    for place, (data, group) in enumerate(groups.items()):
        for number, measure in enumerate(MEASURES):
            drawn = pareto(points(group, measure), measure, f"{name}-{place}-{number}")
            figures.append((f"{data}: test top-1 against {measure.name}.", drawn))
    return [(caption, figure) for caption, figure in figures if figure is not None]


def _facts(readings: Readings) -> list[tuple[str, str]]:
    counts = Counter(reading.status for reading in readings.cells)
    words = [f"{counts[status]} {status.value}" for status in Status if counts[status]]
    records = readings.run.records
    stages = [(p.stage, records.outcome(p.stage.history)) for p in readings.plan.stages.values()]
    done = [(stage, outcome.result) for stage, outcome in stages if outcome.result]
    total = sum(result.seconds for _, result in done)
    before = sum(r.seconds for stage, r in done if stage.history.student.start is None)
    seeds = sorted({r.cell.seed for r in readings.cells if r.cell.method.shares})
    outcomes = [outcome for _, outcome in stages]
    environments = [outcome.environment for outcome in outcomes if outcome.environment]
    return [
        ("Cells", f"{len(readings.cells)}: {', '.join(words)}"),
        ("Stages", f"{len(done)} of {len(stages)} done; equal stages are trained once"),
        ("Seeds", listed([str(seed) for seed in seeds], none="none")),
        ("Integer proof", of_all(readings.cells)),
        ("Compute", f"{duration(total)} of training, {duration(before)} of it pre-training"),
        ("Hardware", _hardware(outcomes)),
        ("Software", listed([f"torch {e.torch}" for e in environments if e.torch])),
        ("Commit", listed([_commit(e) for e in environments if e.commit])),
    ]


def _hardware(outcomes: list[Outcome]) -> str:
    return listed([text for text in map(hardware, outcomes) if text])


def _commit(environment: Environment) -> str:
    changes = local_changes(environment)
    return f"{environment.commit[:12]} ({changes})" if changes else environment.commit[:12]
