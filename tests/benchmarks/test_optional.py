"""Cells that run only where they are asked for, and data that nobody asked for."""

import pytest
from msgspec.structs import replace

from baselines.methods import rivals
from benchmarks import ablation
from benchmarks.matrix import Matrix, select
from benchmarks.plan import plan
from qkd.records.record import store_of
from qkd.spec.value import decode, encode
from report.reading.readings import read
from report.reading.records import Records, Status
from report.reading.sources import Run
from slurm.planning.matrices import build, remember
from tests.slurm.planning.test_matrices import settings
from tests.support.launching import launch

SMOKE = ablation.matrix("smoke", (0,))
LSQ = tuple(method for method in rivals() if method.name.endswith("-lsq"))
OPTIONAL = replace(SMOKE.grids[0], methods=LSQ, optional=True)
WHOLE = replace(SMOKE, grids=(*SMOKE.grids, OPTIONAL))
CELLS = list(WHOLE.cells())


def names(cells):
    return [cell.method.name for cell in cells]


def test_optional_cells_are_picked_only_by_their_method():
    usual = names(SMOKE.cells())
    assert names(CELLS) == [*usual, "qat-lsq", "kd-lsq", "qkd-lsq"]
    assert names(select(CELLS, "")) == usual
    assert names(select(CELLS, "bits=w2a2")) == [name for name in usual if name[:2] != "fp"]
    assert names(select(CELLS, "method=qat-lsq,qat")) == ["qat", "qat-lsq"]
    with pytest.raises(ValueError, match="picks no cell"):
        select(CELLS, "method=qat-lsq bits=fp")


def test_the_optional_ones_change_no_stage_of_the_others():
    assert list(plan(CELLS, select(CELLS, "")).stages) == list(plan(SMOKE.cells()).stages)
    # Cut by all optional cells, though one is wanted: QKD's self-study is a part of plain QAT.
    few = plan(CELLS, select(CELLS, "method=qat-lsq")).stages.values()
    assert [p.stage.steps for p in few if p.parents] == [3, 17]


def test_an_earlier_matrix_file_without_the_word_is_read():
    old = encode(SMOKE).replace(b',\n      "optional": false', b"")
    assert b"optional" not in old
    assert decode(old, Matrix) == SMOKE


def test_the_report_shows_an_optional_cell_once_it_has_a_record(tmp_path):
    records = Records(store_of(tmp_path))
    assert names(r.cell for r in read(Run(WHOLE, records)).cells) == names(SMOKE.cells())
    cell = next(cell for cell in CELLS if cell.method.name == "kd-lsq")
    record = store_of(tmp_path).record(cell.history)
    record.path.mkdir(parents=True)
    record.fail("ValueError", "no")
    shown = read(Run(WHOLE, Records(store_of(tmp_path)))).cells
    assert names(r.cell for r in shown) == [*names(SMOKE.cells()), "kd-lsq"]
    assert shown[-1].own.status == Status.FAILED


TWO = """
from msgspec.structs import replace
from benchmarks import ablation
from qkd.spec import Data

def unreadable(folder):
    raise OSError("nobody has these images")

def matrix(scale, seeds):
    base = ablation.matrix(scale, seeds)
    grid = base.grids[0]
    data = replace(grid.pair.data, name="nowhere", reader="NAME:unreadable", digest="")
    pair = replace(grid.pair, data=data, student_start=None, teacher_start=None)
    return replace(base, name="two", grids=(grid, replace(grid, pair=pair)))
"""


def two_sets(folder):
    file = folder / "two_sets.py"
    file.write_text(TWO.replace("NAME", file.stem))
    return str(file)


@pytest.mark.usefixtures("user_file")
def test_data_of_no_chosen_cell_need_not_be_there(tmp_path):
    asked = {"MATRIX": two_sets(tmp_path), "SCALE": "smoke", "DATA": str(tmp_path)}
    with pytest.raises(ValueError, match="nobody has these images"):
        build(settings(**asked))
    with pytest.raises(ValueError, match="no cell has dataset=cifar; it may be"):
        build(settings(**asked, ONLY="dataset=cifar"))
    built = build(settings(**asked, ONLY="dataset=synthetic"))
    assert [grid.pair.data.digest == "" for grid in built.grids] == [False, True]


@pytest.mark.slow
def test_a_launch_of_one_data_set_needs_no_other(tmp_path, data):
    asked = {"MATRIX": two_sets(tmp_path), "SEEDS": "0", "ONLY": "dataset=synthetic method=qat"}
    for command in ("run", "status", "doctor"):
        code, output = launch(command, tmp_path / "results", data, **asked)
        assert code == 0, output


def test_a_launch_that_reads_no_data_keeps_what_an_earlier_one_found(tmp_path):
    def with_digest(digest):
        pair = WHOLE.grids[0].pair
        data = replace(pair.data, digest=digest)
        starts = (replace(start, data=data) for start in (pair.student_start, pair.teacher_start))
        student, teacher = starts
        pair = replace(pair, data=data, student_start=student, teacher_start=teacher)
        return replace(WHOLE, grids=(replace(WHOLE.grids[0], pair=pair),))

    known, unknown = with_digest("a" * 64), with_digest("")
    remember(known, tmp_path)
    assert remember(unknown, tmp_path) == known
    assert remember(with_digest("b" * 64), tmp_path) == with_digest("b" * 64)
    other = replace(unknown.grids[0].pair.data, held_out=7)
    changed = replace(unknown.grids[0], pair=replace(unknown.grids[0].pair, data=other))
    assert remember(replace(unknown, grids=(changed,)), tmp_path).grids[0].pair.data == other
