"""Builds the report: records -> cells -> summaries -> one page, and files beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qkd.records.files import write_atomically
from report.archive import ARCHIVE, archive
from report.cells import read
from report.comparison import Against, against
from report.content import Content, groups
from report.csvs import SUMMARY_COLUMNS, as_csv, cell_columns, cell_rows, summary_rows
from report.honesty import honesty
from report.outcomes import BAD_FILE, reason
from report.overview import overview
from report.page import Page, render
from report.paper import Claim, Number, PaperError, paper_file, read_paper
from report.section import SectionView, section_view
from report.sources import REFERENCE, Found, Run, Shown, find
from report.speed import speed_views
from report.summary import Summary, summaries


class Report(NamedTuple):
    """What is reported: a content for each section, the claimed numbers, and in words what could
    not be read."""

    contents: tuple[Content, ...]
    paper: dict[Claim, Number]
    problems: tuple[str, ...]


def build(results: Path, output: Path, reference: Path = REFERENCE) -> Report:
    """Writes the page to ``output``, and cells.csv, summary.csv and all that can be taken away
    beside it, each atomically.

    Raises OSError where they cannot be written. What cannot be read is shown as such.
    """
    report = collect(results, reference)
    page, report = _page(report, results, output.parent)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output.with_name("cells.csv"), cells_csv(report))
    write_atomically(output.with_name("summary.csv"), summary_csv(report))
    files = page.files()
    write_atomically(output.with_name(ARCHIVE), archive(files.values(), page.pictures))
    write_atomically(output, render(page, files))
    return report


def _page(report: Report, results: Path, folder: Path) -> tuple[Page, Report]:
    """What the page in ``folder`` shows; the report with what turned out to be unusable."""
    taken: set[str] = set()
    sections: list[SectionView] = []
    shown: list[Content] = []
    for content in report.contents:
        drawn = sum(len(section.settings) for section in sections)
        try:
            sections.append(section_view(content, report.paper, folder, taken, drawn))
            shown.append(content)
        except BAD_FILE as error:
            problem = _unusable(content.readings.run, error)
            report = report._replace(problems=(*report.problems, problem))
    speed, unreadable = speed_views(results)
    page = Page(
        overview=overview(shown, report.paper),
        sections=sections,
        speed=speed,
        honesty=honesty(report.contents),
        problems=(*report.problems, *unreadable),
    )
    return page, report


def collect(results: Path, reference: Path = REFERENCE) -> Report:
    """Reads every record once."""
    found = find(results, reference)
    paper, known = _paper(results, found)
    problems = list(known)
    contents = [_content(shown, problems) for shown in found.sections]
    return Report(tuple(content for content in contents if content), paper, tuple(problems))


def cells_csv(report: Report) -> bytes:
    """One line a cell; nothing in it depends on when or where the cells ran."""
    rows = [
        row
        for content in report.contents
        for row in cell_rows(content.readings.run.key, content.readings.cells)
    ]
    return as_csv(rows, cell_columns(rows))


def summary_csv(report: Report) -> bytes:
    """One line a method."""
    rows = [
        row
        for content in report.contents
        for row in summary_rows(content.readings.run.key, content.summaries, report.paper)
    ]
    return as_csv(rows, SUMMARY_COLUMNS)


def _paper(results: Path, found: Found) -> tuple[dict[Claim, Number], Sequence[str]]:
    """The claimed numbers; none, and a problem to show, where their file is damaged."""
    try:
        return read_paper(paper_file(results)), found.problems
    except PaperError as error:
        return {}, (*found.problems, f"No claimed number is shown: {error}")


def _content(shown: Shown, problems: list[str]) -> Content | None:
    """None, and a problem, where the records of a run cannot be put together."""
    try:
        readings = read(shown.run)
        own = summaries(readings.cells)
    except BAD_FILE as error:
        problems.append(_unusable(shown.run, error))
        return None
    against = _against(shown, own, problems)
    return Content(readings, own, shown.is_reference, against, groups(shown.run.matrix, own))


def _against(shown: Shown, own: list[Summary], problems: list[str]) -> Against | None:
    if shown.reference is None:
        return None
    try:
        return against(own, summaries(read(shown.reference).cells))
    except BAD_FILE as error:
        problems.append(f"Of the committed reference: {_unusable(shown.reference, error)}")
        return None


def _unusable(run: Run, error: Exception) -> str:
    return f"{' at scale '.join(run.key)} cannot be reported: {reason(error)}"
