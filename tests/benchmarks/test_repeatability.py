"""Is another instruction set another seed? What make repeatability counts, and keeps."""

import json
import os
import subprocess
import sys

import msgspec
import numpy
import pytest

from benchmarks import ablation
from benchmarks.repeatability.__main__ import distance
from benchmarks.repeatability.cells import INSTRUCTIONS, cells_of, label_of
from benchmarks.repeatability.figures import Pair, Repeatability, Run, between, couples, rows_of
from benchmarks.repeatability.train import Trained, _here, keep, kept
from benchmarks.settings import SettingsError, from_environment
from benchmarks.speed.figures import Machine
from qkd.records.schema import Place
from qkd.spec import NUMERICS
from qkd.spec.value import decode, encode
from qkd.training.portable import obstacles
from tests.support.launching import ROOT, environment

OBSTACLE = next(obstacles(on_cpu=True, environment={}), "")
MACHINE = Machine(
    name="toy", processor="Toy", device="cpu", cores=2, threads=1, torch="2", date="2026-01-02"
)


def a_run(bits, instructions, seed, top1):
    return Run(
        bits=bits,
        instructions=instructions,
        capability="AVX2",
        seed=seed,
        top1=top1,
        weights_sha256="",
    )


RUNS = (
    a_run("W2A2", "A", 0, 80.0),
    a_run("W2A2", "A", 1, 83.0),
    a_run("W2A2", "B", 0, 84.0),
    a_run("W2A2", "B", 1, 86.0),
    a_run("FP", "A", 0, 90.0),
)


def pairs(numbers):
    made = [Pair(first=a, second=b, differing=d, distance=w) for a, b, d, w in numbers]
    return tuple(made)


PAIRS = pairs([(0, 1, 0.1, 2.0), (0, 2, 0.2, 1.0), (1, 3, 0.4, 3.0), (2, 3, 0.3, 4.0)])


def test_pairs_differ_in_one_thing_alone():
    assert list(couples(RUNS)) == [(0, 1), (0, 2), (1, 3), (2, 3)]
    assert between(RUNS[0], RUNS[1]) == "seeds"
    assert between(RUNS[0], RUNS[2]) == "instruction sets"
    assert between(RUNS[0], RUNS[3]) is between(RUNS[0], RUNS[4]) is between(RUNS[0], RUNS[0])
    assert between(RUNS[0], RUNS[0]) is None


def test_the_table_by_hand():
    sets, seeds = rows_of(RUNS, PAIRS)
    assert (sets.bits, sets.between, sets.pairs) == ("W2A2", "instruction sets", 2)
    assert (sets.differing, sets.distance) == pytest.approx((0.3, 2.0))
    assert sets.top1_rms == pytest.approx(((4**2 + 3**2) / 2) ** 0.5)
    assert (seeds.between, seeds.pairs) == ("seeds", 2)
    assert (seeds.differing, seeds.distance) == pytest.approx((0.2, 3.0))
    assert seeds.top1_rms == pytest.approx(((3**2 + 2**2) / 2) ** 0.5)


def whole(**changes):
    known = {"runs": RUNS, "pairs": PAIRS, "rows": tuple(rows_of(RUNS, PAIRS)), **changes}
    return Repeatability(machine=MACHINE, cell="toy", steps=400, images=10, **known)


def test_what_was_found_is_read_back_and_its_table_must_follow_from_it():
    assert decode(encode(whole()), Repeatability) == whole()
    rows = whole().rows
    wrong = (msgspec.structs.replace(rows[0], top1_rms=9.0), *rows[1:])
    for changes in ({"rows": wrong}, {"rows": rows[:1]}, {"pairs": PAIRS[1:]}):
        with pytest.raises(ValueError, match="do not follow"):
            whole(**changes)
    with pytest.raises(ValueError, match="names run 9"):
        whole(pairs=pairs([(0, 9, 0.1, 1.0)]))


def settings(**variables):
    return from_environment({f"QKD_{name}": value for name, value in variables.items()})


def test_the_cells_are_the_ablations_own_at_three_widths_and_in_float():
    cells = cells_of(settings(SCALE="laptop"))
    labels = [label_of(cell) for cell in cells]
    assert labels == ["W2A2"] * 5 + ["W4A4"] * 5 + ["W8A8"] * 5 + ["FP"] * 5
    assert {cell.history.steps for cell in cells} == {400}
    assert all(cell.history.student.start is not None for cell in cells)
    matrix = msgspec.structs.replace(ablation.matrix("laptop", (0,)), numerics=NUMERICS)
    methods = ("qat", "fp-tuned")
    own = {c.history.digest for c in matrix.cells() if c.method.name in methods}
    assert own <= {cell.history.digest for cell in cells}
    assert {cell.seed for cell in cells_of(settings(SEEDS="7"))} == {7}
    with pytest.raises(SettingsError, match="not paper"):
        cells_of(settings(SCALE="paper"))


def trained(weights, place=None):
    predictions = numpy.array([1, 2, 3], numpy.uint8)
    return Trained(place or _here(), 50.0, "ab", predictions, numpy.array(weights, numpy.float32))


def test_the_distance_of_weights_by_hand():
    # Norms 5 and 5, apart by 5 times the root of 2.
    assert distance(trained([3, 4]), trained([4, -3])) == pytest.approx(2**0.5)
    assert distance(trained([3, 4]), trained([3, 4])) == 0


def test_what_was_trained_before_is_taken_up_unless_damaged_or_of_elsewhere(tmp_path):
    path = tmp_path / "one.npz"
    assert kept(path) is None
    keep(trained([1, 2]), path)
    found = kept(path)
    assert found.weights.tolist() == [1, 2]
    assert found.predictions.dtype == numpy.uint8
    path.write_bytes(path.read_bytes()[:-30])
    assert kept(path) is None
    keep(trained([1, 2], Place(device_name="elsewhere")), path)
    assert kept(path) is None
    other = msgspec.structs.replace(_here(), capability="AVX512")  # the set of another run here
    keep(trained([1, 2], other), path)
    assert kept(path).place == other


def command(results, data, more=None, **variables):
    given = environment(results, data, JOBS="2", **variables) | (more or {})
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.repeatability"],
        cwd=ROOT,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("variables", "own", "says"),
    [
        ({"SCALE": "paper"}, {}, "not paper"),
        ({"THREADS": "2"}, {}, "THREADS=2"),
        ({}, {"ATEN_CPU_CAPABILITY": "avx512"}, "ATEN_CPU_CAPABILITY=avx512 is set"),
    ],
)
def test_it_is_refused_in_one_line(tmp_path, variables, own, says):
    done = command(tmp_path / "results", tmp_path, own, **variables)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert says in line or OBSTACLE in line
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
@pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)
def test_the_command_writes_a_table_that_can_be_computed_again(tmp_path, data):
    kept_out = {name: "" for name in os.environ if name in INSTRUCTIONS["AVX2"]}
    done = command(tmp_path, data, kept_out, SEEDS="0")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "repeatability").glob("*.json")
    found = decode(path.read_bytes(), Repeatability)
    assert len(found.runs) == 3 * 4
    assert found.images == 160
    assert {run.capability for run in found.runs if run.instructions == "AVX2"} == {"AVX2"}
    assert {row.between for row in found.rows} == {"instruction sets"}
    assert [row.bits for row in found.rows] == ["W2A2", "W4A4", "W8A8", "FP"]
    sums = {run.weights_sha256 for run in found.runs if run.bits == "W2A2"}
    assert len(sums) >= 2  # another instruction set, other bits
    times = {file: file.stat().st_mtime_ns for file in path.with_suffix("").iterdir()}
    again = command(tmp_path, data, kept_out, SEEDS="0")
    assert again.returncode == 0
    assert {file: file.stat().st_mtime_ns for file in path.with_suffix("").iterdir()} == times
    assert json.loads(path.read_bytes())["runs"] == json.loads(encode(found))["runs"]
