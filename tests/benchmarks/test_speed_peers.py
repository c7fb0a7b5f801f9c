"""Each peer of `make speed` quantizes what it says, and trains; checked on what torch computes."""

import importlib.util
import math
import sys

import pytest
import torch
import torchvision
from hypothesis import given
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from baselines.lsq import LSQWeights
from benchmarks.speed.peers import LEFT_OUT, PublishedLSQ, TorchLearnable, peers
from benchmarks.speed.steps import LAPTOP, step_of
from tests.qkd.quantizers.test_quantizers import seeds, values_of

PACKAGES = {
    "LSQ as commonly published": "torch",
    "torch's own": "torch",
    "brevitas": "brevitas",
    "torchao, pt2e": "torchao",
    "modelopt": "modelopt",
    "nncf": "nncf",
    "MCT": "model_compression_toolkit",
}
CPU = torch.device("cpu")
CASE = LAPTOP._replace(shape=(8, 1, 16, 16))


def peer_named(name):
    """The peer; the test is skipped only where its library is not there at all."""
    package = PACKAGES[name]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    if name == "torch's own" and not hasattr(torch, "_fake_quantize_learnable_per_tensor_affine"):
        pytest.skip("this torch has no learnable fake quantization")
    found, skipped = peers()
    assert name not in skipped, skipped
    return next(peer for peer in found if peer.name == name)


def float_network(make):
    torch.manual_seed(0)
    return make().to(memory_format=torch.channels_last)


def layer_count(network):
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    return sum(isinstance(module, kinds) for module in network.modules())


class Seen(TorchDispatchMode):
    """The input and the weight of every convolution and matrix product that torch computes."""

    def __init__(self):
        super().__init__()
        self.inputs, self.weights = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        places = {torch.ops.aten.convolution.default: (0, 1), torch.ops.aten.addmm.default: (1, 2)}
        if function in places:
            x, weight = (args[place].detach().unique() for place in places[function])
            self.inputs.append(x)
            self.weights.append(weight)
        return function(*args, **(kwargs or {}))


def seen_by_layers(network, images):
    with Seen() as seen:
        logits = network(images)
    return logits, seen.inputs, seen.weights


def assert_sixteen_levels(network, images, layers):
    """Checks every layer's input and weight as computed with, and returns the inputs' values."""
    logits, inputs, weights = seen_by_layers(network, images)
    assert logits.shape == (len(images), 10)
    assert len(inputs) == len(weights) == layers
    assert len(inputs[0]) == images.unique().numel()  # the image stays exact
    assert max(map(len, inputs[1:])) <= 16
    assert max(map(len, weights)) <= 16
    assert min(map(len, weights)) > 6  # and not of fewer bits
    return inputs


# nncf leaves a file open where it compiles its extension.
OWN_FAULT = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
ALL = [pytest.param(name, marks=OWN_FAULT) if name == "nncf" else name for name in PACKAGES]


@pytest.fixture(scope="module", params=ALL)
def prepared(request):
    """A network as each peer makes it; torchao takes ten seconds, so the tests train on in turn."""
    images, _ = CASE.batch(CPU)
    return peer_named(request.param).prepare(float_network(CASE.make), images)


@pytest.fixture
def learns(prepared, request):
    return peer_named(request.node.callspec.params["prepared"]).learns


def test_convolutions_and_linear_layers_see_sixteen_values(prepared):
    inputs = assert_sixteen_levels(prepared, CASE.batch(CPU)[0], layer_count(CASE.make()))
    assert all(x.min() >= 0 for x in inputs[1:])


def test_gradients_are_finite_and_every_scale_learns(prepared, learns):
    images, labels = CASE.batch(CPU)
    assert all(p.numel() > 1 for p in CASE.make().parameters())  # one element: a scale
    trained = [p for p in prepared.parameters() if p.requires_grad]
    scales = [p for p in trained if p.numel() == 1]
    assert len(scales) == (2 * layer_count(CASE.make()) - 1 if learns else 0)
    begun = [scale.item() for scale in scales]
    assert min(begun, default=1) > 0
    optimiser = torch.optim.SGD(trained, lr=0.02, momentum=0.9)
    losses = []
    for step in range(15):
        optimiser.zero_grad()
        loss = functional.cross_entropy(prepared(images), labels)
        loss.backward()
        if step == 0:
            assert all(p.grad.isfinite().all() for p in trained)
            assert all(scale.grad.item() != 0 for scale in scales)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(scale.item() != was for scale, was in zip(scales, begun, strict=True))


def test_the_measured_step_trains_it(prepared):
    step = step_of(prepared, CASE, CPU)
    weights = [p for p in prepared.parameters() if p.dim() > 1]
    before = [p.detach().clone() for p in weights]
    step()
    assert not any(torch.equal(a, b) for a, b in zip(before, weights, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("make", [torchvision.models.resnet18, torchvision.models.mobilenet_v2])
def test_torchvisions_networks_are_quantized_too(make, name):
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    network = float_network(lambda: make(num_classes=10))
    layers = layer_count(network)
    inputs = assert_sixteen_levels(peer_named(name).prepare(network, images), images, layers)
    # The linear bottlenecks' outputs have both signs; a residual network's layers follow a ReLU.
    negative = sum(bool(x.min() < 0) for x in inputs[1:])
    assert negative == {"resnet18": 0, "mobilenet_v2": 17}[make.__name__]


@pytest.mark.parametrize("signed", [True, False])
@given(seed=seeds)
def test_the_published_form_is_lsq(signed, seed):
    x, gradient = values_of(seed), values_of(seed + 1)
    results = []
    for quantizer in (PublishedLSQ(signed).double(), LSQWeights(4, signed).double()):
        step = next(quantizer.parameters())
        torch.nn.init.constant_(step, 0.3)
        leaf = x.clone().requires_grad_()
        output = quantizer(leaf)
        output.backward(gradient)
        results.append((output.detach(), leaf.grad, step.grad.reshape(())))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("signed", [True, False])
def test_torchs_own_rounds_to_the_same_levels(signed):
    peer_named("torch's own")
    x = values_of(3).float()
    published, own = PublishedLSQ(signed), TorchLearnable(signed)
    for quantizer in (published, own):
        quantizer.begin(x)
    torch.testing.assert_close(own(x), published(x))


def test_a_step_begins_by_hand():
    # mean|x| = 1.5; highest codes 7 and 15.
    x = torch.tensor([-1.0, 2.0])
    for signed, highest in ((True, 7), (False, 15)):
        quantizer = PublishedLSQ(signed)
        quantizer.begin(x)
        assert quantizer.step.item() == pytest.approx(3 / math.sqrt(highest))


def test_a_library_that_is_not_installed_is_skipped_with_the_command(monkeypatch):
    monkeypatch.delitem(sys.modules, "brevitas.nn", raising=False)
    monkeypatch.setitem(sys.modules, "brevitas", None)
    found, skipped = peers()
    assert skipped["brevitas"] == "brevitas is not installed (make peers)"
    assert {peer.name for peer in found} | set(skipped) == {*PACKAGES, *LEFT_OUT}
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert peers()[1]["nncf"] == "nncf is not installed (benchmarks/speed/README.md says how)"


def test_a_library_that_does_not_fit_this_torch_is_skipped_with_its_reason(monkeypatch, tmp_path):
    package = tmp_path / "brevitas"
    package.mkdir()
    (package / "__init__.py").write_text("import torch\ntorch.what_is_gone\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.partition(".")[0] == "brevitas"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(torch, "_fake_quantize_learnable_per_tensor_affine", raising=False)
    skipped = peers()[1]
    assert "what_is_gone" in skipped["brevitas"]
    assert skipped["torch's own"].endswith("has no _fake_quantize_learnable_per_tensor_affine")
