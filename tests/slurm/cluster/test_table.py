"""What ``make status`` shows of stages that are at work or stuck."""

import pytest

from benchmarks.settings import from_environment
from qkd.records.lock import Lock
from qkd.records.schema import Line
from slurm.cluster.standing import by_records
from slurm.planning.work import prepare
from tests.support.launching import environment, launch


def test_names_are_whole_on_a_narrow_terminal_and_who_is_at_work_says_how_far(tmp_path, data):
    work = prepare(from_environment(environment(tmp_path, data, SEEDS="0,1")))
    longest = sorted(work.plan.stages, key=lambda key: len(work.record(key).path.name))
    running, failed = longest[-2:]
    stages = {key: work.plan.stages[key].stage for key in (running, failed)}
    for key, stage in stages.items():
        work.record(key).open(stage)
    record, stage = work.record(running), stages[running]
    step = stage.history.steps - stage.steps + 3
    record.append_metrics(Line(step=step, phase="tutoring", losses={}, learning_rate=0.1))
    work.record(failed).fail("ValueError", "a reason in words")
    with Lock(record.lock_file):
        code, output = launch("status", tmp_path, data, {"COLUMNS": "60"}, SEEDS="0,1")
    assert code == 0, output
    rows = [line.strip("│").split("│") for line in output.splitlines() if line.startswith("│")]
    names, _, details = (
        "".join(cell.strip() for cell in column) for column in zip(*rows, strict=True)
    )
    shown = {f"resnet{rest}" for rest in names.split("resnet")[1:]}
    assert shown == {work.record(key).path.name for key in stages}
    assert f"step 3 of {stage.steps}, epoch" in " ".join(row[2].strip() for row in rows)
    assert "areasoninwords" in details.replace(" ", "")


@pytest.mark.parametrize(
    ("written", "told"),
    [(None, "step 0 of 60"), (b'{"step": 4, "pha', "step unknown of 60")],
    ids=["no line yet", "half a line"],
)
def test_a_step_is_told_only_where_it_is_known(tmp_path, data, written, told):
    work = prepare(from_environment(environment(tmp_path, data, SEEDS="0")))
    key = next(iter(work.plan.stages))
    stage, record = work.plan.stages[key].stage, work.record(key)
    record.open(stage)
    if written is not None:
        record.metrics_file.write_bytes(written)
    with Lock(record.lock_file):
        assert told in by_records(work)[key].detail
