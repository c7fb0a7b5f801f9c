"""Stages in which nothing ends that is measured: no integer proof, until one is asked for."""

import msgspec
import pytest

from benchmarks.plan import Plan, Planned
from qkd.records.record import Store
from qkd.spec.history import parents
from qkd.train import StageFailed, run_stage
from slurm.local.executor import Event
from slurm.local.schedule import Schedule
from slurm.planning.statuses import Status, statuses
from tests.support import small

STAGE = small.stage(*small.SELF_STUDIED)
DIGEST = STAGE.history.digest
CLOCK = (
    "seconds",
    "wall_seconds",
    "images_per_second",
    "peak_memory_mib",
    "checkpoint_sha256",
    "checkpoint_bytes",
    "compile_seconds",
)


@pytest.fixture
def unproven(trained, runtime, tmp_path):
    """A store in which the stage was trained without a proof."""
    store = small.beginning(trained, tmp_path / "stages", *parents(STAGE))
    run_stage(STAGE, store, msgspec.structs.replace(runtime, unproven=(DIGEST,)))
    store.refresh()
    return store


def result_of(store):
    record = store.record(STAGE.history)
    return record.read_json(record.result_file)


def without(result, *names):
    return {key: value for key, value in result.items() if key not in names}


def test_a_stage_in_which_nothing_ends_keeps_its_audit_alone(unproven, trained):
    result, proven = result_of(unproven), result_of(trained)
    assert not {"integer", "integer_refused", "reestimated_training"} & result.keys()
    assert result["audit"] == proven["audit"]
    assert without(result, *CLOCK) == without(proven, "integer", "reestimated_training", *CLOCK)
    assert unproven.lacks_proof(STAGE.history)
    assert not trained.lacks_proof(STAGE.history)


def test_its_proof_is_made_when_it_is_asked_for_and_changes_nothing_else(
    unproven, trained, runtime
):
    record = unproven.record(STAGE.history)
    before, files = result_of(unproven), small.hashes(record.path)
    run_stage(STAGE, unproven, runtime)
    after = result_of(unproven)
    assert without(after, "integer", "reestimated_training") == before
    assert after["reestimated_training"] == result_of(trained)["reestimated_training"]
    assert without(after["integer"], "seconds") == without(result_of(trained)["integer"], "seconds")
    changed = small.hashes(record.path)
    assert {name for name in files if changed[name] != files[name]} == {"result.json", "log.txt"}
    assert changed.keys() == files.keys()
    run_stage(STAGE, unproven, runtime)
    assert small.hashes(record.path) == changed


def test_it_is_not_proven_where_it_is_not_asked_for(unproven, runtime):
    files = small.hashes(unproven.record(STAGE.history).path)
    run_stage(STAGE, unproven, msgspec.structs.replace(runtime, unproven=(DIGEST,)))
    assert small.hashes(unproven.record(STAGE.history).path) == files


def test_another_checkpoint_than_the_results_is_refused(unproven, runtime):
    record = unproven.record(STAGE.history)
    before = result_of(unproven)
    start = unproven.record(small.PAIR.student_start)
    record.checkpoint_file.write_bytes(start.checkpoint_file.read_bytes())
    with pytest.raises(StageFailed, match="its sha256 is not the one"):
        run_stage(STAGE, unproven, runtime)
    assert result_of(unproven) == before


def test_without_its_checkpoint_it_stays_as_it_is(unproven):
    unproven.record(STAGE.history).checkpoint_file.unlink()
    assert not unproven.lacks_proof(STAGE.history)
    assert statuses(plan_of(is_end=True), unproven)[DIGEST] == Status.DONE


def plan_of(*, is_end):
    """The stage with those that it goes on from."""
    stages = {one.history.digest: one for one in (small.starts()[0], STAGE)}
    planned = {
        key: Planned(one, key, tuple(h.digest for h in parents(one)), 1, is_end and key == DIGEST)
        for key, one in stages.items()
    }
    return Plan(planned, [], 1)


class Here:
    """Stages run in this process."""

    has_room = True

    def __init__(self, store, runtime):
        self.store, self.runtime, self.submitted = store, runtime, []

    def submit(self, stage):
        run_stage(stage, self.store, self.runtime)
        self.submitted.append(stage.history.digest)

    def events(self, seconds):
        found = [Event("done", digest) for digest in self.submitted]
        return found


def test_a_launch_proves_what_was_trained_where_no_cell_ended(unproven, trained, runtime):
    assert statuses(plan_of(is_end=False), unproven)[DIGEST] == Status.DONE
    assert statuses(plan_of(is_end=True), unproven)[DIGEST] == Status.UNPROVEN
    executor = Here(unproven, runtime)
    schedule = Schedule(plan_of(is_end=True), unproven, executor, lambda _: None)
    schedule.run()
    assert executor.submitted == [DIGEST]
    assert set(schedule.status.values()) == {Status.DONE}
    assert schedule.trained == set()
    again = Store(unproven.root)
    assert set(statuses(plan_of(is_end=True), again).values()) == {Status.DONE}
    assert result_of(again)["integer"]["agreement"] == 1.0
