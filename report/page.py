"""The page: sections put into the template, its style inlined, everything escaped."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from qkd.marks import marks
from report import words
from report.section import SectionView
from report.speed import MachineView

FOLDER = Path(__file__).resolve().parent


def render(
    sections: Sequence[SectionView], problems: Sequence[str], speed: Sequence[MachineView] = ()
) -> bytes:
    """The whole page as UTF-8: one file that needs no network and no script.

    A lone surrogate, which a damaged record may hold, becomes a question mark.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Markup((FOLDER / "style.css").read_text(encoding="utf-8"))  # noqa: S704 (our own file)
    text = environment.get_template("template.html").render(
        sections=sections, problems=problems, speed=speed, marks=marks(), words=words, style=style
    )
    return text.encode(errors="replace")
