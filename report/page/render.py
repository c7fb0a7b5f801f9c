"""The page: overview, sections and honesty put into the template, style and script inlined,
everything escaped."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from report.figures.drawing import PALETTE, Picture
from report.page import takeaway, words
from report.page.elsewhere import ElsewhereView
from report.page.honesty import Honesty
from report.page.integers import learned_text
from report.page.overview import Overview
from report.page.repeatability import RepeatabilityView
from report.page.section import SectionView
from report.page.speed import MachineView
from report.page.table import Table
from report.texts import NONE, fixed, visible

FOLDER = Path(__file__).resolve().parent / "templates"


class Page(NamedTuple):
    """All that the page shows."""

    overview: Overview
    sections: Sequence[SectionView]
    speed: Sequence[MachineView]
    repeatability: Sequence[RepeatabilityView]
    elsewhere: ElsewhereView | None
    honesty: Honesty
    problems: Sequence[str]


class Rendered(NamedTuple):
    """The page as UTF-8, and what was shown on it: the files of each table by its name, and every
    figure of the sections."""

    html: bytes
    files: dict[str, dict[str, str]]
    pictures: list[Picture]


def render(page: Page) -> Rendered:
    """The whole page: one file that needs no network, and can be read without its script. The files
    of its tables are in it as links.

    Characters that would not be seen, or would turn the text around, become replacement characters;
    a lone surrogate, which a damaged record may hold, too.
    """
    files: dict[str, dict[str, str]] = {}
    pictures: list[Picture] = []

    def links(table: Table) -> list[tuple[str, str, Markup]]:
        files[table.name] = takeaway.files(table)
        return takeaway.links(files[table.name])

    def svg(picture: Picture) -> Markup:
        pictures.append(picture)
        return picture.svg

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {"links": links, "svg": svg, "fixed": fixed, "learned": learned_text}
    template = environment.get_template("template.html")
    text = template.render(page=page, words=words, own=_own, palette=_text(PALETTE), dash=NONE)
    return Rendered(text.encode(errors="replace"), files, pictures)


def _own(name: str) -> Markup:
    """One of our own files, as it is."""
    return _text(FOLDER / name)


def _text(path: Path) -> Markup:
    return Markup(path.read_text(encoding="utf-8"))  # noqa: S704


def _visible(value: object) -> object:
    """The text with what cannot be seen replaced; markup of our own is as it is."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)
