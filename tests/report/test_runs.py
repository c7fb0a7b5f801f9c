"""Every run in its drawer: what it has of its own, its command, its log, its layers."""

import pytest
from msgspec.structs import replace

from benchmarks.plan import plan
from qkd.marks import marks
from qkd.spec import Quantization, Recipe
from report.build import build
from report.page.drawers import runs
from report.page.values import base_of, base_table, differences, flat
from report.reading.records import LOG_BYTES, log_tail
from tests.report.collected import only_section
from tests.support.report_records import (
    FP,
    QAT,
    QKD,
    cell_of,
    matrix,
    record_of,
    write_failed,
    write_run,
)


def drawers(tmp_path):
    return {
        (drawer.row.method, str(drawer.row.seed)): drawer
        for drawer in runs(only_section(tmp_path), tmp_path, set()).drawers
    }


@pytest.fixture
def toy(tmp_path):
    toy = matrix(methods=(FP, QKD, QAT), seeds=(0, 1))
    fast = replace(
        toy.grids[0],
        methods=(replace(QAT, name="fast"),),
        recipe=replace(toy.grids[0].recipe, learning_rate=0.5),
    )
    toy = replace(toy, grids=(*toy.grids, fast))
    values = {("qkd", 0): 72.0, ("qkd", 1): 71.0, ("qat", 0): 70.0, ("fast", 0): 69.0}
    write_run(tmp_path / "results", toy, values)
    return toy


def test_a_drawer_has_what_the_run_has_of_its_own(tmp_path, toy):
    found = drawers(tmp_path)
    assert [tuple(one) for one in found["fast", "0"].differences] == [
        ("recipe.learning_rate", "0.5", "0.01")
    ]
    assert found["qat", "0"].differences == ()


def test_the_base_is_what_most_have_and_the_first_of_equals():
    cells = [{"a": "1", "b": "x"}, {"a": "2"}, {"a": "2", "c": "only"}, {"a": "3"}]
    base = base_of(cells)
    assert base == {"a": "2", "b": "x", "c": "only"}
    assert [tuple(one) for one in differences(cells[0], base)] == [("a", "1", "2")]
    assert differences({"d": "new"}, base)[0] == ("d", "new", "")
    assert base_of([{"a": "1"}, {"a": "2"}]) == {"a": "1"}


def test_values_are_by_their_dotted_names_without_what_is_told_in_words(toy):
    values = flat(cell_of(toy, "qkd").history)
    assert values["recipe.learning_rate"] == "0.01"
    assert values["recipe.frozen_teacher_precision"] == "none"
    assert values["student.quantization.quantizer"] == "qkd.quantizers:IntervalQuantizer"
    assert not {"seed", "parts", "student.start", "teacher.start"} & set(values)
    assert not [name for name in values if ".start." in name]
    assert not [name for name in flat(cell_of(toy, "qat").history) if name.startswith("teacher")]


def test_the_bases_values_carry_their_marks(toy):
    table = base_table(flat(cell_of(toy, "qkd").history), "base")
    shown = {row.cells[0].text: row.cells[2].text for row in table.rows}
    known = {mark.where: mark.mark for mark in marks()}
    assert shown["recipe.batch"] == known[f"{Recipe.__module__}.Recipe.batch"]
    mark = known[f"{Quantization.__module__}.Quantization.initial_interval"]
    assert shown["student.quantization.initial_interval"] == mark
    assert shown["student.network.name"] == ""
    assert sum(mark != "" for mark in shown.values()) >= 10


def test_layers_are_those_of_a_methods_first_seed_that_is_done(tmp_path, toy):
    found = drawers(tmp_path)
    assert len(found["qkd", "0"].layers) == 3
    assert (found["qkd", "1"].layers, found["qkd", "1"].layers_elsewhere) == ((), True)
    assert (found["qat", "1"].layers, found["qat", "1"].layers_elsewhere) == ((), False)


def test_what_came_out_is_said_and_nothing_where_nothing_did(tmp_path, toy):
    found = drawers(tmp_path)
    assert found["qkd", "0"].result == (
        "test top-1 72.00 % [71.11, 72.87]; best held-out 73.00 %; its teacher at the end 91.00 %; "
        "4 s of training on its path; 1000 images/s in its last stage"
    )
    assert found["qat", "1"].result == ""


def test_a_record_that_is_not_there_is_no_link(tmp_path, toy):
    chain = drawers(tmp_path)["qat", "1"].chain
    assert [link.address == "" for link in chain] == [False, True]
    assert chain[-1].status == "missing"


def test_the_end_of_a_log_is_shown_whatever_it_holds(tmp_path, toy):
    record = record_of(tmp_path / "results", cell_of(toy, "qkd").history)
    record.log_file.write_bytes(b"1\n2\n3\n4\n5\n6 \xff</pre><script>\x1b[0m\n")
    assert drawers(tmp_path)["qkd", "0"].row.records.log.startswith(
        "2\n3\n4\n5\n6 \ufffd</pre><script>"
    )
    build(tmp_path / "results", tmp_path / "index.html", tmp_path / "no-reference")
    page = (tmp_path / "index.html").read_text()
    assert "6 \ufffd&lt;/pre&gt;&lt;script&gt;\ufffd[0m" in page
    assert page.count("<script>") == 1


def test_a_long_log_is_read_from_its_end(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("x" * 10 * LOG_BYTES + "\nlast\n")
    assert log_tail(log).endswith("\nlast")
    assert len(log_tail(log)) <= LOG_BYTES
    assert log_tail(tmp_path / "none") == log_tail(tmp_path) == ""


def test_a_long_message_is_shortened_in_the_list_and_whole_in_the_drawer(tmp_path, toy):
    stage = plan(toy.cells()).stages[cell_of(toy, "qat", 1).history.digest].stage
    write_failed(tmp_path / "results", stage, "no " * 500)
    found = runs(only_section(tmp_path), tmp_path, set())
    (row,) = [row for row in found.table.rows if row.cells[3].text == "failed"]
    assert len(row.cells[3].plain) < 250
    assert drawers(tmp_path)["qat", "1"].row.message.count("no ") >= 499
