"""A frozen teacher whose logits are kept in a file: the same bits, however they come."""

import errno
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from qkd.phases import SELF_STUDY, TUTORING
from qkd.records.logits import FOLDER, LogitsFile, source_of
from qkd.records.record import Store
from qkd.spec import Bits, Quantization, Stage
from qkd.spec.history import parents, seed_of
from qkd.train import run_stage
from qkd.training.kept import KeptTeacher, kept_teacher
from qkd.training.step import Side
from tests.support import small

STEPS = 40
KD = small.stage((TUTORING, STEPS))
TUTORED = small.stage((SELF_STUDY, 8), (TUTORING, STEPS - 8))


def at_bits(stage, bits):
    quantization = Quantization(bits=Bits(weight=bits, activation=bits))
    student = msgspec.structs.replace(stage.history.student, quantization=quantization)
    history = msgspec.structs.replace(stage.history, student=student)
    return Stage(history=history, steps=stage.steps)


def keeping(runtime, *stages, **changes):
    digests = tuple(stage.history.digest for stage in stages)
    return msgspec.structs.replace(runtime, kept_logits=digests, **changes)


@pytest.fixture(scope="module")
def taught(trained, runtime, tmp_path_factory):
    """Plain KD, and a tutoring after self-study, by a teacher that answers each step."""
    store = small.beginning(trained, tmp_path_factory.mktemp("taught"), *parents(KD))
    before = small.stage((SELF_STUDY, 8))
    for stage in (KD, before, TUTORED, at_bits(KD, 4)):
        run_stage(stage, store, runtime)
        store.refresh()
    return store


@pytest.fixture
def begun(taught, tmp_path):
    """A store with what the stages go on from, in a results folder of its own."""
    return small.beginning(taught, fresh(tmp_path / "stages"), *parents(KD), *parents(TUTORED)[:1])


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture
def asked(monkeypatch):
    """The steps that a frozen teacher was asked for in this process."""
    steps, forward = [], Side.forward

    def counting(side, images, seed, step, part=0):
        if side.name == "teacher" and side.optimiser is None:
            steps.append(step)
        return forward(side, images, seed, step, part)

    monkeypatch.setattr(Side, "forward", counting)
    return steps


def train(stage, store, runtime):
    run_stage(stage, store, runtime)
    store.refresh()
    return store.record(stage.history)


def assert_same(record, taught, stage):
    undisturbed = taught.record(stage.history)
    small.assert_same_end(record, undisturbed)
    assert small.lines(record) == small.lines(undisturbed)
    results = [one.read_json(one.result_file) for one in (record, undisturbed)]
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]


def read_of(record):
    return record.read_json(record.result_file).get("logits_read", 0)


def only_file(store):
    (found,) = store.root.with_name(FOLDER).iterdir()
    return found


def test_who_comes_second_asks_once_and_gets_the_same_bits(taught, begun, runtime, asked):
    other = at_bits(KD, 4)
    told = keeping(runtime, KD, other, TUTORED)
    first = train(KD, begun, told)
    assert asked == list(range(STEPS))
    assert read_of(first) == 0
    assert_same(first, taught, KD)
    asked.clear()
    second = train(other, begun, told)
    assert asked == [0]  # to compare
    assert read_of(second) == STEPS
    assert_same(second, taught, other)
    asked.clear()
    train(small.stage((SELF_STUDY, 8)), begun, told)
    tutored = train(TUTORED, begun, told)
    assert asked == [8]
    assert_same(tutored, taught, TUTORED)
    assert only_file(begun).stat().st_size == STEPS * source_of(KD).row_bytes


@pytest.mark.parametrize(
    "moment",
    [("step", 18), *(pytest.param(("step", n), marks=pytest.mark.slow) for n in (7, 33))],
)
def test_a_stage_that_is_killed_goes_on_to_the_same_bits(taught, begun, runtime, moment):
    told = keeping(runtime, KD, save_seconds=0.0)
    small.killed(KD, begun, told, moment)
    assert_same(train(KD, begun, told), taught, KD)
    other = at_bits(KD, 4)
    told = keeping(runtime, other, save_seconds=0.0)
    small.killed(other, begun, told, moment)
    record = train(other, begun, told)
    assert_same(record, taught, other)
    assert read_of(record) == STEPS


def damage_a_bit(path):
    content = bytearray(path.read_bytes())
    content[source_of(KD).row_bytes * 20 + 100] ^= 1
    path.write_bytes(content)


def damage_a_signature(path):
    content = bytearray(path.read_bytes())
    content[source_of(KD).row_bytes * 20] ^= 1
    path.write_bytes(content)


def cut_within_a_row(path):
    path.write_bytes(path.read_bytes()[: source_of(KD).row_bytes * 20 + 100])


def swap_two_rows(path):
    length, content = source_of(KD).row_bytes, path.read_bytes()
    rows = [content[begin : begin + length] for begin in range(0, len(content), length)]
    rows[20], rows[21] = rows[21], rows[20]
    path.write_bytes(b"".join(rows))


MORE_DAMAGE = (damage_a_signature, cut_within_a_row, swap_two_rows)


@pytest.mark.parametrize(
    "damage",
    [damage_a_bit, *(pytest.param(more, marks=pytest.mark.slow) for more in MORE_DAMAGE)],
)
def test_damage_is_noticed_and_mended(taught, begun, runtime, asked, damage):
    other = at_bits(KD, 4)
    told = keeping(runtime, KD, other)
    train(KD, begun, told)
    path = only_file(begun)
    whole = path.read_bytes()
    damage(path)
    asked.clear()
    record = train(other, begun, told)
    assert 20 in asked
    assert 19 not in asked
    assert_same(record, taught, other)
    assert path.read_bytes() == whole
    assert "is damaged in chunk 1: computed again" in record.log_file.read_text()


@pytest.mark.slow
def test_rows_that_were_never_written_are_no_damage(taught, begun, runtime, asked):
    told = keeping(runtime, KD)
    first = train(KD, begun, told)
    path = only_file(begun)
    content = bytearray(path.read_bytes())
    length = source_of(KD).row_bytes
    content[20 * length : 21 * length] = bytes(length)
    path.write_bytes(content)
    asked.clear()
    other = at_bits(KD, 4)
    record = train(other, begun, keeping(runtime, other))
    assert asked == [0, 20]
    assert read_of(record) == STEPS - 1
    assert "damaged" not in record.log_file.read_text() + first.log_file.read_text()
    assert_same(record, taught, other)


def test_two_workers_at_once_agree_and_no_step_is_computed_twice(taught, begun, runtime):
    stages = [KD, at_bits(KD, 4)]
    told = keeping(runtime, *stages)
    workers = [
        small.processes.Process(target=run_stage, args=(stage, Store(begun.root), told))
        for stage in stages
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    begun.refresh()
    records = [begun.record(stage.history) for stage in stages]
    for record, stage in zip(records, stages, strict=True):
        assert_same(record, taught, stage)
    assert sum(map(read_of, records)) == STEPS
    assert only_file(begun).suffix == ".f32"  # no claim is left behind


@pytest.mark.slow
def test_logits_that_are_not_this_teachers_are_not_used(taught, begun, runtime, asked, monkeypatch):
    """Signed as they should be, and yet another's: an arithmetic that the file's name misses."""
    told = keeping(runtime, KD)
    train(KD, begun, told)
    other = at_bits(KD, 4)
    read = LogitsFile.read

    def nudged(file, steps):
        return {
            step: row[:-4] + torch.tensor([1.5]).numpy().tobytes()
            for step, row in read(file, steps).items()
        }

    monkeypatch.setattr(LogitsFile, "read", nudged)
    asked.clear()
    record = train(other, begun, keeping(runtime, other))
    assert asked == list(range(STEPS))
    assert_same(record, taught, other)
    assert "holds other logits than this teacher gives" in record.log_file.read_text()


@pytest.mark.slow
def test_a_full_disk_stops_nothing(taught, begun, runtime, monkeypatch):
    def full(file, rows):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LogitsFile, "write", full)
    record = train(KD, begun, keeping(runtime, KD))
    assert_same(record, taught, KD)
    assert "No space left on device; the teacher answers" in record.log_file.read_text()


def test_what_is_not_asked_for_is_not_kept(begun, runtime):
    told = keeping(runtime, at_bits(KD, 4))
    train(KD, begun, told)
    assert not begun.root.with_name(FOLDER).exists()


def teacher_of(network=None):
    return Side("teacher", network or nn.Sequential(nn.Flatten(), nn.Linear(256, 10)))


@pytest.mark.parametrize("changes", [{"micro_batches": 2}, {"compile": True}])
def test_parts_of_a_batch_and_compiled_steps_have_a_teacher_of_their_own(
    begun, runtime, tmp_path, changes
):
    teacher, told = teacher_of(), keeping(runtime, KD)
    assert isinstance(kept_teacher(teacher, KD, begun, told, batches=None, say=print), KeptTeacher)
    told = keeping(runtime, KD, **changes)
    assert kept_teacher(teacher, KD, begun, told, batches=None, say=print) is teacher


def path_of(begun, runtime, teacher, stage=KD):
    return kept_teacher(
        teacher, stage, begun, keeping(runtime, stage), batches=None, say=print
    )._file.path


def test_another_arithmetic_is_another_file(begun, runtime, monkeypatch):
    teacher = teacher_of()
    found = {path_of(begun, runtime, teacher)}
    assert path_of(begun, runtime, teacher, at_bits(KD, 4)) in found
    for changes in ({"threads": 2}, {"portable": True}):
        found.add(path_of(begun, msgspec.structs.replace(runtime, **changes), teacher))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    found.add(path_of(begun, runtime, teacher))
    monkeypatch.undo()
    with torch.no_grad():
        teacher.network[1].bias += 1
    found.add(path_of(begun, runtime, teacher))
    assert len(found) == 5
    assert len({path.name.partition("-")[0] for path in found}) == 1


def test_draws_are_those_of_the_history():
    assert source_of(KD).draws == seed_of(0, "from a start", 0)
    seeds = {msgspec.structs.replace(KD.history, seed=seed).draws for seed in (0, 1, 2)}
    assert len(seeds) == 3


@pytest.mark.parametrize(
    "stage",
    [
        small.stage(*small.SELF_STUDIED),
        small.stage(*small.CO_STUDIED),
        small.stage(*small.TUTORED),  # its teacher is this student's own
        small.stage((TUTORING, STEPS), precision="bfloat16"),
        small.stage((TUTORING, STEPS), frozen_teacher_precision="bfloat16"),
        small.starts()[0],
    ],
)
def test_what_nobody_shares_or_is_not_in_float32_is_not_kept(stage):
    assert source_of(stage) is None


def test_tutoring_by_the_teacher_as_it_started_shares_what_plain_kd_keeps():
    original = msgspec.structs.replace(TUTORING, name="tutoring-start", teacher_state="start")
    assert source_of(small.stage(*small.CO_STUDIED, (original, 10))) == source_of(KD)
