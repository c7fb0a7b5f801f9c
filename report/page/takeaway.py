"""Tables to take away: CSV, JSON and LaTeX of what is displayed, as texts and as links."""

import csv
import io
import json
import re
from urllib.parse import quote

from markupsafe import Markup

from report.page.table import Table

# Spreadsheets run a cell that begins like this as a formula.
FORMULA = re.compile(r"^[=@\t\r]|^[+-](?![\d.])")

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # else an optional argument of the \\ before it
    "]": "{]}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": r"\textendash{}",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{REPLACEMENT CHARACTER}": "?",
}
MEDIA_TYPES = {"csv": "text/csv", "json": "application/json", "tex": "text/x-tex"}


def no_formula(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would run it."""
    return f"'{text}" if FORMULA.match(text) else text


def as_csv(table: Table) -> str:
    """The titles and the rows; a text that a spreadsheet would run stands behind an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(column.title for column in table.columns)
    writer.writerows([no_formula(cell.plain) for cell in one.cells] for one in table.rows)
    return buffer.getvalue()


def as_json(table: Table) -> str:
    """The table's name, caption and titles, and its rows as lists of texts."""
    content = {
        "name": table.name,
        "caption": _caption(table),
        "columns": [column.title for column in table.columns],
        "rows": [[cell.plain for cell in one.cells] for one in table.rows],
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"


def as_latex(table: Table) -> str:
    """A ``tabular`` for the package booktabs; the caption stands above it as a comment."""
    kinds = "".join("r" if column.is_number else "l" for column in table.columns)
    lines = [
        f"% {escaped(_caption(table))}",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        _line([column.title for column in table.columns]),
        r"\midrule",
        *(_line([cell.plain for cell in one.cells]) for one in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _caption(table: Table) -> str:
    return " ".join(filter(None, (table.lead, table.caption))) or table.title


def _line(texts: list[str]) -> str:
    return f"{' & '.join(map(escaped, texts))} \\\\"


def escaped(text: str) -> str:
    """The text as LaTeX sets it: one line, nothing in it a command."""
    line = "".join(_LATEX.get(character, character) for character in _one_line(text))
    return line.replace("--", "-{}-")  # no ligature


def _one_line(text: str) -> str:
    """White space but the no-break space as single spaces, what cannot be printed left out."""
    kept = "\N{NO-BREAK SPACE}"
    line = re.sub(rf"[^\S{kept}]+", " ", text)
    return "".join(one for one in line if one.isprintable() or one == kept)


def files(table: Table) -> dict[str, str]:
    """The names of the table's files, and what is in them."""
    forms = {"csv": as_csv(table), "json": as_json(table), "tex": as_latex(table)}
    return {f"{table.name}.{ending}": text for ending, text in forms.items()}


def links(own: dict[str, str]) -> list[tuple[str, str, Markup]]:
    """Of each of a table's files its form, its name, and its content as an address that needs no
    network."""
    return [
        (ending.upper() if ending != "tex" else "LaTeX", name, _address(text, ending))
        for name, text in own.items()
        for ending in [name.rpartition(".")[2]]
    ]


# What ends an address or an attribute, or is lost in one. All else stays, for the page's size.
_NOT_AS_IT_IS = re.compile(r"[\x00-\x1f\x7f%#&<>'\ud800-\udfff]")


def _address(text: str, ending: str) -> Markup:
    """For an attribute in single quotes, in which it needs no more escaping."""
    content = _NOT_AS_IT_IS.sub(lambda found: quote(found[0], errors="replace", safe=""), text)
    return Markup(f"data:{MEDIA_TYPES[ending]};charset=utf-8,{content}")  # noqa: S704
