"""How figures look, and how one becomes an SVG that takes its colours from the page's style."""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Stand-ins: matplotlib wants colours; the SVG gets the page's, which follow light and dark.
INK, MUTED, RULE = "#010101", "#010102", "#010103"
STUDENT, TEACHER, BAND, PAPER = "#010104", "#010105", "#010106", "#010107"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    STUDENT: "var(--student)",
    TEACHER: "var(--teacher)",
    BAND: "var(--band)",
    PAPER: "var(--paper)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "qkd",
    "text.parse_math": False,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.8,
    "lines.solid_capstyle": "butt",  # an interval ends where it ends
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "path.simplify": False,
}


PALETTE = Path(__file__).resolve().parent / "palette.css"


class Picture(NamedTuple):
    """A figure of the page: its name, its caption, and itself as inline SVG."""

    name: str
    caption: str
    svg: Markup


@contextmanager
def style() -> Iterator[None]:
    """Figures made within look as the page does."""
    with mpl.rc_context(_STYLE):
        yield


PANELS = 4  # beside each other
PANELS_WIDTH = 9.5


def small_multiples(count: int, below: str, beside: str) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels on a common vertical axis, with one text for all horizontal axes
    and one for all vertical ones. To be made within `style`."""
    rows = -(-count // PANELS)
    width, height = PANELS_WIDTH, 0.7 + 1.75 * rows
    figure = Figure(figsize=(width, height))
    grid = list(figure.subplots(rows, PANELS, sharey=True, squeeze=False).ravel())
    figure.subplots_adjust(
        left=0.65 / width, right=1 - 0.1 / width, wspace=0.12,
        bottom=0.55 / height, top=1 - 0.45 / height, hspace=0.75,
    )  # fmt: skip
    for axes in grid[count:]:
        axes.set_axis_off()
    figure.text(0.65 / width, 0.08 / height, below, color=MUTED)
    figure.text(0.02 / width, 0.5, beside, color=MUTED, rotation=90, va="center")
    return figure, grid[:count]


def shortened(text: str, most: int = 20) -> str:
    """The text's end, where the whole is too long for the head of a panel."""
    return text if len(text) <= most else f"\N{HORIZONTAL ELLIPSIS}{text[1 - most :]}"


def as_svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as inline SVG: the same bytes from the same figure.

    ``name`` goes before its ids, which must be unique on a page; ``description`` is what a screen
    reader says.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", svg)
    svg = _smaller(svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    width, height = (72 * inches for inches in figure.get_size_inches())
    sizes = f"max-width: {width * 1.5:g}px; min-width: {min(width, 600):g}px"
    head = (
        f'<svg class="figure" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'style="{sizes}; font-family: var(--sans)" '
        f'aria-label="{html.escape(description)}">'
    )
    return Markup(head + svg[svg.index(">") + 1 :])  # noqa: S704 (matplotlib escapes its texts)


def _smaller(svg: str) -> str:
    """The same picture in fewer characters: tenths of a point, nothing that is not seen."""
    svg = re.sub(r"\s*\n\s*", " ", svg)
    svg = re.sub(r' (?:d|x|y|width|height|transform)="[^"]*"', _in_tenths, svg)
    svg = re.sub(r'<path d="[^"]*" style="fill: none"/>', "", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", svg)
    svg = svg.replace("; font-family: var(--sans)", "")  # the whole figure's
    svg = svg.replace("; stroke-dashoffset: 0", "")
    svg = re.sub(r'(?<=style=")[^"]*', lambda found: re.sub(r"(?<=[:;]) ", "", found[0]), svg)
    svg = re.sub(r'(?<= d=")[^"]*', lambda found: re.sub(r" ?([MLCQz]) ?", r"\1", found[0]), svg)
    svg = re.sub(r'(?<= d=")[^"]*', _along_the_axes, svg)
    return _ungrouped(re.sub(r">\s+<", "><", svg))


def _ungrouped(svg: str) -> str:
    """Without the groups that nothing but their place in the file is said of."""
    parts: list[str] = []
    kept: list[bool] = []
    for part in re.split(r"(<g\b[^>]*>|</g>)", svg):
        if part == "</g>":
            is_kept = kept.pop()
        else:
            is_kept = part not in ("<g>", "<g/>")
            if part.startswith("<g") and not part.endswith("/>"):
                kept.append(is_kept)
        if is_kept:
            parts.append(part)
    return "".join(parts)


def _along_the_axes(path: re.Match[str]) -> str:
    """Lines that run along an axis by the one place that changes."""
    parts, last = [], ["", ""]
    for command, places in re.findall(r"([A-Za-z])([^A-Za-z]*)", path[0]):
        here = places.split()[-2:] or last
        if command == "L" and here[1] == last[1]:
            parts.append(f"H{here[0]}")
        elif command == "L" and here[0] == last[0]:
            parts.append(f"V{here[1]}")
        else:
            parts.append(f"{command}{places}")
        last = here
    return "".join(parts)


def _in_tenths(attribute: re.Match[str]) -> str:
    """A place, which alone is rounded: what a figure says stays as it is."""
    rounded = (
        f"{float(part):.1f}".rstrip("0").rstrip(".") if "." in part else part
        for part in re.split(r"(\d+\.\d+)", attribute[0])
    )
    return "".join(rounded)


def standalone(svg: Markup) -> str:
    """A figure of the page as a file of its own, with the page's colours and fonts."""
    palette = PALETTE.read_text(encoding="utf-8")
    text = str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    head, end, rest = text.partition(">")
    return f"{head}{end}\n<style>\n{palette}</style>{rest}"
