"""Exported students are timed against float32 on the programs that run them."""

from functools import partial

import pytest

import benchmarks.elsewhere.__main__ as command
from benchmarks.elsewhere import measures
from benchmarks.elsewhere.figures import Elsewhere
from benchmarks.elsewhere.measures import latencies
from benchmarks.speed.steps import Case
from qkd.models.resnet_cifar import resnet
from qkd.spec.value import decode, encode, validated
from report.reading.machines import measured
from tests.report.test_speed import MACHINE
from tests.support.exported import WHY

TINY = Case("tiny", lambda: resnet(8, 4, 1), (4, 1, 8, 8), 10)


@pytest.mark.slow
def test_every_form_has_a_ratio_its_bytes_and_its_integer_layers(monkeypatch):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=WHY)
    monkeypatch.setattr(measures, "BITS", (2, 8))
    monkeypatch.setattr(measures, "MEASURED", ("onnxruntime, ENABLE_ALL",))
    monkeypatch.setattr(measures, "LEAST_SECONDS", 0.0)
    skipped = {}
    found = list(latencies(skipped, (TINY,)))
    assert skipped == {}
    assert [(one.bits, one.form) for one in found] == [
        ("W2A2", "onnx"),
        ("W2A2", "onnx-int4"),
        ("W2A2", "onnx-folded"),
        ("W8A8", "onnx"),
        ("W8A8", "onnx-folded"),
    ]
    assert all(0 < one.low <= one.ratio <= one.high for one in found)
    assert found[1].size < found[0].size
    assert all(one.integer_layers == 1 and one.layers == 8 for one in found)
    told = validated(Elsewhere(machine=MACHINE, latencies=tuple(found)))
    assert decode(encode(told), Elsewhere) == told


def test_a_program_that_is_not_there_is_said_to_be_skipped(monkeypatch):
    def missing():
        raise ImportError("no such module")

    one = measures.CONSUMERS[0]._replace(name="a", version=missing)
    monkeypatch.setattr(measures, "CONSUMERS", (one,))
    monkeypatch.setattr(measures, "MEASURED", ("a",))
    skipped = {}
    assert list(latencies(skipped, ())) == []
    assert "make consumers" in skipped["a"]


@pytest.mark.slow
def test_the_command_writes_a_file_that_the_report_reads(tmp_path, monkeypatch, capsys):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=WHY)
    monkeypatch.setattr(measures, "BITS", (8,))
    monkeypatch.setattr(measures, "MEASURED", ("onnxruntime, ENABLE_ALL",))
    monkeypatch.setattr(measures, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(command, "latencies", partial(latencies, cases=(TINY,)))
    monkeypatch.setenv("QKD_RESULTS", str(tmp_path))
    assert command.main() == 0
    problems = []
    (found,) = measured(Elsewhere, "export", tmp_path, problems, tmp_path / "none")
    assert problems == []
    assert len(found.latencies) == 2
    assert "make report shows it" in capsys.readouterr().out
