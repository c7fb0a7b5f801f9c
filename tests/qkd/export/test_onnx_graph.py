"""A quantized network as ONNX computes what the network itself does."""

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from qkd.export.onnx_graph import NotExportable, onnx_bytes
from qkd.export.stage import agreement
from qkd.measures.cost import as_packed
from qkd.models.resnet_cifar import resnet
from qkd.spec import Bits
from tests.qkd.measures.test_cost import QUANTIZERS, SHAPE, W2A3, quantized, small

WHY = "make export needs the project's extra 'export'"
QIL = "baselines.qil:QIL"


@pytest.fixture(scope="module")
def onnx():
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=WHY)
    return pytest.importorskip("onnx", reason=WHY)


@pytest.fixture(scope="module")
def exported(onnx):
    """A quantized network, the images that it saw, and its ONNX file."""
    network, images = quantized(small())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    model = onnx_bytes(network, SHAPE)
    after = network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    return network, images, model


class Bottlenecks(nn.Module):
    """Depthwise convolution, ReLU6, a linear bottleneck and its sum, SiLU, two kinds of pooling."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu6 = nn.ReLU6()
        self.linear = nn.Conv2d(8, 8, 1, bias=False)
        self.last = nn.Linear(8, 10)

    def forward(self, x):
        x = functional.avg_pool2d(functional.silu(self.first(x)), 2)
        x = x + self.linear(self.relu6(self.norm(self.depthwise(x))))
        x = functional.adaptive_avg_pool2d(functional.dropout(x, training=self.training), 1)
        return self.last(torch.flatten(x, 1))


def agreeing(network, images, model):
    """How they agree on random images, as many as there are and then one more."""
    labels = torch.zeros(len(images), dtype=torch.int64)
    found = agreement(network, model, [(images, labels), (images[:1], labels[:1])])
    assert found["images"] == len(images) + 1
    assert found["agreement"] == 1
    return found["largest_difference"]


def initialisers(onnx, model):
    graph = onnx.load_from_string(model).graph
    return {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}


@pytest.mark.slow
@pytest.mark.parametrize("quantizer", [q for q in QUANTIZERS[1:] if q != QIL])
def test_onnxruntime_computes_what_the_network_does(onnx, quantizer):
    network, images = quantized(small(), W2A3, quantizer)
    assert agreeing(network, images, onnx_bytes(network, SHAPE)) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "bits"), [(lambda: resnet(8, 4, 1), 2), (Bottlenecks, 2), (Bottlenecks, 8)]
)
def test_networks_of_every_kind_of_layer(onnx, make, bits):
    network, images = quantized(make(), Bits(weight=bits, activation=bits))
    assert agreeing(network, images, onnx_bytes(network, SHAPE)) < 1e-4


@pytest.mark.slow
def test_full_precision_too(onnx):
    network = small().eval()
    assert agreeing(network, torch.randn(4, *SHAPE), onnx_bytes(network, SHAPE)) < 1e-5


@pytest.mark.slow
def test_inputs_are_quantized_and_clipped_and_weights_are_small_integers(onnx, exported):
    network, images, model = exported
    assert agreeing(network, images, model) < 1e-4
    graph = onnx.load_from_string(model).graph
    made_by = {output: node for node in graph.node for output in node.output}
    constants = initialisers(onnx, model)
    content = as_packed(network)
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(layers) == 3
    for name, node in zip(("0", "4", "8"), layers, strict=True):
        weight = made_by[node.input[1]]
        assert weight.op_type == "DequantizeLinear"
        expected = content.integers[f"{name}.weight"]
        assert constants[weight.input[0]].dtype == "int8"
        assert constants[weight.input[0]].tolist() == expected.codes.tolist()
        assert constants[weight.input[1]] == expected.scale.numpy()
    assert layers[0].input[0] == "images"
    highest = []
    for node in layers[1:]:
        chain = [made_by[node.input[0]]]
        for _ in range(2):
            chain.append(made_by[chain[-1].input[0]])
        kinds = [one.op_type for one in chain]
        assert kinds == ["DequantizeLinear", "Clip", "QuantizeLinear"]
        assert constants[chain[1].input[2]].dtype == "uint8"
        highest.append(int(constants[chain[1].input[2]]))
    assert highest == [2**3 - 1, 2**8 - 1]


@pytest.mark.slow
def test_the_file_does_not_say_where_it_was_made(exported):
    for place in (b".py", b"site-packages", b"File "):
        assert place not in exported[2]


def test_a_quantizer_that_rounds_elsewhere_is_refused(onnx):
    network, _ = quantized(small(), W2A3, QIL)
    with pytest.raises(NotExportable, match="input of 4 goes through QIL, which rounds elsewhere"):
        onnx_bytes(network, SHAPE)


@pytest.mark.slow
def test_a_layer_that_torch_cannot_export_is_said_to_be_so(onnx):
    class Decides(nn.Module):
        def forward(self, x):
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(NotExportable, match="torch cannot export the network"):
        onnx_bytes(nn.Sequential(nn.Flatten(), Decides()), SHAPE)


def test_without_the_libraries_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(NotExportable, match=r"pip install -e '\.\[export\]'"):
        onnx_bytes(small(), SHAPE)
