"""Which frozen teachers' logits a plan keeps, within which disk."""

import json
import os
import shutil

import msgspec
import pytest

from benchmarks.plan import Plan, Planned
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.records.logits import FOLDER, source_of
from qkd.spec import Bits, Quantization, Stage
from qkd.spec.value import digest
from slurm.planning.kept import Kept, in_words, kept
from slurm.planning.work import prepare, runtime_of
from tests.slurm.planning.test_matrices import settings
from tests.support import small
from tests.support.launching import launch, results_of

ROW = 32 + 4 * 16 * 10  # bytes of a step: a signature, and 16 images of 10 classes


def planned(*parts, bits=2, seed=0, steps=None):
    stage = small.stage(*parts, steps=steps)
    student = msgspec.structs.replace(
        stage.history.student, quantization=Quantization(bits=Bits(weight=bits, activation=bits))
    )
    history = msgspec.structs.replace(stage.history, student=student, seed=seed)
    return Planned(Stage(history=history, steps=stage.steps), history.digest, (), 1)


def work_of(tmp_path, *stages, whole=(), **variables):
    given = {"RESULTS": str(tmp_path), "DATA": str(tmp_path), "SCALE": "smoke"} | variables
    work = prepare(settings(**given))
    chosen = {one.digest: one for one in stages}
    every = chosen | {one.digest: one for one in whole}
    return work._replace(plan=Plan(chosen, [], 1), whole=Plan(every, [], 1))


KD = [planned((TUTORING, 40), bits=bits) for bits in (2, 4, 8)]
TUTORED = planned((SELF_STUDY, 30), (TUTORING, 30))
ALONE = planned((TUTORING, 40), seed=1)


def test_what_several_stages_share_is_kept_once(tmp_path):
    found = kept(work_of(tmp_path, *KD, TUTORED, ALONE))
    assert found == Kept(tuple(one.digest for one in (*KD, TUTORED)), 60 * ROW)


def test_the_rest_of_the_matrix_counts_and_what_it_does_not_choose_is_not_told(tmp_path):
    found = kept(work_of(tmp_path, KD[0], whole=KD))
    assert found == Kept((KD[0].digest,), 40 * ROW)


def test_stages_of_one_history_share_no_step(tmp_path):
    first, second = planned((TUTORING, 15)), planned((TUTORING, 40), steps=25)
    assert kept(work_of(tmp_path, first, second)) == Kept()
    work = work_of(tmp_path, first, second, KD[1])
    assert kept(work).size == 40 * ROW
    assert "none are kept" in in_words(work_of(tmp_path, first, second))


def test_a_teacher_of_the_students_own_is_not_kept(tmp_path):
    own = [planned((SELF_STUDY, 5), (CO_STUDY, 5), (TUTORING, 40), bits=bits) for bits in (2, 4)]
    assert kept(work_of(tmp_path, *own)) == Kept()


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"COMPILE": "1", "PORTABLE": "0"}, "steps are compiled (COMPILE=1)"),
        ({"MICROBATCHES": "2"}, "batches are cut (MICROBATCHES=2)"),
    ],
)
def test_nothing_is_kept_where_the_bits_would_not_be_the_teachers(tmp_path, variables, why):
    work = work_of(tmp_path, *KD, **variables)
    assert kept(work) == Kept()
    assert in_words(work) == f"frozen teachers' logits: none are kept, as {why}"


def test_other_plans_files_take_room_and_those_of_the_plan_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr("slurm.planning.kept.GIBIBYTE", 100_000)
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / f"{digest(source_of(KD[0].stage))}-0123.f32").write_bytes(os.urandom(90_000))
    assert kept(work_of(tmp_path, *KD, LOGITS="1")).stages
    (folder / "0123456789abcdef-0123.f32").write_bytes(os.urandom(60_000))
    work = work_of(tmp_path, *KD, LOGITS="1")
    found = kept(work)
    assert found.stages  # 60,000 and 26,880 bytes
    assert 60_000 <= found.others < 70_000
    assert "files of other plans take" in in_words(work)
    (folder / "0123456789abcdef-4567.f32").write_bytes(os.urandom(20_000))
    found = kept(work_of(tmp_path, *KD, LOGITS="1"))
    assert (found.stages, found.too_large) == ((), 1)


def test_most_shared_ones_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr("slurm.planning.kept.GIBIBYTE", 50 * ROW)
    pair = [planned((TUTORING, 40), seed=1, bits=bits) for bits in (2, 4)]
    found = kept(work_of(tmp_path, *pair, *KD, LOGITS="1"))
    assert found.stages == tuple(one.digest for one in KD)
    assert found.too_large == 1


def test_none_are_kept_where_there_is_no_disk_for_them(tmp_path):
    work = work_of(tmp_path, *KD, LOGITS="0")
    assert kept(work).stages == ()
    assert in_words(work) == "frozen teachers' logits: none are kept (LOGITS=0)"


def test_workers_are_told_of_their_own_stages(tmp_path):
    work = work_of(tmp_path, *KD, ALONE)
    told = runtime_of(work.settings, [KD[1], ALONE], kept(work).stages)
    assert told.kept_logits == (KD[1].digest,)


def test_imagenet_keeps_none(tmp_path):
    given = {"RESULTS": str(tmp_path), "DATA": str(tmp_path)}
    work = prepare(settings(MATRIX="imagenet", SCALE="paper", **given), unread=True)
    assert kept(work) == Kept()
    assert in_words(work).endswith("share any that can be: in float32, and not of photos")


@pytest.mark.slow
def test_a_launch_ends_in_the_same_bits_and_its_files_go_when_nothing_needs_them(
    ablation, data, tmp_path
):
    """The smoke ablation, by two workers at once, with and without the files."""
    alone = tmp_path / "alone"
    code, output = launch("run", alone, data, JOBS="2", LOGITS="0", ONLY="method=kd,fp-kd,ss+tu")
    assert code == 0, output
    assert not (alone / FOLDER).exists()
    shared = results_of(ablation)
    found = results_of(alone)
    assert found == {name: shared[name] for name in found}
    copy = tmp_path / "copy"
    shutil.copytree(ablation, copy)
    files = list((copy / FOLDER).iterdir())
    assert [one.suffix for one in files] == [".f32"] * 2  # of two seeds
    read = sum(
        json.loads(file.read_text()).get("logits_read", 0)
        for file in copy.glob("stages/*/result.json")
    )
    assert read > 0
    code, output = launch("clean-checkpoints", copy, data)
    assert code == 0, output
    assert "removed the frozen teacher's logits" in output
    assert not list((copy / FOLDER).iterdir())
