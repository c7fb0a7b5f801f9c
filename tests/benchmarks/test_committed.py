"""A run beside the committed one: equal bit for bit, or which cells differ, and how."""

import msgspec
import numpy
import pytest

from benchmarks import ablation
from benchmarks.committed import committed, compare, in_words
from qkd.records.record import Store
from qkd.records.schema import Accuracy, Environment, HeldOut, Place, Result
from qkd.spec import NUMERICS, Stage
from tests.support.launching import ROOT

CELLS = [
    cell
    for cell in ablation.matrix("smoke", (0, 1)).cells()
    if cell.method.name in ("qat", "kd", "qkd")
]
HERE = Environment(
    torch="2.14.1",
    device_name="Intel X",
    family=6,
    model=207,
    capability="AVX2",
    portable=True,
    threads=1,
)
THERE = msgspec.structs.replace(HERE, device_name="AMD Y", family=25, model=None)


def result(correct=(True, True, False, True), **changes):
    bits = numpy.array(correct)
    accuracy = Accuracy(
        correct1=int(bits.sum()),
        images=len(bits),
        top1=100 * float(bits.mean()),
        loss=0.5,
        correct=numpy.packbits(bits).tobytes(),
    )
    known = {"student": accuracy, "weights_sha256": "a" * 64, **changes}
    return Result(steps=20, held_out=HeldOut(top1=None), seconds=1, images_per_second=1, **known)


def store(folder, results, environment, cells=CELLS):
    """A store that has these cells done; ``results``: by method, the others the common one."""
    made = Store(folder)
    for cell in cells:
        record = made.record(cell.history)
        record.open(Stage(history=cell.history, steps=cell.history.parts[-1].steps))
        record.write(record.environment_file, environment)
        record.write(record.result_file, results.get(cell.method.name, result()))
    made.refresh()
    return made


def said(ours, theirs, cells=CELLS):
    return list(in_words(compare(cells, ours, theirs)))


def test_equal_cells_are_said_in_one_line(tmp_path):
    ours, theirs = store(tmp_path / "a", {}, HERE), store(tmp_path / "b", {}, THERE)
    assert said(ours, theirs) == ["all 6 cells equal the committed run, bit for bit"]


def test_a_cell_that_differs_is_named_with_both_numbers_and_both_places(tmp_path):
    other = result((True, False, False, True), weights_sha256="b" * 64)
    own = msgspec.structs.replace(HERE, portable=False, capability="AVX512")
    ours, theirs = store(tmp_path / "a", {"qat": other}, own), store(tmp_path / "b", {}, THERE)
    first, *cells, places = said(ours, theirs)
    assert first == "2 of 6 cells differ from the committed run:"
    assert [line.split(",")[0].strip() for line in cells] == ["qat W2A2"] * 2
    assert all(line.endswith("50.00 %, committed 75.00 %") for line in cells)
    assert places.strip() == (
        "here: Intel X (family 6, model 207), AVX512, torch 2.14.1, PORTABLE=0; "
        "committed: AMD Y (family 25), AVX2, torch 2.14.1, PORTABLE=1"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"weights_sha256": "b" * 64},  # though every answer is the same
        {"teacher_weights_sha256": "b" * 64},
        {"student": msgspec.structs.replace(result().student, loss=0.5000001)},
    ],
)
def test_what_should_be_the_same_and_is_not_points_to_the_doctor(tmp_path, changes):
    ours = store(tmp_path / "a", {"kd": result(**changes)}, HERE)
    lines = said(ours, store(tmp_path / "b", {}, THERE))
    assert lines[0].startswith("2 of 6 cells differ")
    assert "make doctor" in lines[-1]


def test_without_a_digest_nothing_is_said_of_bits(tmp_path):
    old = dict.fromkeys(("qat", "kd"), result(weights_sha256=""))
    ours, theirs = store(tmp_path / "a", {}, HERE), store(tmp_path / "b", old, Environment())
    (line,) = said(ours, theirs)
    assert line.startswith("all 6 cells have the committed run's numbers")
    assert "the weights of 4 are the same is not known" in line
    assert "bit for bit" not in line
    swapped = {"qat": result((False, True, True, True), weights_sha256="")}
    assert said(ours, store(tmp_path / "c", swapped, THERE))[0].startswith("2 of 6 cells differ")


def test_older_records_without_answers_are_compared_by_what_they_count(tmp_path):
    bare = msgspec.structs.replace(result().student, correct=None)
    old = {"qat": result(student=bare, weights_sha256="")}
    (line,) = said(store(tmp_path / "a", {}, HERE), store(tmp_path / "b", old, Environment()))
    assert line.startswith("all 6 cells have the committed run's numbers")


def test_cells_that_only_one_run_has_are_not_counted_as_equal(tmp_path):
    ours, theirs = store(tmp_path / "a", {}, HERE), store(tmp_path / "b", {}, HERE, CELLS[:2])
    assert said(ours, theirs) == ["all 2 cells that both have equal the committed run, bit for bit"]
    assert said(theirs, ours) == ["all 2 cells equal the committed run, bit for bit"]


def test_nothing_is_said_where_nothing_can_be_compared(tmp_path):
    ours = store(tmp_path / "a", {}, HERE)
    assert said(ours, Store(tmp_path / "none")) == []
    assert said(Store(tmp_path / "none"), ours) == []
    assert said(ours, Store(tmp_path / "none", read_only=[tmp_path / "a"])) == []  # with itself


def test_a_damaged_record_is_passed_over(tmp_path):
    ours, theirs = store(tmp_path / "a", {}, HERE), store(tmp_path / "b", {}, HERE)
    theirs.record(CELLS[0].history).result_file.write_text("{")
    ours.record(CELLS[1].history).environment_file.write_text("[]")
    assert said(ours, theirs) == ["all 5 cells that both have equal the committed run, bit for bit"]


def test_every_place_of_a_stage_that_moved_is_named(tmp_path):
    moved = msgspec.structs.replace(HERE, places=(Place(device_name="First"), HERE))
    other = {"qat": result(weights_sha256="b" * 64)}
    ours, theirs = store(tmp_path / "a", other, moved), store(tmp_path / "b", {}, THERE)
    lines = said(ours, theirs)
    assert "here: First, Intel X (family 6, model 207), AVX2" in lines[-1]  # and no doctor


def test_the_committed_runs_are_found_and_are_not_compared_with_themselves():
    matrix = msgspec.structs.replace(ablation.matrix("laptop", (0, 1)), numerics=NUMERICS)
    cells, theirs = list(matrix.cells()), committed()
    assert all(theirs.found(cell.history) for cell in cells)
    assert said(theirs, theirs, cells) == []
    empty = Store(ROOT / "results" / "none", read_only=theirs.read_only)
    assert said(empty, theirs, cells) == []
