"""The quick run of the integers: what it calls certain is what both networks say in float64."""

import copy

import pytest
import torch
from msgspec.structs import replace
from torch import fx, nn

from qkd.measures import proof as proofs
from qkd.measures.bounds import Bound, Unbounded, bounds
from qkd.measures.certain import Edges, above, certain, require_equal
from qkd.measures.evaluate import answers
from qkd.measures.integer import IntegerLayer, as_integers
from qkd.measures.proof import compared
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.quantizer import Quantizer
from qkd.spec import INTERVAL
from tests.support.quantized import (
    NETWORKS,
    PATHS,
    batches_of,
    images_of,
    network_of,
    reference_of,
)

LSQ_PLUS = "baselines.lsq_plus:LSQPlus"
BOUNDED = [kind for kind in NETWORKS if kind != "unusual"]


def both_ways(monkeypatch, integer, reference, batches, float32):
    """The proof by the quick run, and by both networks on every image."""
    quickly = compared(integer, reference, batches, float32)
    with monkeypatch.context() as patch:
        patch.setattr(proofs, "_quick", lambda *_: None)
        return quickly, compared(integer, reference, batches, float32)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_numbers_are_those_of_both_networks_on_every_image(monkeypatch, kind, path, bits):
    if bits == 8 and path.endswith("PACT"):
        bits = 5  # SAWB's coefficients end there
    network = network_of(kind, path, bits)
    reference, batches = reference_of(network), batches_of()
    float32 = answers(network, batches).predictions
    quickly, fully = both_ways(monkeypatch, as_integers(reference), reference, batches, float32)
    assert fully.images_certain == 0
    assert replace(quickly, images_certain=0) == fully
    # A batch norm without statistics depends on the other images: nothing is certain there.
    wanted = 0 if kind == "unusual" else 0.9 * 200
    assert quickly.images_certain >= wanted
    assert (quickly.images_certain > 0) == (kind != "unusual")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", BOUNDED)
def test_no_two_ways_differ_by_more_than_the_bound(kind, path):
    reference = reference_of(network_of(kind, path, bits=4))
    integer, images = as_integers(reference), images_of(64, 7).double()
    found = bounds(integer, float(images.abs().max()))
    seen = Values(integer).of(images)
    with torch.no_grad():
        quick = certain(integer, 10.0)
        ours, sure = quick.logits(images)
        apart = float((ours - reference(images)).abs()[sure].max())
    assert sure.float().mean() > 0.9
    assert apart <= quick.error < 1e-8
    for node, value in seen.items():
        assert float(value.abs().max()) <= found[node].size, node


class Values(fx.Interpreter):
    """What each node of a network gives."""

    def of(self, images):
        self.seen = {}
        with torch.no_grad():
            self.run(images)
        return self.seen

    def run_node(self, n):
        value = super().run_node(n)
        if isinstance(value, torch.Tensor):
            self.seen[n] = value.clone()
        return value


# What makes the integers those of another network: each at one place.
def one_bit(layer):
    layer.weight[(-1,) * layer.weight.ndim] += 1


def a_scale(layer):
    layer.factor.mul_(1 + 2.0**-30)


def a_factor(layer):
    layer.factor.view(-1)[0] *= 1 + 2.0**-30


def a_shift(layer):
    layer.shift.view(-1)[-1] += 1e-9


@pytest.mark.parametrize("wrong", [one_bit, a_scale, a_factor, a_shift])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", BOUNDED)
def test_each_wrong_number_of_each_layer_is_seen(kind, path, wrong):
    integer = as_integers(reference_of(network_of(kind, path, bits=3)))
    layers = [m for m in integer.modules() if isinstance(m, IntegerLayer)]
    with torch.no_grad():
        certain(integer, 10.0)
        for layer in layers:
            right = copy.deepcopy(layer.state_dict())
            wrong(layer)
            with pytest.raises(Unbounded, match="a layer's integers are not"):
                require_equal(layer)
            with pytest.raises(Unbounded):
                certain(integer, 10.0)
            layer.load_state_dict(right)
            require_equal(layer)


def of_weights(layer):
    layer.weight.data.neg_()


def of_bias(layer):
    layer.bias.data[0] += 1e-7


def of_norm_mean(layer, norm):
    norm.running_mean[0] += 1e-7


def of_norm_variance(layer, norm):
    norm.running_var[-1] *= 1 + 1e-7


@pytest.mark.parametrize("path", PATHS)
def test_a_network_that_is_no_longer_the_integers_is_seen(path):
    """The same, the integers staying and the network being changed."""
    for kind, changes in (
        ("plain", (of_weights, of_bias)),
        ("mobilenet", (of_norm_mean, of_norm_variance)),
    ):
        for change in changes:
            integer = as_integers(reference_of(network_of(kind, path, bits=3)))
            layer = [m for m in integer.modules() if isinstance(m, IntegerLayer)][1]
            with torch.no_grad():
                require_equal(layer)
                change(layer.layer, *([layer.norm] if layer.norm else []))
                with pytest.raises(Unbounded):
                    require_equal(layer)


def spread(network):
    """The network with a last bias by which its logits' means over images are equal, so that the
    image decides."""
    *_, last = (m for m in network.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        last.bias -= network(images_of(200, 4)).mean(0)
    return network


def wrong_codes(layer):
    layer.weight[:, 0].add_(1)


def wrong_scale(layer):
    layer.factor.mul_(1.5)


def wrong_norm(layer):
    layer.factor.view(-1)[::2] *= -1


def wrong_bias(layer):
    layer.shift.view(-1)[::2] += 1.0


@pytest.mark.parametrize("wrong", [wrong_codes, wrong_scale, wrong_norm, wrong_bias])
@pytest.mark.parametrize("path", [INTERVAL, LSQ_PLUS, "baselines.dorefa:DoReFa"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_wrong_network_loses_the_agreement_that_it_lost(monkeypatch, kind, path, wrong):
    network = spread(network_of(kind, path))
    reference, batches = reference_of(network), batches_of()
    float32 = answers(network, batches).predictions
    integer = as_integers(reference)
    wrong([m for m in integer.modules() if isinstance(m, IntegerLayer)][2])
    quickly, fully = both_ways(monkeypatch, integer, reference, batches, float32)
    assert quickly == fully
    assert quickly.images_certain == 0
    assert quickly.agreement < 1


def test_wrong_sums_are_seen_on_the_first_images(monkeypatch):
    network = network_of()
    reference, batches = reference_of(network), batches_of()
    integer = as_integers(reference)
    quick = proofs.certain

    def adding(*arguments):
        made = quick(*arguments)
        right = made.layers[2].product
        made.layers[2].product = lambda codes: right(codes).add_(1)
        return made

    monkeypatch.setattr(proofs, "certain", adding)
    found = compared(integer, reference, batches, answers(network, batches).predictions)
    assert found.images_certain == 0
    assert found.agreement == 1


def test_an_image_on_an_edge_is_in_doubt():
    quantizer = IntervalQuantizer(2, False).double()  # step 1/3: edges at 1/6, 1/2 and 5/6
    edges = Edges(quantizer, Bound(1.0, 1e-9), torch.zeros((), dtype=torch.float64))
    x = torch.tensor([[0.2, 0.9], [0.2, 0.5 + 1e-10], [0.5 - 1e-8, 7.0], [float("nan"), 0.0]])
    with torch.no_grad():
        codes, doubt = edges.codes(x.double())
        assert doubt.tolist() == [False, True, True, True]  # 0.5 - 1e-8 is 0.5 in float32
        codes, doubt = edges.codes(torch.tensor([[0.5 - 1e-8, 7.0]], dtype=torch.float64))
    assert codes.tolist() == [[1, 3]]
    assert doubt is None


class Stepped(Quantizer):
    """As ours of two bits, but with a forward of its own, whose edge lies elsewhere."""

    def __init__(self, apart):
        super().__init__(2, False)
        self.inner, self.apart = IntervalQuantizer(2, False).double(), apart

    def codes(self, x):
        return self.inner.codes(x)

    def forward(self, x):
        return self.inner(x + self.apart)


class Dynamic(IntervalQuantizer):
    """Its interval is the largest input."""

    def scale(self, x):
        return x.abs().max(), super().scale(x)[1]


@pytest.mark.parametrize("interval", [-1.0, 0.0, float("nan"), 1e-12])
def test_levels_that_depend_on_the_input_or_lie_too_close_are_refused(interval):
    like = torch.zeros((), dtype=torch.float64)
    with pytest.raises(Unbounded):
        Edges(Dynamic(2, False).double(), Bound(1.0, 1e-9), like)
    quantizer = IntervalQuantizer(2, False).double().requires_grad_(False)
    quantizer.interval.fill_(interval)
    with pytest.raises(Unbounded, match="is not above what two ways differ by"):
        Edges(quantizer, Bound(1.0, 1e-9), like)


@pytest.mark.parametrize(("apart", "doubt"), [(0.0, [False, True]), (0.01, [True, True])])
def test_a_forward_of_its_own_is_asked_on_both_sides(apart, doubt):
    edges = Edges(Stepped(apart), Bound(1.0, 1e-9), torch.zeros((), dtype=torch.float64))
    x = torch.tensor([[0.495], [0.5 - 1e-10]], dtype=torch.float64)
    with torch.no_grad():
        assert edges.codes(x)[1].tolist() == doubt


def test_images_beyond_the_first_ones_pixels_and_equal_logits_are_in_doubt():
    reference = reference_of(network_of())
    with torch.no_grad():
        quick = certain(as_integers(reference), 4.0)
        images = images_of(4, 8).double().clamp(-3, 3)
        assert quick.logits(images)[1].all()
        images[2, 0, 5, 5] = 4.1
        assert quick.logits(images)[1].tolist() == [True, True, False, True]
        quick.error = 1e9
        assert not quick.logits(images)[1].any()


def test_which_images_hold_a_value_above_a_limit():
    values = torch.tensor([[0.1, 0.2], [0.3, 0.1]])
    assert above(values, 0.3 + 1e-6) is None
    assert above(values, 0.25).tolist() == [False, True]


def test_a_layer_is_narrow_where_one_layer_alone_reads_it_and_was_tried():
    with torch.no_grad():
        quick = certain(as_integers(reference_of(network_of("mobilenet", bits=4))), 4.0)
    tried = [layer.is_tried for layer in quick.layers]
    assert [layer.is_narrow for layer in quick.layers] == [*tried[1:], False]
    # Each block's depthwise and last convolution; neither a sum of two nor a mean is one sum.
    assert tried == [False, False, True, True, False, True, True, False, True, True, False]


class Sine(nn.Module):
    """No bound is known for a sine."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.last = nn.Linear(4, 10)

    def forward(self, x):
        return self.last(self.second(torch.sin(self.first(x))).mean((2, 3)))


def test_what_no_bound_is_known_for_runs_in_float64(monkeypatch):
    monkeypatch.setitem(NETWORKS, "sine", Sine)
    network = network_of("sine")
    reference, batches = reference_of(network), batches_of()
    integer = as_integers(reference)
    with torch.no_grad(), pytest.raises(Unbounded, match="no bound is known for sin"):
        certain(integer, 4.0)
    found = compared(integer, reference, batches, answers(network, batches).predictions)
    assert (found.agreement, found.images_certain) == (1.0, 0)
