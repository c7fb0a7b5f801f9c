"""What a quantized stage's result says of its bits."""

import base64
from pathlib import Path

import numpy
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from qkd.data.batches import evaluation_batches
from qkd.data.cache import load
from qkd.data.standard import SYNTHETIC
from qkd.imports import load_file
from qkd.measures.audit import AuditFailed
from qkd.measures.evaluate import answers
from qkd.measures.evidence import audited, proven
from qkd.models.resnet_cifar import resnet
from qkd.phases import SELF_STUDY
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.quantize import quantize, set_intervals
from qkd.spec.history import parents
from qkd.train import StageFailed, run_stage
from qkd.training.begin import build
from tests.support import small

CPU = torch.device("cpu")


def result_of(trained, history):
    record = trained.record(history)
    return record.read_json(record.result_file)


@pytest.mark.parametrize("parts", [small.SELF_STUDIED, small.CO_STUDIED, small.TUTORED])
def test_a_quantized_stages_result_holds_its_audit_and_its_proof(trained, parts):
    result = result_of(trained, small.history(*parts))
    assert [row["layer"] for row in result["audit"]][::7] == ["conv1", "linear"]
    assert all(row["weights"]["levels"] <= 3 for row in result["audit"][1:-1])
    assert all(row["activations"]["levels"] <= 4 for row in result["audit"][1:-1])
    integer = result["integer"]
    assert integer["agreement"] == 1.0
    assert integer["images"] == result["student"]["images"]
    assert integer["top1"] == integer["top1_reference"]
    assert abs(integer["top1"] - result["student"]["top1"]) < 5
    assert "integer_refused" not in result


def test_a_full_precision_stage_has_none(trained):
    result = result_of(trained, small.PAIR.student_start)
    assert not {"audit", "integer", "integer_refused"} & result.keys()


def test_which_test_images_were_right_is_kept_for_each(trained, runtime):
    history = small.history(*small.TUTORED)
    student = result_of(trained, history)["student"]
    packed = numpy.frombuffer(base64.b64decode(student["correct"]), dtype=numpy.uint8)
    bits = torch.from_numpy(numpy.unpackbits(packed)[: student["images"]]).bool()
    network = build(history.student, 0, "weights", CPU)
    network.load_state_dict(small.loaded(trained.record(history))["student"]["network"])
    test = load(SYNTHETIC, Path(runtime.data)).test
    found = answers(network, evaluation_batches(test, SYNTHETIC, CPU, batch=33))
    assert torch.equal(bits, found.correct)
    assert bits.sum() == student["correct1"]
    assert torch.equal(found.correct, found.predictions == torch.tensor(test.labels))


class Narrow(nn.Module):
    """Works in float32 alone."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, stride=4), nn.Conv2d(4, 4, 1)
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        return self.last(self.second(self.first(x)).relu().flatten(1).float())


def test_a_network_that_cannot_be_proven_keeps_its_result_which_says_why(runtime):
    test = load(SYNTHETIC, Path(runtime.data)).test
    network = quantize(Narrow(), small.W2A2)
    set_intervals(network, torch.rand(8, 1, 16, 16), small.W2A2)
    tested = answers(network, evaluation_batches(test, SYNTHETIC, CPU))
    rows = audited(network, test, SYNTHETIC)["audit"]
    assert [row.layer for row in rows] == ["first", "second", "last"]
    found = proven(network, test, SYNTHETIC, tested)
    assert found["integer_refused"].startswith("RuntimeError: ")
    assert "integer" not in found


QUANTIZERS = """
from torch import nn
from qkd.quantizers.interval import IntervalQuantizer

class TooFine(IntervalQuantizer):
    @property
    def steps(self):
        return 4

class Codeless(nn.Module):
    def __init__(self, bits, signed):
        super().__init__()
        self.bits, self.signed, self.levels = bits, signed, 4

    def initialise(self, tensor, rule):
        pass

    def forward(self, x):
        return x.round().clamp(-2, 1)
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "TooFine",
            "AuditFailed: TooFine of the inputs of .* declares 5 levels, which is not 2 bits",
        ),
        ("Codeless", r"the quantizer Codeless has no method codes\(x\), which gives its output"),
    ],
)
def test_a_bad_quantizer_of_ones_own_is_named_before_training(
    *, name, message, user_file, trained, runtime, tmp_path
):
    load_file(user_file("own_quantizers.py", QUANTIZERS))
    stage = small.stage((SELF_STUDY, 5))
    own = replace(small.W2A2, quantizer=f"own_quantizers:{name}")
    student = replace(stage.history.student, quantization=own)
    stage = replace(stage, history=replace(stage.history, student=student))
    store = small.beginning(trained, tmp_path / "stages", *parents(stage))
    with pytest.raises(StageFailed, match=message):
        run_stage(stage, store, runtime)
    store.refresh()
    record = store.record(stage.history)
    assert record.failed_file.exists()
    assert not record.metrics_file.exists()


def test_an_audit_that_fails_at_the_end_is_no_result(runtime):
    test = load(SYNTHETIC, Path(runtime.data)).test
    network = quantize(resnet(8, 4, 1, 10), small.W2A2)
    network.layer1[0].conv1.weight_quantizer = _Believed(8, True)
    with pytest.raises(AuditFailed, match=r"weights of layer1\.0\.conv1 gave \d+ distinct values"):
        audited(network, test, SYNTHETIC)


class _Believed(IntervalQuantizer):
    """Eight bits that are called two."""

    @property
    def levels(self):
        return 3
