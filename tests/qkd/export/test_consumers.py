"""Every consumer runs every form of every kind of network as the network itself does.

Each test says which behaviour of which version would have made the product wrong.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qkd.export.choice import graphs
from qkd.export.consumers import onnxruntime_cpu, openvino_cpu, qonnx_executor, reference
from qkd.export.consumers.session import Refused
from qkd.export.forms import clipped
from qkd.measures.cost import cost
from qkd.quantizers.quantize import quantize, quantized_layers, set_intervals
from qkd.spec import Bits, Quantization
from tests.support.exported import (
    KINDS,
    SHAPE,
    WHY,
    apart,
    images_of,
    library,
    network_of,
    open_as,
)

IMAGES = images_of(100, 7)
ROUNDING = 1e-4
CASES = Path(__file__).parents[4] / "shared" / "cases" / "networks.py"
EVERY = [
    pytest.param(kind, bits, marks=() if (kind, bits) == ("mobilenet", 2) else pytest.mark.slow)
    for kind in KINDS
    for bits in (2, 3, 4, 8)
]
LSQ, TQT = "baselines.lsq:LSQ", "baselines.tqt:TQT"


@pytest.fixture(scope="module")
def exported():
    """The files of a network by kind, bits and quantizer, made once."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=WHY)
    made = {}

    def of(kind, bits, *path):
        key = (kind, bits, *path)
        if key not in made:
            network = network_of(*key)
            made[key] = network, graphs(network, SHAPE).files
        return made[key]

    return of


def assert_the_same(session, network, what):
    equal, differences = apart(session, network, IMAGES)
    assert equal.mean() >= 0.99, what
    assert np.median(differences) < ROUNDING, what


@pytest.mark.parametrize(("kind", "bits"), EVERY)
def test_onnxruntime_at_every_level_and_with_its_options(exported, kind, bits):
    # onnxruntime 1.32.0: a bias in a Conv or Gemm between DequantizeLinear and QuantizeLinear is
    # rounded to a multiple of both scales; a MatMul and an Add become such a Gemm; ReLU6 before
    # 4-bit activations is refused, a Relu before signed ones dropped; two weights that share a
    # zero point are refused with session.x64quantprecision.
    network, files = exported(kind, bits)
    for consumer in onnxruntime_cpu.CONSUMERS:
        for form in (one for one in consumer.forms if one in files):
            assert_the_same(consumer.open(files[form]), network, (consumer.name, form))


@pytest.mark.slow
@pytest.mark.parametrize("path", [LSQ, TQT])
def test_onnxruntime_keeps_the_biases_of_other_quantizers_too(exported, path):
    network, files = exported("plain", 2, path)
    session = open_as(onnxruntime_cpu.CONSUMERS, "onnxruntime, ENABLE_ALL", files["onnx"])
    assert_the_same(session, network, path)


@pytest.mark.slow
@pytest.mark.skipif(not CASES.exists(), reason="the cases are not on this machine")
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_plain_stack_keeps_its_biases_on_every_image(exported, bits):
    spec = importlib.util.spec_from_file_location("cases", CASES)
    cases = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cases)
    torch.manual_seed(0)
    shape, quantization = (3, 32, 32), Quantization(bits=Bits(weight=bits, activation=bits))
    network = quantize(cases.PlainStack(), quantization)
    set_intervals(network, images_of(64, shape=shape), quantization)
    content = clipped.model(network.eval(), shape).SerializeToString()
    for consumer in onnxruntime_cpu.CONSUMERS:
        equal, _ = apart(consumer.open(content), network, images_of(1000, 5, shape))
        assert equal.all(), consumer.name


@pytest.mark.slow
def test_four_bit_weights_give_the_same_bits_as_eight_bit_ones(exported):
    network, files = exported("biased resnet", 4)
    sessions = [
        open_as(onnxruntime_cpu.CONSUMERS, "onnxruntime, ENABLE_ALL", files[form])
        for form in ("onnx", "onnx-int4")
    ]
    wide, narrow = (session.run(IMAGES.numpy()) for session in sessions)
    assert np.array_equal(wide, narrow)
    assert network is not None


@pytest.mark.slow
def test_a_linear_layer_on_tokens_is_right_and_keeps_its_bias(exported):
    class Tokens(nn.Module):
        """Linear layers that see (batch, tokens, channels)."""

        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 8, 4, 4)
            self.middle, self.last = nn.Linear(8, 8), nn.Linear(8, 10)

        def forward(self, x):
            x = torch.relu(self.stem(x)).flatten(2).transpose(1, 2)
            return self.last(torch.relu(self.middle(x)).mean(1))

    network = network_of(Tokens, 2)
    content = clipped.model(network, SHAPE).SerializeToString()
    for consumer in onnxruntime_cpu.CONSUMERS:
        assert_the_same(consumer.open(content), network, consumer.name)


@pytest.mark.slow
def test_a_network_in_channels_last_is_exported_as_one_in_contiguous_format(exported):
    # litert-torch 0.10.0 gives layers each other's weights where it is handed channels_last.
    network, files = exported("resnet", 2)
    again = graphs(network_of("resnet", 2).to(memory_format=torch.channels_last), SHAPE).files
    assert again == files
    assert network is not None


@pytest.mark.parametrize(("kind", "bits"), EVERY)
def test_openvino_in_float32(exported, kind, bits):
    # OpenVINO 2026.4.1 by default computes in bfloat16 where the processor can, and so elsewhere.
    library("openvino")
    network, files = exported(kind, bits)
    for form in (one for one in openvino_cpu.FORMS if one in files):
        session = open_as(openvino_cpu.CONSUMERS, "OpenVINO, f32", files[form])
        assert_the_same(session, network, form)
        assert session.layers >= 4
    assert open_as(openvino_cpu.CONSUMERS, "OpenVINO, f32", files["onnx"]).integer_layers > 0


def test_a_signal_is_handled_after_sessions_of_openvino_are_gone(exported, tmp_path):
    # OpenVINO 2026.4.1: a second core, dropped after the first, leaves the thread a freed stack.
    library("openvino")
    file = tmp_path / "model.onnx"
    file.write_bytes(exported("mobilenet", 2)[1]["onnx"])
    code = (
        "import faulthandler, pathlib, signal, sys; from qkd.export.consumers import openvino_cpu\n"
        "faulthandler.enable()  # pytest does: handlers run on a stack of their own\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled'))\n"
        "content = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "first, second = openvino_cpu.opened(content, 'f32'), openvino_cpu.opened(content)\n"
        "del first; del second\n"
        "signal.raise_signal(signal.SIGUSR1)"
    )
    command = [sys.executable, "-B", "-c", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@pytest.mark.parametrize(("kind", "bits"), EVERY)
def test_onnx_reference_evaluator(exported, kind, bits):
    # onnx 1.23.2: its evaluator has no DequantizeLinear below opset 19.
    network, files = exported(kind, bits)
    for form in (one for one in reference.FORMS if one in files):
        session = reference.opened(files[form])
        assert_the_same(session, network, form)
        assert session.integer_layers == 0


@pytest.mark.parametrize(("kind", "bits"), EVERY)
def test_qonnx_executes_and_counts_what_we_do(exported, kind, bits):
    # qonnx 1.0.0: stored integers count as 8 bits and 4-bit ones are refused, so that weights are
    # float constants behind a Quant node; a batch of any size is refused.
    library("qonnx")
    network, files = exported(kind, bits)
    assert_the_same(qonnx_executor.opened(files["qonnx"]), network, kind)
    found, own = qonnx_executor.counted(files["qonnx"]), cost(network, SHAPE)
    assert (found.macs, found.bit_operations) == (own.macs, own.bit_operations)
    first, *inner, last = (layer.weight.numel() for _, layer in quantized_layers(network))
    assert found.weight_bits == bits * sum(inner) + 8 * (first + last)


def test_what_is_no_model_is_refused_by_every_consumer():
    for modules, name in (
        (onnxruntime_cpu, "onnxruntime"),
        (openvino_cpu, "openvino"),
        (reference, "onnx"),
        (qonnx_executor, "qonnx"),
    ):
        pytest.importorskip(name, reason=WHY)
        for consumer in modules.CONSUMERS[-1:]:
            with pytest.raises(Refused) as caught:
                consumer.open(b"no model")
            assert "\n" not in str(caught.value)
