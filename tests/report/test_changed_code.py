"""What was trained with other code of the user's than there is now counts as not done."""

import json

import pytest

from benchmarks.plan import plan
from qkd.records.code_digest import code_digest
from report.build import collect
from report.reading.records import Status
from tests.support.report_records import QAT, QKD, cell_of, matrix, record_of, write_run


@pytest.fixture
def run(tmp_path):
    """A run of two methods, the one of which used a file of the user's."""
    mine = tmp_path / "project" / "mine.py"
    mine.parent.mkdir()
    mine.write_text("WIDTH = 4\n")
    toy = matrix(methods=(QKD, QAT), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qkd", 0): 70.0, ("qat", 0): 69.0})
    files = [{"name": "mine.py", "sha256": code_digest(mine, True), "is_matrix": True}]
    write_code(tmp_path, toy, {"folder": str(mine.parent), "files": files})
    return toy, mine


def write_code(folder, toy, content):
    record = record_of(folder / "results", cell_of(toy, "qkd").history)
    record.code_file.write_text(json.dumps(content))


def top1s(folder, matrix_file=None):
    report = collect(folder / "results", folder / "none", matrix_file)
    (section,) = report.sections
    cells = section.cells.set_index("method")
    return report, {name: (row.status, row.top1) for name, row in cells.iterrows()}


def test_code_that_is_as_it_was_is_reported(tmp_path, run):
    report, found = top1s(tmp_path)
    assert found == {"qkd": ("done", 70.0), "qat": ("done", 69.0)}
    assert report.problems == ()


def test_an_edited_file_leaves_its_cells_without_a_number_and_no_others(tmp_path, run):
    toy, mine = run
    mine.write_text("WIDTH = 5\n")
    report, found = top1s(tmp_path)
    assert found["qkd"][0] == "changed"
    assert found["qkd"][1] != found["qkd"][1]  # NaN
    assert found["qat"] == ("done", 69.0)
    (problem,) = report.problems
    assert problem.startswith("toy at scale smoke: mine.py is not the code that it was trained")
    assert ", of 1 stage: " in problem
    (section,) = report.sections
    stages = section.readings.stages
    changed = [key for key, one in stages.items() if one.status == Status.CHANGED]
    assert changed == [cell_of(toy, "qkd").history.digest]
    assert set(stages) == set(plan(toy.cells()).stages)


def test_the_matrix_file_that_the_command_names_is_what_counts(tmp_path, run):
    _, mine = run
    other = tmp_path / "elsewhere" / "mine.py"
    other.parent.mkdir()
    other.write_text("WIDTH = 5\n")
    assert top1s(tmp_path, other)[1]["qkd"][0] == "changed"
    assert top1s(tmp_path, mine)[1]["qkd"][0] == "done"
    mine.write_text("WIDTH = 5\n")
    other.write_text("WIDTH = 4\n")
    assert top1s(tmp_path, other)[1]["qkd"][0] == "done"


def test_a_damaged_file_makes_its_cell_unreadable_and_stops_nothing(tmp_path, run):
    toy, _ = run
    write_code(tmp_path, toy, {"files": 1})
    _, found = top1s(tmp_path)
    assert found["qkd"][0] == "unreadable"
    assert found["qat"] == ("done", 69.0)
