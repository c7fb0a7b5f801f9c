"""A quantized network's files: what stands in them, and what no form can hold."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from qkd.export.choice import graphs
from qkd.export.forms import clipped, folded, int4, quant
from qkd.export.graph.levels import NotExportable, evenly_spaced
from qkd.export.graph.reading import attributes, wiring
from qkd.imports import QUANTIZERS, resolve
from qkd.measures.cost import as_packed
from qkd.quantizers.codes import Codes
from qkd.spec import Bits
from tests.qkd.measures.test_cost import SHAPE, W2A3, quantized, small
from tests.support.exported import SHAPE as IMAGES
from tests.support.exported import WHY, network_of

QIL, DOREFA = "baselines.qil:QIL", "baselines.dorefa:DoReFa"


@pytest.fixture(scope="module")
def onnx():
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=WHY)
    return pytest.importorskip("onnx", reason=WHY)


@pytest.fixture(scope="module")
def exported(onnx):
    """A quantized network and its model in the form `onnx`; the network stays as it is."""
    network, _ = quantized(small())
    network = network.to(memory_format=torch.channels_last)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    model = clipped.model(network, SHAPE)
    after = network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    return network, model


def of_kind(model, *kinds):
    return [node for node in model.graph.node if node.op_type in kinds]


def test_inputs_are_quantized_and_clipped_and_weights_are_small_integers(onnx, exported):
    network, model = exported
    wires = wiring(model.graph)
    content = as_packed(network)
    layers = of_kind(model, "Conv", "Gemm")
    assert len(layers) == 3
    for name, node in zip(("0", "4", "8"), layers, strict=True):
        weight = wires.maker[node.input[1]]
        assert weight.op_type == "DequantizeLinear"
        expected = content.integers[f"{name}.weight"]
        found = wires.value(weight.input[0])
        assert found.dtype == "int8"
        assert found.tolist() == expected.codes.tolist()
        assert wires.value(weight.input[1]) == expected.scale.numpy()
    assert layers[0].input[0] == "images"
    highest = []
    for node in layers[1:]:
        chain = [wires.maker[node.input[0]]]
        for _ in range(2):
            chain.append(wires.maker[chain[-1].input[0]])
        kinds = [one.op_type for one in chain]
        assert kinds == ["DequantizeLinear", "Clip", "QuantizeLinear"]
        assert wires.value(chain[1].input[2]).dtype == "uint8"
        highest.append(int(wires.value(chain[1].input[2])))
    assert highest == [2**3 - 1, 2**8 - 1]


def test_every_bias_is_an_add_and_every_zero_point_its_nodes_own(onnx, exported):
    _, model = exported
    assert model.opset_import[0].version >= 21
    layers = of_kind(model, "Conv", "Gemm")
    assert all(len(node.input) == 2 for node in layers)
    wires = wiring(model.graph)
    last = wires.only_reader(layers[-1].output[0])
    assert last.op_type == "Add"
    points = [node.input[2] for node in of_kind(model, "QuantizeLinear", "DequantizeLinear")]
    assert len(points) == len(set(points)) == 3 + 2 * 2


def test_the_file_does_not_say_where_it_was_made(onnx, exported):
    content = exported[1].SerializeToString()
    for place in (b".py", b"site-packages", b"File "):
        assert place not in content


@pytest.mark.slow
def test_pooling_and_shortcuts_are_nodes_that_every_consumer_counts(onnx):
    model = clipped.model(network_of("resnet", 2), IMAGES)
    assert not of_kind(model, "ReduceMean", "Slice")
    (pool,) = of_kind(model, "AveragePool")
    assert attributes(pool)["kernel_shape"] == [4, 4]
    steps = of_kind(model, "MaxPool")
    assert [attributes(node)["strides"] for node in steps] == [[2, 2], [2, 2]]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["qkd.quantizers:IntervalQuantizer", DOREFA])
def test_four_bit_weights_are_half_the_bytes_and_the_same_codes(onnx, path):
    model = clipped.model(network_of("plain", 3, path), IMAGES)
    narrow = int4.model(model)
    onnx.checker.check_model(narrow, full_check=True)
    kinds = {"int4", "uint4"}
    wide, few = wiring(model.graph), wiring(narrow.graph)
    pairs = [
        (wide.value(old.input[0]), few.value(new.input[0]))
        for old, new in zip(
            of_kind(model, "DequantizeLinear"), of_kind(narrow, "DequantizeLinear"), strict=True
        )
        if old.input[0] in wide.constants
    ]
    assert len(pairs) == 4
    assert [str(new.dtype) in kinds for _, new in pairs] == [False, True, True, False]
    for old, new in pairs:
        assert old.tolist() == new.astype(old.dtype).tolist()
    held = sum(old.size for old, new in pairs if str(new.dtype) in kinds)
    saved = len(model.SerializeToString()) - len(narrow.SerializeToString())
    assert held // 2 <= saved + 20


@pytest.mark.slow
def test_no_four_bit_form_without_weights_of_four_bits(onnx):
    model = clipped.model(network_of("plain", 8), IMAGES)
    with pytest.raises(NotExportable, match="no weights of 4 bits"):
        int4.model(model)
    with pytest.raises(NotExportable, match="no batch norm"):
        folded.model(model)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resnet", "biased resnet", "mobilenet", "signed"])
def test_a_folded_network_has_no_batch_norm_and_positive_scales(onnx, kind):
    model = clipped.model(network_of(kind, 2), IMAGES)
    found = folded.model(model)
    onnx.checker.check_model(found, full_check=True)
    assert of_kind(model, "BatchNormalization")
    assert not of_kind(found, "BatchNormalization")
    wires = wiring(found.graph)
    scales = [wires.value(node.input[1]) for node in of_kind(found, "DequantizeLinear")]
    assert sum(one.ndim for one in scales) == len(of_kind(model, "BatchNormalization"))
    assert all((one > 0).all() for one in scales)


@pytest.mark.slow
def test_what_cannot_be_folded_exactly_stays(onnx):
    class Seen(nn.Module):
        """The first batch norm's input is seen by another; the second convolution is called
        twice."""

        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
            self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))
            self.last = nn.Linear(4, 10)

        def forward(self, x):
            y = self.first(x)
            x = self.norms[0](y) + y
            x = self.norms[2](self.second(self.norms[1](self.second(x))))
            return self.last(x.mean((2, 3)))

    model = clipped.model(network_of(Seen, 2), IMAGES)
    with pytest.raises(NotExportable, match="no batch norm"):
        folded.model(model)


@pytest.mark.slow
def test_a_channel_whose_factor_is_zero_folds_to_its_shift(onnx):
    network = network_of("signed", 4)
    with torch.no_grad():
        network.norm.weight[1] = 0
    found = folded.model(clipped.model(network, IMAGES))
    wires = wiring(found.graph)
    (node,) = (
        one
        for one in of_kind(found, "DequantizeLinear")
        if wires.value(one.input[1]).ndim and one.input[0] in wires.constants
    )
    assert not wires.value(node.input[0])[1].any()
    assert np.isfinite(wires.value(node.input[1])).all()


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (-1, 1, (2, True, True)),
        (-2, 1, (2, True, False)),
        (0, 3, (2, False, False)),
        (-127, 127, (8, True, True)),
        (-128, 127, (8, True, False)),
        (0, 255, (8, False, False)),
    ],
)
def test_the_range_of_a_quant_node_is_that_of_the_codes(lowest, highest, expected):
    codes = Codes(torch.zeros(1), torch.ones(()), None, lowest, highest)
    found = quant.range_of("x", codes)
    assert found == expected
    assert found.codes == (lowest, highest)


@pytest.mark.parametrize(("lowest", "highest"), [(0, 2), (-1, 2), (-3, 0), (0, 1), (-200, 199)])
def test_a_partial_range_is_refused_as_no_quant_node_has_it(lowest, highest):
    # qonnx 1.0.0 takes a clip to such a range for one to the whole range of the sign.
    codes = Codes(torch.zeros(1), torch.ones(()), None, lowest, highest)
    with pytest.raises(NotExportable, match=f"codes from {lowest} to {highest}"):
        quant.range_of("x", codes)


@pytest.mark.slow
def test_levels_beside_the_multiples_of_the_scale_have_no_quant_node(onnx):
    found = graphs(network_of("plain", 2, DOREFA), IMAGES)
    assert list(found.files) == ["onnx", "onnx-int4"]
    assert "no Quant node has such an offset" in found.refused["qonnx"]


def test_a_quantizer_that_rounds_elsewhere_is_refused(onnx):
    network, _ = quantized(small(), W2A3, QIL)
    with pytest.raises(NotExportable, match="input of 4 goes through QIL, which rounds elsewhere"):
        clipped.model(network, SHAPE)
    found = graphs(network, SHAPE)
    assert not found.files
    assert set(found.refused) == {"onnx", "onnx-int4", "onnx-folded", "qonnx"}


@pytest.mark.parametrize("steps", [-0.3, -0.2, -0.01, 0.01, 0.2, 0.3])
@pytest.mark.parametrize(
    ("path", "moved"), [("baselines.ewgs:EWGS", "lower"), ("baselines.n2uq:N2UQ", "start")]
)
def test_a_quantizer_whose_edges_have_moved_is_refused(path, moved, steps):
    """By a fraction of a step, which the levels themselves do not show."""
    for bits in (2, 8):
        quantizer = resolve(path, QUANTIZERS)(bits, False)
        quantizer.initialise(torch.linspace(0, 3, 100), "mse")
        evenly_spaced("x", quantizer)
        step = 1.0 if moved == "start" else quantizer.codes(torch.zeros(1)).scale
        with torch.no_grad():
            getattr(quantizer, moved).add_(steps * step)
        with pytest.raises(NotExportable, match="rounds elsewhere than at its levels"):
            evenly_spaced("x", quantizer)


@pytest.mark.slow
def test_a_layer_that_torch_cannot_export_is_said_to_be_so_in_one_line(onnx):
    class Decides(nn.Module):
        def forward(self, x):
            return x if float(x.sum()) > 0 else -x

    network, _ = quantized(small(), Bits(weight=2, activation=2))
    network.append(Decides())
    with pytest.raises(NotExportable, match="torch cannot export the network") as caught:
        clipped.model(network, SHAPE)
    assert "\n" not in str(caught.value)


def test_without_onnx_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(NotExportable, match="pip install -e"):
        clipped.model(small(), SHAPE)
