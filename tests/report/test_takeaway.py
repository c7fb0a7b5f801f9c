"""Tables to take away are what is displayed, whatever their cells hold."""

import csv
import io
import json
import re
from urllib.parse import unquote
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.build import build
from report.page.files import ARCHIVE
from report.page.table import Cell, Column, table
from report.page.takeaway import as_csv, as_json, as_latex, escaped, files, links
from tests.support.report_records import QAT, QKD, matrix, write_run

HOSTILE = '\\input{/etc/passwd} $x_1^2$ & 50% #1 ~ {a} <b> "q" [0] -- \n\x1b\u202e'


def toy(*texts):
    top1 = Cell("71.25", aside="\N{PLUS-MINUS SIGN} 0.30")
    columns = (Column("method", str), Column("top-1, %", lambda _: top1, is_number=True))
    return table("toy", "A toy", columns, texts, caption="Up & down.")


def test_csv_and_json_have_what_is_displayed():
    shown = toy("qkd", 'a "quoted", text\nof two lines')
    lines = list(csv.reader(io.StringIO(as_csv(shown))))
    assert lines == [
        ["method", "top-1, %"],
        ["qkd", "71.25 \N{PLUS-MINUS SIGN} 0.30"],
        ['a "quoted", text\nof two lines', "71.25 \N{PLUS-MINUS SIGN} 0.30"],
    ]
    content = json.loads(as_json(shown))
    assert content["columns"] == lines[0]
    assert content["rows"] == lines[1:]
    assert (content["name"], content["caption"]) == ("toy", "Up & down.")


def test_notes_stand_in_brackets():
    column = Column("a", lambda text: Cell(text, notes=("plain", "fast")))
    (one,) = table("toy", "", [column], ["qat"]).rows
    assert one.cells[0].plain == "qat (plain; fast)"


def test_every_row_has_a_cell_of_each_column_that_is_shown():
    hidden = Column("c", lambda _: "", shown=lambda rows: "z" in rows)
    shown = table("toy", "A toy", [Column("a", str), Column("b", str), hidden], ["x", "y"])
    assert [column.title for column in shown.columns] == ["a", "b"]
    assert [[cell.text for cell in row.cells] for row in shown.rows] == [["x", "x"], ["y", "y"]]


@pytest.mark.parametrize(
    "text", ['=HYPERLINK("x")', "@SUM(A1)", "+cmd|' /C calc'!A0", "-x", "\t=1"]
)
def test_no_cell_of_a_csv_is_a_formula(text):
    (_, one) = csv.reader(io.StringIO(as_csv(toy(text))))
    assert one[0] == f"'{text}"


@pytest.mark.parametrize("text", ["+0.44", "-0.5", "\N{MINUS SIGN}0.50", "qat-cost", "-.5"])
def test_numbers_and_names_are_left_as_they_are(text):
    (_, one) = csv.reader(io.StringIO(as_csv(toy(text))))
    assert one[0] == text


def test_what_cannot_be_seen_is_in_no_file():
    shown = toy("a\u202eb\x1b[2J", "\N{NO-BREAK SPACE}c\n")
    for _, _, address in links(files(shown)):
        assert not {"\u202e", "\x1b"} & set(unquote(address))
    (_, first, second) = csv.reader(io.StringIO(as_csv(shown)))
    assert first[0] == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[2J"
    assert second[0] == "\N{NO-BREAK SPACE}c\n"


def test_latex_is_a_tabular_of_booktabs():
    assert as_latex(toy("qat_cost")) == (
        "% Up \\& down.\n"
        "\\begin{tabular}{lr}\n"
        "\\toprule\n"
        "method & top-1, \\% \\\\\n"
        "\\midrule\n"
        "qat\\_cost & 71.25 $\\pm$ 0.30 \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_nothing_in_a_cell_is_a_command_of_latex():
    assert escaped(HOSTILE) == (
        "\\textbackslash{}input\\{/etc/passwd\\} \\$x\\_1\\textasciicircum{}2\\$ \\& 50\\% \\#1 "
        "\\textasciitilde{} \\{a\\} \\textless{}b\\textgreater{} "
        "\\textquotedbl{}q\\textquotedbl{} {[}0{]} -{}- "
    )


COMMANDS = re.compile(
    r"\\(?:textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|textquotedbl"
    r"|textendash)\{\}|\\[{}$&#%_]|\$(?:-|\\pm|\\rightarrow|\\times)\$|\{[\[\]]\}|\{\}|~"
)


@given(st.text(max_size=40))
def test_what_is_left_of_escaped_text_is_plain(text):
    rest = COMMANDS.sub("", escaped(text))
    assert not set(rest) & set("\\{}$&#%_^~[]\n\r\x00")
    assert "--" not in COMMANDS.sub("|", escaped(text))


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_a_link_holds_the_file_and_no_network(texts):
    shown = toy(*texts)
    content = files(shown)
    for _, name, address in links(content):
        head, _, body = address.partition(",")
        assert re.fullmatch(r"data:[a-z]+/[a-z-]+;charset=utf-8", head)
        assert not set(body) & set("'&<>#\n\t")
        expected = content[name].encode(errors="replace").decode()
        assert unquote(body) == expected


def built(tmp_path):
    top1s = {(m, s): 70.0 + s + (m == "qkd") for m in ("qkd", "qat") for s in (0, 1)}
    write_run(tmp_path / "results", matrix(methods=(QKD, QAT)), top1s)
    build(tmp_path / "results", tmp_path / "index.html", tmp_path / "no-reference")
    return (tmp_path / ARCHIVE).read_bytes()


def test_the_archive_has_every_table_and_figure_of_the_page(tmp_path):
    content = built(tmp_path)
    page = (tmp_path / "index.html").read_text()
    with ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        figure = archive.read("figures/toy-smoke-0-accuracy.svg").decode()
        claims = archive.read("tables/claims.csv").decode()
    tables = re.findall(r'<table id="([^"]+)"', page)
    assert {f"tables/{name}.{form}" for name in tables for form in ("csv", "json", "tex")} <= set(
        names
    )
    figures = re.findall(r'<figure id="([^"]+)"', page)
    assert {f"figures/{name}.svg" for name in figures} == {n for n in names if n.endswith(".svg")}
    assert len(names) == len(set(names))
    assert claims.startswith("claim,mark,at full length,scaled down,evidence,rule\n")
    assert figure.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    used = set(re.findall(r"var\((--\w+)\)", figure))
    assert used <= set(re.findall(r"(--\w+):", figure))


def test_the_archive_is_the_same_from_the_same_records(tmp_path):
    assert built(tmp_path) == built(tmp_path)
