"""Graphs drawn at random: what is proven never to be negative never is, on a thousand inputs."""

import functools

import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from torch import fx, nn
from torch.nn import functional

from qkd.quantizers.signs import non_negative_nodes
from qkd.quantizers.tracing import trace

INPUTS, CHANNELS, SIDE = 1000, 4, 2
BOUNDS = st.sampled_from([None, -1.0, -0.5, 0, 0.0, 0.5, 6])


def halves(x):
    return torch.cat(x.chunk(2, 1)[::-1], 1)


def split(x):
    one, other = torch.split(x, [1, 3], 1)
    return torch.cat([other, one], 1)


def bounded(x):
    """What an exponential or a power does not leave the numbers with."""
    return functional.hardtanh(x, -3, 3)


# Each of one tensor (INPUTS, CHANNELS, SIDE, SIDE) and gives one of that shape.
ONE = {
    "relu": functional.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": functional.silu,
    "softplus": functional.softplus,
    "exponential": lambda x: bounded(x).exp(),
    "square": lambda x: bounded(x).square(),
    "cube": lambda x: bounded(x) ** 3,
    "even power": lambda x: bounded(x) ** 2,
    "absolute": torch.abs,
    "negation": torch.neg,
    "half": lambda x: 0.5 * x,
    "minus half": lambda x: x * -0.5,
    "shifted": lambda x: x + 0.25,
    "chunk": halves,
    "split": split,
    "unbind": lambda x: torch.stack(x.unbind(1)[::-1], 1),
    "squeeze": lambda x: x.unsqueeze(2).squeeze(2),
    "flatten": lambda x: x.flatten(1).view(-1, CHANNELS, SIDE, SIDE),
    "transpose": lambda x: x.transpose(2, 3).contiguous(),
    "pixel shuffle": lambda x: functional.pixel_unshuffle(functional.pixel_shuffle(x, 2), 2),
    "channel shuffle": lambda x: functional.channel_shuffle(x, 2),
    "mean": lambda x: x.mean((2, 3), keepdim=True).repeat(1, 1, SIDE, SIDE),
    "largest": lambda x: torch.max(x, 1, keepdim=True)[0] + x * 0,
    "largest by name": lambda x: x.max(1, keepdim=True).values + x * 0,
    "smallest": lambda x: x.min(-1, keepdim=True)[0] * torch.sigmoid(x),
    "max pool": lambda x: functional.max_pool2d(x, 3, 1, 1),
    "average pool": lambda x: functional.avg_pool2d(x, 3, 1, 1),
    "padded": lambda x: functional.pad(x, (1, 1, 1, 1))[:, :, 1:-1, :-2],
    "padded below zero": lambda x: functional.pad(x, (0, 1), value=-0.5)[..., 1:],
    "relu in place": lambda x: functional.relu(x, inplace=True),
    "shifted in place": lambda x: x.sub_(0.25),
    "turned over in place": lambda x: x.mul_(-1),
    "a view turned over in place": lambda x: (x.view(-1).neg_(), x)[1],
    "detached and turned over": lambda x: (x.detach().neg_(), x)[1],
    "a chunk turned over in place": lambda x: (x.chunk(2, 1)[0].neg_(), x)[1],
    "bounded in place": lambda x: x.clamp_(0, 1),
}
TWO = {
    "sum": torch.add,
    "difference": torch.sub,
    "difference by name": lambda x, y: torch.add(x, y, alpha=-1),
    "product": lambda x, y: bounded(x) * bounded(y),
    "maximum": torch.maximum,
    "larger": torch.max,
    "minimum": torch.minimum,
    "stack": lambda x, y: torch.stack((x, y)).sum(0),
    "largest of a stack": lambda x, y: torch.stack((x, y), 1).amax(1),
    "concatenation": lambda x, y: torch.cat([x[:, 2:], y[:, :2]], 1),
    "bounded by a tensor": lambda x, y: torch.clamp(x, y, torch.maximum(y, x)),
    "sum in place": lambda x, y: x.add_(y),
}


def clamp(lowest, highest, x):
    return x.clamp(lowest, highest)


def tanh_between(lowest, highest, x):
    return functional.hardtanh(x, lowest, max(lowest, highest))


operations = st.one_of(
    st.tuples(st.sampled_from(sorted(ONE)), st.integers(0, 99)),
    st.tuples(st.sampled_from(sorted(TWO)), st.integers(0, 99), st.integers(0, 99)),
    st.tuples(st.just("clamp"), st.integers(0, 99), BOUNDS, BOUNDS.filter(lambda b: b is not None)),
    st.tuples(
        st.just("hardtanh"),
        st.integers(0, 99),
        st.sampled_from([-1.0, 0, 0.5]),
        st.sampled_from([0.25, 1.0, 6]),
    ),
)


def called(name, *drawn):
    """The operation, and which of the values so far it is called on."""
    if name == "clamp":
        return functools.partial(clamp, *drawn[1:]), drawn[:1]
    if name == "hardtanh":
        return functools.partial(tanh_between, *drawn[1:]), drawn[:1]
    return (ONE.get(name) or TWO[name]), drawn


class Drawn(nn.Module):
    """Each operation reads some of what stands before it."""

    def __init__(self, drawn):
        super().__init__()
        self.operations = [called(*one) for one in drawn]

    def forward(self, x):
        values = [x]
        for operation, places in self.operations:
            values.append(operation(*(values[place % len(values)] for place in places)))
        return values


def tensors(value):
    return [value] if isinstance(value, torch.Tensor) else [*value]


@settings(max_examples=300)
@given(st.lists(operations, min_size=1, max_size=12))
def test_what_is_proven_is_never_negative(drawn):
    graph = trace(Drawn(drawn))
    proven = non_negative_nodes(graph)
    run = fx.Interpreter(graph, garbage_collect_values=False)
    generator = torch.Generator().manual_seed(0)
    # After all operations: whatever was written in place is seen by all that share its memory.
    run.run(torch.randn(INPUTS, CHANNELS, SIDE, SIDE, generator=generator))
    for node, value in run.env.items():
        if node.op not in ("call_function", "call_method"):
            continue
        found = [one for one in tensors(value) if isinstance(one, torch.Tensor)]
        is_negative = any(bool((one < 0).any()) for one in found)
        if node in proven:
            assert not is_negative, (node, node.target, graph.code)
        elif found and not is_negative:
            event(f"never negative, yet called signed: {node.name.rstrip('_0123456789')}")


def test_the_graphs_have_proofs_and_values_of_both_signs():
    """So that the test above can fail: of each sign some."""
    graph = trace(Drawn([("relu", 0), ("silu", 1), ("negation", 1), ("largest", 1)]))
    proven = {node.name for node in non_negative_nodes(graph)}
    assert "relu" in proven
    assert not {"silu", "neg"} & proven
