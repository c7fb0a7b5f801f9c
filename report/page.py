"""The page: overview, sections and honesty put into the template, style and script inlined,
everything escaped."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from report import takeaway, words
from report.drawing import Picture
from report.honesty import Honesty
from report.overview import Overview
from report.section import SectionView
from report.speed import MachineView
from report.table import Table

FOLDER = Path(__file__).resolve().parent


class Page(NamedTuple):
    """All that the page shows."""

    overview: Overview
    sections: Sequence[SectionView]
    speed: Sequence[MachineView]
    honesty: Honesty
    problems: Sequence[str]

    def files(self) -> dict[str, dict[str, str]]:
        """The files of every table, by the table's name."""
        return {table.name: takeaway.files(table) for table in self.tables}

    @property
    def tables(self) -> Iterator[Table]:
        """Every table that can be taken away, in the order of the page."""
        opening = self.overview
        yield from filter(None, (opening.table, opening.claimed, opening.runs))
        for section in self.sections:
            yield from section.tables
        for machine in self.speed:
            yield from machine.tables
        kept = self.honesty
        yield from filter(None, (kept.marks, kept.deviations, kept.not_done, kept.failures))

    @property
    def pictures(self) -> Iterator[Picture]:
        """Every figure of the sections."""
        for section in self.sections:
            yield from section.pictures


def render(page: Page, files: dict[str, dict[str, str]]) -> bytes:
    """The whole page as UTF-8: one file that needs no network, and can be read without its script.
    ``files`` are those of its tables, which it holds as links.

    Characters that would not be seen, or would turn the text around, become replacement characters;
    a lone surrogate, which a damaged record may hold, too.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["links"] = lambda table: takeaway.links(files[table.name])
    text = environment.get_template("template.html").render(page=page, words=words, own=_own)
    return text.encode(errors="replace")


def _own(name: str) -> Markup:
    """One of our own files, as it is."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))  # noqa: S704


KEPT = "\n\t\N{NO-BREAK SPACE}"


def _visible(value: object) -> object:
    """The text with what cannot be seen replaced; markup of our own is as it is."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "".join(
        one if one.isprintable() or one in KEPT else "\N{REPLACEMENT CHARACTER}" for one in value
    )
