import operator

import pytest
import torch
from torch import nn
from torch.nn import functional

from qkd.quantizers.signs import non_negative_nodes
from qkd.quantizers.tracing import layers_in_order, trace


class Network(nn.Module):
    """Two convolutions with something in between."""

    def __init__(self, between):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Parameter(-torch.ones(()))
        self.between = between
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        between = self.between
        return self.last(between(self.norm(self.first(x)), self))


def is_proven(network):
    graph = trace(network)
    *_, (name, node) = layers_in_order(graph, (nn.Conv2d, nn.Linear))
    assert name == "last"
    return node.all_input_nodes[0] in non_negative_nodes(graph)


relu = functional.relu

NON_NEGATIVE = {
    "relu": lambda x, n: relu(x),
    "relu in place": lambda x, n: relu(x, inplace=True),
    "method": lambda x, n: x.relu(),
    "relu6": lambda x, n: functional.relu6(x),
    "sigmoid": lambda x, n: torch.sigmoid(x),
    "max pool": lambda x, n: functional.max_pool2d(relu(x), 3, 1, 1),
    "average pool": lambda x, n: functional.avg_pool2d(relu(x), 2),
    "adaptive pool": lambda x, n: functional.adaptive_avg_pool2d(relu(x), 1),
    "pad": lambda x, n: functional.pad(relu(x), (0, 1)),
    "pad by name": lambda x, n: functional.pad(input=relu(x), pad=(0, 1), value=0.5),
    "reflect": lambda x, n: functional.pad(relu(x), (1, 1), mode="reflect"),
    "views": lambda x, n: relu(x).flatten(1).reshape(-1, 4, 1, 1).contiguous(),
    "slice": lambda x, n: relu(x)[:, :, ::2, ::2],
    "dropout": lambda x, n: functional.dropout(relu(x), 0.5, n.training),
    "sum": lambda x, n: relu(x) + torch.sigmoid(x),
    "sum by name": lambda x, n: torch.add(input=relu(x), other=relu(x)),
    "product": lambda x, n: relu(x) * torch.sigmoid(x),
    "number": lambda x, n: 0.5 * relu(x) + 1,
    "concatenation": lambda x, n: torch.cat([relu(x)[:, :2], torch.sigmoid(x)[:, :2]], 1),
    "mean": lambda x, n: relu(x).mean((2, 3), keepdim=True),
    "sum in place": lambda x, n: operator.iadd(relu(x), relu(x)),
    "residual sum in place, then relu": lambda x, n: relu(operator.iadd(x, relu(x))),
    "clamp from zero": lambda x, n: x.clamp(0, 6),
    "clamp by name": lambda x, n: torch.clamp(x, min=0.5),
    "clamp in place": lambda x, n: x.clamp_(0, 6),
    "clamp of what is non-negative": lambda x, n: relu(x).clamp(-1, 6),
    "clamp from above": lambda x, n: relu(x).clamp(max=6),
    "clip": lambda x, n: torch.clip(x, 0.0, 6.0),
    "clamp from a tensor": lambda x, n: torch.clamp(x, torch.sigmoid(x)),
    "hardtanh from zero": lambda x, n: functional.hardtanh(x, 0, 1),
    "chunk": lambda x, n: torch.cat(relu(x).chunk(2, 1)[::-1], 1),
    "one chunk": lambda x, n: torch.cat(
        [torch.chunk(relu(x), 2, 1)[1], torch.sigmoid(x)[:, :2]], 1
    ),
    "split": lambda x, n: torch.cat(torch.split(relu(x), [1, 3], 1), 1),
    "split by a method": lambda x, n: torch.cat(relu(x).split(2, dim=1)[::-1], 1),
    "unbind": lambda x, n: torch.stack([relu(x).unbind(1)[i] for i in range(4)], 1),
    "squeeze": lambda x, n: relu(x).mean(3, keepdim=True).squeeze(3).unsqueeze(3),
    "stack": lambda x, n: torch.stack((relu(x), torch.sigmoid(x))).sum(0),
    "maximum": lambda x, n: torch.max(relu(x), x),
    "maximum of two": lambda x, n: torch.maximum(x, torch.sigmoid(x)),
    "largest along a dimension": lambda x, n: relu(x).max(3, keepdim=True)[0],
    "largest by name": lambda x, n: torch.max(relu(x), 3, keepdim=True).values,
    "minimum": lambda x, n: torch.min(relu(x), torch.sigmoid(x)),
    "smallest along a dimension": lambda x, n: relu(x).min(-1, keepdim=True)[0],
    "amax": lambda x, n: relu(x).amax((2, 3), keepdim=True),
    "pixel shuffle": lambda x, n: functional.pixel_unshuffle(
        functional.pixel_shuffle(relu(x), 2), 2
    ),
    "channel shuffle": lambda x, n: functional.channel_shuffle(relu(x), 2),
    "softplus": lambda x, n: functional.softplus(x),
    "exponential": lambda x, n: x.exp(),
    "square": lambda x, n: torch.square(x),
    "product with itself": lambda x, n: x * x,
    "even power": lambda x, n: x**2,
    "power of what is non-negative": lambda x, n: relu(x).pow(1.5),
}

SIGNED = {
    "linear bottleneck": lambda x, n: x,
    "silu": lambda x, n: functional.silu(x),
    "hardswish": lambda x, n: functional.hardswish(x),
    "tanh": lambda x, n: torch.tanh(relu(x)),
    "difference": lambda x, n: relu(x) - relu(x),
    "negation": lambda x, n: -relu(x),
    "sum with the signed": lambda x, n: relu(x) + x,
    "product with the signed": lambda x, n: relu(x) * x,
    "pad of the signed": lambda x, n: functional.pad(x, (0, 1)),
    "negative padding": lambda x, n: functional.pad(relu(x), (0, 1), value=-1.0),
    "negative padding in place": lambda x, n: functional.pad(relu(x), (0, 1), "constant", -0.1),
    "negative number": lambda x, n: relu(x) * -1,
    "number on the left": lambda x, n: -1 * relu(x),
    "number by name": lambda x, n: torch.mul(relu(x), other=-1),
    "signed by name": lambda x, n: torch.flatten(input=x, start_dim=1).reshape(-1, 4, 1, 1),
    "signed other by name": lambda x, n: torch.add(relu(x), other=x),
    "alpha": lambda x, n: torch.add(relu(x), relu(x), alpha=-1),
    "parameter": lambda x, n: relu(x) * n.scale,
    "concatenation": lambda x, n: torch.cat([relu(x)[:, :2], x[:, :2]], 1),
    "concatenation by name": lambda x, n: torch.cat(tensors=[relu(x)[:, :2], x[:, :2]], dim=1),
    "clamp from below zero": lambda x, n: x.clamp(-1, 6),
    "clamp from above alone": lambda x, n: x.clamp(max=6),
    "clamp to below zero": lambda x, n: relu(x).clamp(0, -1),
    "clamp to what may be negative": lambda x, n: torch.clamp(x, torch.sigmoid(x), x),
    "hardtanh": lambda x, n: functional.hardtanh(x),
    "chunk of the signed": lambda x, n: torch.cat(x.chunk(2, 1)[::-1], 1),
    "stack with the signed": lambda x, n: torch.stack((relu(x), x)).sum(0),
    "maximum of the signed": lambda x, n: torch.max(x, 3, keepdim=True)[0],
    "maximum along a dimension that a size names": lambda x, n: torch.max(
        x, relu(x).size(3) - 1, keepdim=True
    )[0],
    "minimum with the signed": lambda x, n: torch.minimum(relu(x), x),
    "softplus turned over": lambda x, n: functional.softplus(x, -1),
    "odd power": lambda x, n: x**3,
    "half a power": lambda x, n: x.pow(0.5),
    "transposed": lambda x, n: relu(x).T,
}


@pytest.mark.parametrize("between", NON_NEGATIVE.values(), ids=NON_NEGATIVE)
def test_inputs_proven_to_be_non_negative(between):
    assert is_proven(Network(between))


@pytest.mark.parametrize("between", SIGNED.values(), ids=SIGNED)
def test_inputs_that_may_be_negative(between):
    assert not is_proven(Network(between))


def written_then_used(x, _):
    positive = relu(x)
    positive.sub_(1)
    return positive


def written_through_a_view(x, _):
    positive = relu(x)
    view = positive.reshape(-1)
    view.neg_()
    return positive


def view_of_what_is_written(x, _):
    positive = relu(x)
    view = positive[:, :, :1]
    positive.mul_(-1)
    return view


def written_by_a_function(x, _):
    positive = relu(x)
    functional.silu(positive, inplace=True)
    functional.hardtanh(positive, -2, 2, True)
    return positive


def written_as_out(x, _):
    positive = relu(x)
    torch.neg(x, out=positive)
    return positive


def written_through_a_view_that_nothing_is_known_of(x, _):
    positive = relu(x)
    positive.detach().neg_()
    return positive


def written_through_a_chunk(x, _):
    positive = relu(x)
    positive.chunk(2, 1)[0].sub_(1)
    return positive


def other_memory(x, _):
    positive = relu(x)
    operator.isub(x, 1)
    return positive


@pytest.mark.parametrize(
    "between",
    [
        written_then_used,
        written_through_a_view,
        view_of_what_is_written,
        written_by_a_function,
        written_as_out,
        written_through_a_view_that_nothing_is_known_of,
        written_through_a_chunk,
    ],
)
def test_what_is_overwritten_in_place_loses_its_proof(between):
    assert not is_proven(Network(between))


def test_what_is_overwritten_elsewhere_leaves_the_proof():
    assert is_proven(Network(other_memory))


@pytest.mark.parametrize(
    ("modules", "proven"),
    [
        ((nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(0.1), nn.Identity()), True),
        ((nn.ReLU6(), nn.ZeroPad2d(1), nn.AdaptiveAvgPool2d(2)), True),
        ((nn.Sigmoid(), nn.Flatten(), nn.Unflatten(1, (4, 1, 1))), False),  # not on the list
        ((nn.SiLU(),), False),
        ((nn.Hardtanh(0, 1),), True),
        ((nn.Hardtanh(),), False),
        ((nn.Hardtanh(-1, 1), nn.ReLU(), nn.Hardtanh(-1, 1)), True),
        ((nn.Softplus(),), True),
        ((nn.Softplus(beta=-1),), False),
        ((nn.ReLU(), nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2)), True),
        ((nn.ReLU(), nn.BatchNorm2d(4)), False),
        ((nn.ReLU(), nn.LeakyReLU(0.1)), False),
    ],
)
def test_modules_as_well_as_functions(modules, proven):
    network = nn.Sequential()
    network.first = nn.Conv2d(3, 4, 1)
    for number, module in enumerate(modules):
        network.add_module(f"m{number}", module)
    network.last = nn.Conv2d(4, 2, 1)
    assert is_proven(network) == proven


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_network_that_branches_on_values_cannot_be_traced():
    with pytest.raises(ValueError, match=r"Branching cannot be traced.*must not branch on tensors"):
        trace(Branching())
