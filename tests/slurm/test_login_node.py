"""What a login node does imports no torch, which there may take minutes."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.matrix import DEFAULT_SEEDS, Matrix, ScaleName, select
from benchmarks.plan import plan
from qkd.records.record import Record, store_of
from qkd.spec import NUMERICS
from qkd.spec.value import decode, encode
from slurm.planning.matrices import BUILT_IN
from tests.support.launching import finish, start, unimportable

HEAVY = ("torch", "torchvision", "numpy")
PHOTOS = ("imagenet", "imagenet-100", "tiny-imagenet")
MATRICES = [
    # Ids of photos hang on which files there are, which numpy lists: test_imagenet_matrix.py.
    *((name, "smoke", "") for name in BUILT_IN if name not in PHOTOS),
    ("cifar", "paper", "dataset=cifar10 bits=w2a2 student=resnet20"),
]


def built(name: str, scale: ScaleName) -> Matrix:
    module = import_module(f"benchmarks.{name.replace('-', '_')}")
    seeds = getattr(module, "DEFAULT_SEEDS", DEFAULT_SEEDS)[scale]
    matrix: Matrix = module.matrix(scale, seeds)
    return replace(matrix, numerics=NUMERICS)


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, first on the path, makes the heavy libraries unimportable."""
    return unimportable(tmp_path_factory.mktemp("login") / "without", *HEAVY)


def command(
    name: str, without: Path, results: Path, matrix: str, scale: str, only: str
) -> tuple[int, str]:
    """A command of the launcher where the heavy libraries cannot be imported."""
    variables = {"MATRIX": matrix, "SCALE": scale, "ONLY": only}
    path = {"PYTHONPATH": str(without)}
    return finish(start(name, results, results / "data", path, **variables))


def recorded(matrix: Matrix, only: str, results: Path) -> list[Record]:
    """Records as launches leave them: of every stage of the chosen cells, its parents first."""
    cells = list(matrix.cells())
    store, records = store_of(results), []
    for planned in plan(cells, select(cells, only)).stages.values():
        record = store.record_to_write(planned.stage.history)
        record.path.mkdir(parents=True)
        record.stage_file.write_bytes(encode(planned.stage))
        record.result_file.write_text('{"seconds": 1.0, "integer_refused": "not tried"}')
        record.checkpoint_file.touch()
        records.append(record)
    return records


@pytest.mark.parametrize("library", HEAVY)
def test_nothing_heavy_can_be_imported_here(library: str, without: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {library}"],
        env={"PYTHONPATH": str(without)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"no {library} here" in done.stderr


@pytest.mark.parametrize(("matrix", "scale", "only"), MATRICES)
def test_plan_status_and_retry_import_nothing_heavy(
    matrix: str, scale: ScaleName, only: str, without: Path, tmp_path: Path
) -> None:
    *others, last = recorded(built(matrix, scale), only, tmp_path)
    last.result_file.unlink()
    last.fail("ValueError", "it went wrong")

    code, output = command("plan", without, tmp_path, matrix, scale, only)
    assert code == 0, output
    assert f"stages: {len(others) + 1}, to do: 1" in output
    code, output = command("status", without, tmp_path, matrix, scale, only)
    assert code == 0, output
    assert f"{len(others):5d} done" in output
    assert "    1 failed" in output
    assert "it went wrong" in output
    code, output = command("retry", without, tmp_path, matrix, scale, only)
    assert code == 0, output
    assert "1 failures cleared" in output
    assert not last.failed_file.exists()


def test_a_launch_with_nothing_to_train_writes_its_matrix_and_imports_nothing_heavy(
    without: Path, tmp_path: Path
) -> None:
    records = recorded(built("ablation", "smoke"), "", tmp_path)
    code, output = command("run", without, tmp_path, "ablation", "smoke", "")
    assert code == 0, output
    assert f"all {len(records)} stages are done" in output
    file = tmp_path / "matrices" / "ablation-smoke.json"
    assert decode(file.read_bytes(), Matrix) == built("ablation", "smoke")


SCALED = [(name, scale) for name in BUILT_IN for scale in ("smoke", "laptop", "paper")]
for without_laptop in ("imagenet", "imagenet-100"):
    SCALED.remove((without_laptop, "laptop"))
    SCALED.append((without_laptop, "headline"))


@pytest.mark.parametrize(("name", "scale"), SCALED)
def test_every_pair_of_ours_says_what_its_networks_cost(name: str, scale: ScaleName) -> None:
    pairs = [grid.pair for grid in built(name, scale).grids]
    assert pairs
    assert all(pair.student_macs and pair.teacher_macs for pair in pairs)
