"""Networks of the kinds that people bring: each trains with a label that is true, or is refused
in a line that names what and why."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.support.trained_here import train_here

CASES = Path(__file__).parents[4] / "shared" / "cases" / "networks.py"
EXACT = None  # the image

# Of each layer the bits of its weights, and bits and sign of its inputs; or what is refused.
SHARED = {
    "EncoderLayer": r"EncoderLayer: encoder \(a TransformerEncoderLayer\) would stay in float",
    "WrappedFeatures": r"WrappedFeatures: features \(a DataParallel\) would stay in float",
    "MatrixHead": r"MatrixHead: weight \(a parameter of 10 x 8 read by itself\) would stay",
    "TupleInTraining": "in training it gives a tuple, where one tensor of logits",
    "StemTwice": {"stem": (8, (8, True)), "second": (2, (2, False)), "head": (8, (8, False))},
    "StochasticDepth": {
        "stem": (8, EXACT),
        **{f"blocks.{i}.convolution": (2, (2, False)) for i in range(4)},
        "head": (8, (8, False)),
    },
    "TrainingBranch": {"first": (8, EXACT), "second": (2, (2, False)), "head": (8, (8, False))},
    "ViewFlattens": {
        "first": (8, EXACT),
        "second": (2, (2, False)),
        "third": (2, (2, False)),
        "head": (8, (8, False)),
    },
    "ClampedFeatures": {"first": (8, EXACT), "second": (2, (2, False)), "head": (8, (8, False))},
    "WeightNorm": {"first": (8, EXACT), "second": (2, (2, False)), "head": (8, (8, False))},
    "PlainStack": {
        "features.0": (8, EXACT),
        **dict.fromkeys(("features.2", "features.4", "classifier.1"), (2, (2, False))),
        "classifier.3": (8, (8, False)),
    },
}


@pytest.fixture(scope="module")
def cases():
    if not CASES.exists():
        pytest.skip("the networks that once went wrong are not on this machine")
    spec = importlib.util.spec_from_file_location("networks_that_went_wrong", CASES)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def networks_of(module):
    own = vars(module).values()
    return {c.__name__ for c in own if isinstance(c, type) and c.__module__ == module.__name__}


def test_every_network_that_once_went_wrong_is_expected_here(cases):
    assert networks_of(cases) - {"DroppedBlock"} == set(SHARED)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("name", SHARED)
def test_networks_that_once_went_wrong(cases, name):
    require(getattr(cases, name), (3, 32, 32), SHARED[name])


@pytest.mark.slow
def test_blocks_that_pythons_generator_leaves_out(cases):
    found = require(lambda: cases.StochasticDepth(False), (3, 32, 32), SHARED["StochasticDepth"])
    again = train_here(lambda: cases.StochasticDepth(False), (3, 32, 32))
    assert torch.equal(found.logits, again.logits)


def require(make, shape, expected):
    """It is refused in those words, or has those bits, no layer in float, and runs as integers."""
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected) as error:
            train_here(make, shape)
        assert "\n" not in str(error.value)
        return None
    found = train_here(make, shape)
    assert found.bits == expected
    assert found.cost.macs_in_float == 0
    assert 0 < found.cost.macs_at_bits < found.cost.macs
    assert found.proof.agreement == 1
    assert all(not row.activations.never_negative for row in found.audit if row.activations)
    return found


# Our own of each kind, on images of one channel and 8 x 8 pixels.
SHAPE = (1, 8, 8)
relu = functional.relu


class Small(nn.Module):
    """Three layers of one channel or few, called as ``call`` says."""

    def __init__(self, call, **own):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head, self.call = nn.Linear(4, 10), call
        for name, one in own.items():
            setattr(self, name, one)

    def forward(self, x):
        return self.call(self, x)


def pooled(x):
    return x.mean((2, 3))


def plain(net, x):
    return net.head(pooled(relu(net.second(relu(net.first(x))))))


def twice(net, x):
    x = relu(net.first(relu(net.first(x)).mean(1, keepdim=True)))
    return net.head(pooled(relu(net.second(x))))


def dropped(net, x):
    x = relu(net.first(x))
    is_left_out = random.random() < 0.5  # noqa: S311 (as networks draw)
    if not (net.training and is_left_out):
        x = relu(x + net.second(x))
    return net.head(pooled(x))


def with_head(net, x):
    x = relu(net.first(x))
    logits = net.head(pooled(relu(net.second(x))))
    return logits + 0.3 * net.auxiliary(pooled(x)) if net.training else logits


def tuple_in_training(net, x):
    logits = plain(net, x)
    return (logits, logits) if net.training else logits


def viewed(net, x):
    x = relu(net.second(relu(net.first(x))))
    return net.head(x.view(x.size(0), -1)[:, ::64])


def clamped(net, x):
    return net.head(pooled(net.second(net.first(x).clamp(0, 6)).clamp(0, 6)))


def product(net, x):
    return pooled(relu(net.second(relu(net.first(x))))) @ net.weight


def cell(net, x):
    x = relu(net.second(relu(net.first(x))))
    return net.head(net.inner(pooled(x)))


BITS = {"first": (8, EXACT), "second": (2, (2, False)), "head": (8, (8, False))}
OWN = {
    "plain": (lambda: Small(plain), BITS),
    "stem twice": (lambda: Small(twice), {**BITS, "first": (8, (8, True))}),
    "blocks left out": (lambda: Small(dropped), BITS),
    "auxiliary head": (lambda: Small(with_head, auxiliary=nn.Linear(4, 10)), BITS),
    "tuple in training": (lambda: Small(tuple_in_training), "in training it gives a tuple"),
    "view": (lambda: Small(viewed), BITS),
    "clamp": (lambda: Small(clamped), BITS),
    "parameter": (
        lambda: Small(product, weight=nn.Parameter(torch.ones(4, 10))),
        r"Small: weight \(a parameter of 4 x 10 read by itself\) would stay in float",
    ),
    "cell": (lambda: Small(cell, inner=nn.GRUCell(4, 4)), r"inner \(a GRUCell\) would stay"),
}


@pytest.mark.parametrize("kind", OWN)
def test_networks_of_each_kind(kind):
    require(OWN[kind][0], SHAPE, OWN[kind][1])


def test_what_stays_in_float_is_counted_where_it_is_named():
    found = train_here(OWN["cell"][0], SHAPE, in_float=("inner",))
    assert found.bits == {**BITS, "head": (8, (8, True))}
    assert found.cost.macs_in_float == 2 * 3 * 4 * 4
    assert found.cost.macs_at_bits == 64 * 4 * 4 * 9


def test_what_is_said_of_a_network_that_trains_all_the_same():
    (said,) = train_here(OWN["auxiliary head"][0], SHAPE).said
    assert "training alone calls auxiliary, in float" in said
    (said,) = train_here(OWN["view"][0], SHAPE).said
    assert "computes in torch's own format" in said
    assert train_here(OWN["plain"][0], SHAPE).said == ()


def test_blocks_left_out_by_pythons_generator_end_in_the_same_bits():
    random.seed(1)
    one = train_here(OWN["blocks left out"][0], SHAPE)
    random.seed(2)
    other = train_here(OWN["blocks left out"][0], SHAPE)
    assert torch.equal(one.logits, other.logits)
