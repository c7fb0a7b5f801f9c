"""What the runtime may change of a stage, and what not."""

import shutil

import pytest
import torch
from msgspec.structs import replace

from qkd.phases import TUTORING
from qkd.quantizers.layers import rounding_again
from qkd.spec import Stage
from qkd.spec.history import parents
from qkd.train import run_stage
from qkd.training import checkpoint
from qkd.training.begin import teacher_at_start
from qkd.training.loop import Stopped
from tests.qkd.training.test_train import run, stopped_after
from tests.support import small

CPU = torch.device("cpu")


def needs_a_compiler(test):
    skipped = pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
    quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the compiler's own
    return pytest.mark.slow(skipped(quiet(test)))


def test_lean_changes_no_bit(trained, runtime, tmp_path, monkeypatch):
    stage = small.stage(*small.CO_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    made_anew = []

    def counting(*rounded):
        made_anew.append(len(rounded))
        return rounding_again(*rounded)

    monkeypatch.setattr("qkd.quantizers.layers.rounding_again", counting)
    record = run(stage, store, replace(runtime, lean=True))
    assert len(made_anew) >= stage.steps * 8  # each layer of ResNet-8 at each step
    small.assert_same_end(record, trained.record(stage.history))
    assert record.read_json(record.environment_file)["lean"] is True


@needs_a_compiler
def test_a_compiled_stage_goes_on_compiled_though_lean_is_asked_for(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    with pytest.raises(Stopped):
        run_stage(stage, store, runtime, should_stop=stopped_after(19))
    record = store.record(stage.history)
    content = small.loaded(record) | {"compile": True}
    del content["version"]
    checkpoint.save(record.checkpoint_file, content)
    with pytest.raises(Stopped):
        run_stage(stage, store, replace(runtime, lean=True), should_stop=lambda: True)
    environment = record.read_json(record.environment_file)
    assert (environment["compile"], environment["lean"]) == (True, False)


def test_another_codes_numerics_are_not_trained(trained, runtime, tmp_path):
    stage = small.stage(*small.SELF_STUDIED)
    older = Stage(history=replace(stage.history, numerics=1), steps=stage.steps)
    store = small.beginning(trained, tmp_path, *parents(stage))
    with pytest.raises(ValueError, match="numerics 1, this code computes by numerics 2"):
        run_stage(older, store, runtime)
    assert not store.record(older.history).path.exists()


def test_lean_and_compile_exclude_each_other(runtime):
    with pytest.raises(ValueError, match="leave LEAN out"):
        replace(runtime, lean=True, compile=True)


@needs_a_compiler
def test_a_compiled_stage_ends_near_the_other_and_goes_on_compiled(trained, runtime, tmp_path):
    stage = small.stage(*small.TUTORED)
    store = small.beginning(trained, tmp_path, *parents(stage))
    compiled = replace(runtime, compile=True)
    with pytest.raises(Stopped):
        run_stage(stage, store, compiled, should_stop=stopped_after(6))
    assert small.loaded(store.record(stage.history))["step"] == 46
    record = run(stage, store, runtime)  # not asked for this time
    assert record.read_json(record.environment_file)["compile"] is True
    result = record.read_json(record.result_file)
    assert 0 < result["compile_seconds"] <= result["seconds"]
    ours, eager = (small.lines(s.record(stage.history)) for s in (store, trained))
    for one, other in zip(ours, eager, strict=True):
        assert one["losses"] == pytest.approx(other["losses"], rel=0.02)


def test_a_frozen_teacher_may_be_less_precise_and_is_another_history(trained):
    stages = [
        small.stage((TUTORING, 5), frozen_teacher_precision=precision)
        for precision in (None, "bfloat16")
    ]
    assert len({stage.history.digest for stage in stages}) == 2
    images = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    whole, coarse = (teacher_at_start(s, trained, CPU).forward(images, 0, 0) for s in stages)
    assert (whole.dtype, coarse.dtype) == (torch.float32, torch.bfloat16)
    assert not torch.equal(whole, coarse.float())
    torch.testing.assert_close(coarse.float(), whole, rtol=0.1, atol=0.1)


def test_what_a_frozen_teacher_says_can_be_learned_from(trained):
    # It runs in inference mode, whose tensors autograd refuses to keep.
    stage = small.stage((TUTORING, 5))
    logits = teacher_at_start(stage, trained, CPU).forward(torch.zeros(2, 1, 16, 16), 0, 0)
    assert not logits.is_inference()
    assert not logits.requires_grad
