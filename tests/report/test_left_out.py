"""Photos that a run left out are told wherever its numbers stand, and nowhere else."""

import csv
import io

import pytest

from qkd.spec.history import prefix
from report.analysis.methods import MethodRow
from report.build import build, collect
from report.frames.tidy import rows
from report.page.drawers import left_out_text
from report.page.files import cells_csv
from report.page.tables import method_table
from report.reading.records import Status
from tests.report.collected import only_section, states
from tests.support.report_records import QAT, QKD, cell_of, edit_result, matrix, write_run

PLAIN = {("qkd", 0): 70.0, ("qkd", 1): 71.0, ("qat", 0): 69.0}
FILE = "train/n01/<script>alert(1)</script>.JPEG"


@pytest.fixture
def toy(tmp_path):
    found = matrix(methods=(QKD, QAT), seeds=(0, 1))
    write_run(tmp_path / "results", found, PLAIN)
    return found


def without(tmp_path, history, training, test, *files):
    """The record of a history says that it went without so many images."""
    content = {"training": training, "test": test, "files": dict.fromkeys(files, "no image")}
    edit_result(tmp_path / "results", history, lambda result: result.update(left_out=content))


def lines(tmp_path):
    text = cells_csv(collect(tmp_path / "results", tmp_path / "none").sections).decode()
    return {(row["method"], row["seed"]): row for row in csv.DictReader(io.StringIO(text))}


@pytest.fixture
def spoilt(tmp_path, toy):
    """QKD of seed 0 went without 2 images in self-studying and 3 in tutoring, and 1 of the test."""
    history = cell_of(toy, "qkd").history
    without(tmp_path, prefix(history, history.parts[0].steps), 2, 1, FILE, "val/n02/b.JPEG")
    without(tmp_path, history, 3, 1, FILE, "train/n03/c.JPEG", "val/n02/b.JPEG")
    return toy


def test_where_nothing_was_left_out_no_column_speaks_of_it(tmp_path, toy):
    assert not {name for row in lines(tmp_path).values() for name in row if "left_out" in name}
    build(tmp_path / "results", tmp_path / "index.html", tmp_path / "none")
    assert "left out as unreadable" not in (tmp_path / "index.html").read_text()


def test_cells_csv_counts_the_whole_path_of_a_cell(tmp_path, spoilt):
    found = {
        key: (row["left_out_training"], row["left_out_test"])
        for key, row in lines(tmp_path).items()
    }
    assert found == {
        ("qkd", "0"): ("5", "1"),
        ("qkd", "1"): ("0", "0"),
        ("qat", "0"): ("2", "0"),  # it began with the same self-studying, and tested all images
        ("qat", "1"): ("", ""),
    }


def test_the_method_and_the_drawer_say_so_and_names_are_escaped(tmp_path, spoilt):
    build(tmp_path / "results", tmp_path / "index.html", tmp_path / "none")
    page = (tmp_path / "index.html").read_text()
    assert "left out as unreadable: up to 5 training and 1 test images of a run" in page
    assert "left out as unreadable: 5 images of training batches and 1 test images (" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_few_files_are_named_and_the_others_counted():
    assert left_out_text(4, 0, ["a", "b", "c", "d", "e"]).endswith("(a, b, c, 2 more)")
    assert left_out_text(4, 0, ["a"]).endswith("(a)")
    assert left_out_text(0, 0, []) == ""


def test_a_method_says_the_most_that_a_run_of_it_went_without(tmp_path, toy):
    without(tmp_path, cell_of(toy, "qkd", 0).history, 4, 0, "a")
    without(tmp_path, cell_of(toy, "qkd", 1).history, 1, 2, "b")
    section = only_section(tmp_path)
    shown = method_table(rows(section.methods, MethodRow), "methods")
    notes = {row.cells[0].text: row.cells[0].notes for row in shown.rows}
    assert notes["qkd"][-1].endswith("up to 4 training and 2 test images of a run")
    assert not [note for note in notes["qat"] if "left out" in note]


def test_a_damaged_count_makes_the_record_unreadable(tmp_path, toy):
    without(tmp_path, cell_of(toy, "qat").history, -1, 0)
    found = states(only_section(tmp_path))
    assert found["qat", 0] == Status.UNREADABLE
    assert found["qkd", 0] == Status.DONE
