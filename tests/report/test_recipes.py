"""The room's README: its recipe for a column, and its table from the frames."""

import csv
import io
import re
from pathlib import Path
from zipfile import ZipFile

import pandas
import pytest

import report
from report.build import build
from report.page import tables
from tests.support.report_records import QAT, QKD, matrix, write_run

README = (Path(report.__file__).parent / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TOP1S = {("qkd", 0): 72.0, ("qkd", 1): 71.0, ("qat", 0): 70.0}


@pytest.fixture
def page(tmp_path):
    write_run(tmp_path / "results", matrix(methods=(QKD, QAT), seeds=(0, 1)), TOP1S)
    (tmp_path / "report").mkdir()

    def built():
        page = tmp_path / "report" / "index.html"
        build(tmp_path / "results", page, tmp_path / "no-reference")
        return page

    return built


def test_a_column_is_one_line_and_then_on_the_page_and_in_the_files(page, monkeypatch):
    line = CODE[0].strip()
    assert "\n" not in line
    column = eval(line, vars(tables))  # noqa: S307 (our own README)
    monkeypatch.setattr(tables, "METHOD_COLUMNS", (*tables.METHOD_COLUMNS, column))
    path = page()
    assert f'<th scope="col" class="number">{column.title}</th>' in path.read_text()
    with ZipFile(path.with_name("takeaway.zip")) as archive:
        text = archive.read("tables/toy-smoke-0-methods.csv").decode()
        assert column.title in archive.read("tables/toy-smoke-0-methods.json").decode()
        latex = archive.read("tables/toy-smoke-0-methods.tex").decode()
    found = {row["method"].split(" ")[0]: row for row in csv.DictReader(io.StringIO(text))}
    assert {name: row[column.title] for name, row in found.items()} == {
        "qkd": "72.00",
        "qat": "70.00",
    }
    assert column.title.replace("%", r"\%") in latex


def test_the_readme_makes_a_table_of_the_frames(page, monkeypatch, capsys):
    path = page()
    monkeypatch.chdir(path.parent.parent)
    exec("import pandas, zipfile\n" + CODE[1])  # noqa: S102
    shown = capsys.readouterr().out
    assert re.search(r"qkd +71\.5 +2\n", shown)
    assert re.search(r"qat +70\.0 +1\n", shown)


def test_the_frames_have_every_column_and_no_formula(page):
    with ZipFile(page().with_name("frames.zip")) as archive:
        frames = {
            name.removesuffix(".csv"): pandas.read_csv(archive.open(name))
            for name in archive.namelist()
            if name.endswith(".csv")
        }
    cells = frames["cells"].set_index(["method", "seed"])
    assert cells.loc[("qkd", 0), ["top1", "test_loss", "teacher_before"]].tolist() == [72, 1, 90]
    assert cells.loc[("qat", 1), "status"] == "missing"
    assert set(frames["curves"]["series"]) >= {"student", "teacher", "loss student_cross_entropy"}
    assert set(frames["layers"]["tensor"]) == {"weights", "inputs"}
    assert (frames["layers"]["matrix"] == "toy").all()
