"""Records that can be committed: whole, small, and silent about the machine."""

import json
from pathlib import Path

import msgspec
import pytest

from benchmarks.ablation import matrix
from benchmarks.pairs import cifar_resnet, from_file
from benchmarks.plan import plan
from qkd.data.standard import SYNTHETIC
from qkd.records.code import changes, code_of
from qkd.records.record import Store
from qkd.spec import Stage, Weights
from slurm.planning.matrices import remember
from slurm.publish import publish


def test_published_records_are_read_again_and_name_no_machine(tmp_path: Path) -> None:
    results, target = tmp_path / "results", tmp_path / "reference"
    whole = matrix("smoke", (0,))
    remember(whole, results)
    stages = [planned.stage for planned in plan(list(whole.cells())).stages.values()]
    store = Store(results / "stages")
    for stage in stages[:2]:
        record = store.record(stage.history)
        record.open(stage)
        environment = {"torch": "2", "host": "secret", "command": ["secret"], "data": "/secret"}
        record.write_json(record.environment_file, environment)
        record.checkpoint_file.write_bytes(b"weights")
        record.log_file.write_text("secret")
        record.write_json(record.histograms_file, {"edges": [0.0]})
        names = ("mine.py", "/secret/lib/blocks.py")
        files = [{"name": name, "sha256": "a" * 64} for name in names]
        record.write_json(record.code_file, {"folder": "/secret", "files": files})
    record.write_json(record.result_file, {"steps": 1})

    (results / "launches.jsonl").write_text("{}\n")
    assert publish(results, target) == 1  # the other one is not done
    copies = [path for path in target.rglob("*") if path.is_file()]
    assert {path.name for path in copies} == {
        "stage.json",
        "code.json",
        "env.json",
        "histograms.json",
        "result.json",
        "ablation-smoke.json",
        "launches.jsonl",
    }
    assert not any("secret" in path.read_text() for path in copies)
    again = Store(target / "stages").record(stages[1].history)
    assert again.stage() == stages[1]
    assert json.loads(again.environment_file.read_text()) == {"torch": "2"}
    assert [file.name for file in code_of(again).files] == ["mine.py", "blocks.py"]
    assert changes([again]) == []  # where the files lay is not known here


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("file:/mine/data/x.th", "file:x.th"),
        ("file:/x.th", "file:x.th"),
        ("file:../elsewhere/x.th", "file:x.th"),
        ("file:cifar10/x.th", "file:cifar10/x.th"),
    ],
)
def test_a_path_of_ready_weights_outside_the_data_folder_is_not_published(
    tmp_path: Path, given: str, kept: str
) -> None:
    results, target = tmp_path / "results", tmp_path / "reference"
    network = cifar_resnet(8, width=4, channels=1, classes=10, size=16).network
    history = from_file(network, SYNTHETIC, Weights(source=given, sha256="0" * 64))
    stage = Stage(history=history, steps=0)
    record = Store(results / "stages").record(history)
    record.open(stage)
    record.write_json(record.environment_file, {})
    record.write_json(record.result_file, {"steps": 0})
    whole = matrix("smoke", (0,))
    pair = msgspec.structs.replace(whole.grids[0].pair, student_start=history)
    grid = msgspec.structs.replace(whole.grids[0], pair=pair)
    remember(msgspec.structs.replace(whole, grids=(grid,)), results)
    assert publish(results, target) == 1
    again = Store(target / "stages").record(history).stage().history
    assert again.digest == history.digest
    assert again.student.weights is not None
    assert again.student.weights.source == kept
    (file,) = (target / "matrices").iterdir()
    assert f'"{kept}"' in file.read_text()
    assert (f'"{given}"' in file.read_text()) == (given == kept)
