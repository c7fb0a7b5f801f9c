"""Records that can be committed: whole, small, and silent about the machine."""

import json
from pathlib import Path

from benchmarks.ablation import matrix
from benchmarks.plan import plan
from qkd.record import Store
from slurm.matrices import remember
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
    record.write_json(record.result_file, {"steps": 1})

    assert publish(results, target) == 1  # the other one is not done
    copies = [path for path in target.rglob("*") if path.is_file()]
    assert {path.name for path in copies} == {
        "stage.json", "env.json", "result.json", "ablation-smoke.json",
    }  # fmt: skip
    assert not any("secret" in path.read_text() for path in copies)
    again = Store(target / "stages").record(stages[1].history)
    assert again.stage() == stages[1]
    assert json.loads(again.environment_file.read_text()) == {"torch": "2"}
