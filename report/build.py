"""The whole report in five steps: reading, frames, analysis, figures, and the page that shows them.

Frames and analysis of a matrix are one call, `section`; its figures are drawn with its view.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.elsewhere.figures import Elsewhere
from benchmarks.repeatability.figures import FOLDER as REPEATABILITY
from benchmarks.repeatability.figures import Repeatability
from benchmarks.speed.figures import FOLDER as SPEED
from benchmarks.speed.figures import MachineSpeed
from benchmarks.torture.figures import FOLDER as TORTURE
from benchmarks.torture.figures import Torture
from qkd.export.told import FOLDER as EXPORT
from qkd.records.files import write_atomically
from report.analysis.sections import Section, section
from report.page.elsewhere import elsewhere_view
from report.page.files import ARCHIVE, FRAMES_FILE, archive, cells_csv, frames, summary_csv
from report.page.honesty import honesty
from report.page.overview import overview
from report.page.render import Page, render
from report.page.repeatability import repeatability_view
from report.page.section import SectionView, section_view
from report.page.speed import speed_view
from report.reading.exports import exported
from report.reading.machines import measured
from report.reading.paper import About, ClaimedNumber, PaperError, paper_file, read_paper
from report.reading.readings import Readings, read
from report.reading.records import BAD_FILE, Status, reason
from report.reading.sources import REFERENCE, Run, Shown, find


class Report(NamedTuple):
    """What is reported: the sections, the claimed numbers, and in words what cannot be read."""

    sections: tuple[Section, ...]
    paper: dict[About, ClaimedNumber]
    problems: tuple[str, ...]


def build(
    results: Path,
    output: Path,
    reference: Path = REFERENCE,
    matrix_file: Path | None = None,
) -> Report:
    """Writes the page to ``output``, and cells.csv, summary.csv, the frames and all that can be
    taken away beside it, each atomically.

    ``reference`` is the folder of the committed runs; beside it lie the committed measurements.
    Raises OSError where they cannot be written. What cannot be read is shown as such.
    """
    report = collect(results, reference, matrix_file)
    problems = list(report.problems)
    committed = reference.parent
    speeds = measured(MachineSpeed, SPEED, results, problems, committed)
    repeated = measured(Repeatability, REPEATABILITY, results, problems, committed)
    exports = exported(results, problems, committed)
    tortured = measured(Torture, TORTURE, results, problems, committed)
    latencies = measured(Elsewhere, EXPORT, results, problems, committed)
    views, unusable = _views(report, output.parent.resolve())
    page = Page(
        overview=overview([view.section for view in views], report.paper),
        sections=views,
        speed=[speed_view(one, f"speed-{n}") for n, one in enumerate(speeds)],
        repeatability=[
            repeatability_view(one, f"repeatability-{n}") for n, one in enumerate(repeated)
        ],
        elsewhere=elsewhere_view(exports, latencies),
        honesty=honesty(report.sections, tortured),
        problems=[*report.problems, *unusable, *problems[len(report.problems) :]],
    )
    shown = render(page)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output.with_name("cells.csv"), cells_csv(report.sections))
    write_atomically(output.with_name("summary.csv"), summary_csv(report.sections))
    write_atomically(output.with_name(ARCHIVE), archive(shown.files.values(), shown.pictures))
    write_atomically(output.with_name(FRAMES_FILE), frames(report.sections))
    write_atomically(output, shown.html)
    return report._replace(problems=(*report.problems, *unusable))


def _views(report: Report, folder: Path) -> tuple[list[SectionView], list[str]]:
    """The sections for the page in ``folder``; in words those that turned out to be unusable."""
    taken: set[str] = set()
    views: list[SectionView] = []
    problems = []
    for one in report.sections:
        drawn = sum(len(view.settings) for view in views)
        try:
            views.append(section_view(one, folder, taken, drawn))
        except BAD_FILE as error:
            problems.append(_unusable(one.readings.run, error))
    return views, problems


def collect(results: Path, reference: Path = REFERENCE, matrix_file: Path | None = None) -> Report:
    """Reads every record once, and works out all numbers. ``matrix_file`` is the user's that the
    command names."""
    found = find(results, reference, matrix_file)
    problems = list(found.problems)
    try:
        paper = read_paper(paper_file(results))
    except PaperError as error:
        paper = {}
        problems.append(f"No claimed number is shown: {error}")
    sections = [_section(shown, paper, problems) for shown in found.sections]
    problems += [line for one in sections if one for line in _changed(one)]
    return Report(tuple(one for one in sections if one), paper, tuple(problems))


def _section(
    shown: Shown, paper: dict[About, ClaimedNumber], problems: list[str]
) -> Section | None:
    """None, and a problem, where the records of a run cannot be put together."""
    reference = _readings(shown.reference, problems, "Of the committed reference: ")
    readings = _readings(shown.run, problems)
    try:
        if readings:
            return section(
                readings,
                paper,
                reference,
                is_reference=shown.is_reference,
                committed=shown.committed,
            )
    except BAD_FILE as error:
        problems.append(_unusable(shown.run, error))
    return None


def _readings(run: Run | None, problems: list[str], whose: str = "") -> Readings | None:
    try:
        return read(run) if run else None
    except BAD_FILE as error:
        problems.append(f"{whose}{_unusable(run, error)}" if run else "")
    return None


def _changed(section: Section) -> Iterator[str]:
    """That stages are not of the code that there is now, a line for each file."""
    where = " at scale ".join(section.readings.run.key)
    stages = section.readings.stages.values()
    counts = Counter(one.message for one in stages if one.status == Status.CHANGED)
    for message, count in counts.items():
        yield (
            f"{where}: {message}, of {count} stage{'s' if count > 1 else ''}: they count as not "
            "done. make status MATRIX=... says what can be done"
        )


def _unusable(run: Run, error: Exception) -> str:
    return f"{' at scale '.join(run.key)} cannot be reported: {reason(error)}"
