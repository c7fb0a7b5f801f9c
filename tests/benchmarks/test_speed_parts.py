"""Operations, kept logits and the GPU's script of `make speed`, on small networks."""

import pytest
import torch

from benchmarks.speed import gpu, kept, operations
from benchmarks.speed.figures import Figure
from benchmarks.speed.steps import LAPTOP
from qkd.models.resnet_cifar import resnet

CPU = torch.device("cpu")
SMALL = LAPTOP._replace(shape=(4, 1, 16, 16))
TEACHER = SMALL._replace(name="teacher", make=lambda: resnet(14, 4, 1))


def test_operations_add_up_to_what_the_quantized_step_costs_more(monkeypatch):
    monkeypatch.setattr(operations, "CASES", (SMALL,))
    before, now = operations.spent(SMALL, CPU, steps=2)
    # As many convolutions, and rounding, which the float step has none of.
    convolutions = [name for name in now if "convolution" in name.lower()]
    assert {now[name].calls for name in convolutions} == {
        before[name].calls for name in convolutions
    }
    assert any("round" in name.lower() for name in now.keys() - before.keys())
    figures = list(operations.operations(CPU, steps=2))
    assert figures[-1].name.endswith("all others")
    ratios = [figure.ratio for figure in figures[:-1]]
    assert ratios == sorted(ratios, reverse=True)
    assert min(ratios) >= operations.LEAST


def test_kept_logits_are_read_at_every_timed_step(monkeypatch):
    monkeypatch.setattr(kept, "CASES", (SMALL,))
    monkeypatch.setattr(kept, "TEACHER", TEACHER)
    (figure,) = kept.kept_logits(CPU, rounds=2)
    assert figure.ratio > 0
    assert figure.goal == 1.10


def test_without_cuda_the_gpus_script_says_so_and_ends_well(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("QKD_RESULTS", str(tmp_path))
    assert gpu.main() == 0
    assert "no CUDA device" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_group_that_would_begin_too_late_is_skipped_with_the_reason():
    def measure():
        yield Figure(group="g", name="n", ratio=1.0)

    skipped = {}
    assert len(gpu.measured({"first": measure}, skipped, seconds=60)) == 1
    assert gpu.measured({"second": measure}, skipped, seconds=-1) == []
    assert list(skipped) == ["second"]


@pytest.mark.slow
def test_a_run_beside_itself_is_equal_and_beside_a_longer_one_is_not(tmp_path):
    # By the CPU, where the very same stages run; how far a GPU is from it only a GPU can say.
    equal, differing, top1 = gpu.repeated("cpu", steps=20)
    assert (equal.ratio, differing.ratio, top1.ratio) == (1.0, 0.0, 0.0)
    assert equal.met
    assert differing.met
    whole = gpu.stages(20)
    assert [stage.history.student.quantization is None for stage in whole].count(False) == 3
    gpu._trained(whole, tmp_path, "cpu", tmp_path / "data")
    early, late = (gpu._answers(stage, tmp_path, tmp_path / "data") for stage in whole[-3::2])
    apart = list(gpu._apart(early, late))
    share = float((early.predictions != late.predictions).double().mean())
    assert 0 < share == apart[0].ratio
