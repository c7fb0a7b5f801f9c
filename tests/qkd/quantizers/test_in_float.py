"""What multiplies by weights and is no layer is refused by name, or stays in float where said."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from qkd.quantizers.quantize import quantize, quantized_layers
from qkd.spec import Bits, Quantization

W2A2 = Bits(weight=2, activation=2)


class Around(nn.Module):
    """Three layers, and something between the second and the last."""

    def __init__(self, between, **own):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.between = between
        for name, one in own.items():
            if isinstance(one, torch.Tensor) and not isinstance(one, nn.Parameter):
                self.register_buffer(name, one)
            else:
                setattr(self, name, one)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.between(self.second(self.first(x)), self))


def parameter(*shape):
    return nn.Parameter(torch.ones(*shape))


class Scaled(nn.LayerNorm):
    """A norm of one's own is looked into; what it reads is a norm's all the same."""

    def forward(self, x):
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias)


def attention(x, n):
    return n.inner(x, x, x)[0]


# By name: what is between the layers, its modules and parameters, and the name that is refused.
FLOAT = {
    "parameter": (lambda x, n: x @ n.w.t(), {"w": parameter(4, 4)}, "w", "a parameter of 4 x 4"),
    "functional": (
        lambda x, n: functional.linear(x, n.w), {"w": parameter(4, 4)}, "w", "a parameter of 4 x 4",
    ),
    "scale of more dimensions": (
        lambda x, n: x * n.w, {"w": parameter(1, 4)}, "w", "a parameter of 1 x 4",
    ),
    "buffer": (
        lambda x, n: functional.linear(x, n.w), {"w": torch.ones(4, 4)}, "w", "a call of linear",
    ),
    "computed": (
        lambda x, n: functional.linear(x, x), {}, "linear", "a call of linear",
    ),
    "cell": (lambda x, n: n.inner(x), {"inner": nn.GRUCell(4, 4)}, "inner", "a GRUCell"),
    "convolution of a sequence": (
        lambda x, n: n.inner(x), {"inner": nn.Conv1d(1, 1, 1)}, "inner", "a Conv1d",
    ),
    "transposed": (
        lambda x, n: n.inner(x),
        {"inner": nn.ConvTranspose2d(1, 1, 1)}, "inner", "a ConvTranspose2d",
    ),
    "attention": (attention, {"inner": nn.MultiheadAttention(4, 2)}, "inner", "a Multihead"),
    "encoder": (
        lambda x, n: n.inner(x),
        {"inner": nn.TransformerEncoderLayer(4, 2, 8)}, "inner", "a TransformerEncoderLayer",
    ),
    "wrapped": (
        lambda x, n: n.inner(x),
        {"inner": nn.DataParallel(nn.Linear(4, 4))}, "inner", "a DataParallel",
    ),
    "a layer's own weight, past its quantizer": (
        lambda x, n: n.inner(x) @ n.inner.weight,
        {"inner": nn.Linear(4, 4)}, "inner.weight", "a parameter of 4 x 4",
    ),
    "a table that is read by itself": (
        lambda x, n: x @ n.inner.weight.t(),
        {"inner": nn.Embedding(4, 4)}, "inner.weight", "a parameter of 4 x 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FLOAT)
def test_it_is_refused_by_name(kind):
    between, own, name, what = FLOAT[kind]
    with pytest.raises(ValueError, match=rf"Around: {name} \({what}.*\) would stay in float") as e:
        quantize(Around(between, **own), Quantization(bits=W2A2))
    assert f"in_float=('{name}',)" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("kind", FLOAT)
def test_where_it_is_named_it_stays_in_float_and_the_others_do_not(kind):
    between, own, name, _ = FLOAT[kind]
    network = Around(between, **own)
    kept = [p for n, p in network.named_parameters() if n.startswith(name)]
    quantized = quantize(network, Quantization(bits=W2A2, in_float=(name,)))
    layers = [one for one, _ in quantized_layers(quantized)]
    assert [one for one in layers if one != "inner"] == ["first", "second", "last"]
    assert ("inner" in layers) == (name == "inner.weight" and "Linear" in repr(own["inner"]))
    assert not any("_quantizer" in n for n, p in quantized.named_parameters() if p in set(kept))


SCALED = {
    "norm": nn.LayerNorm(4),
    "norm of a whole image": nn.LayerNorm((2, 4)),
    "norm of one's own": Scaled((2, 4)),
    "batch norm": nn.BatchNorm1d(4),
    "slope": nn.PReLU(),
    "nothing": nn.Identity(),
}


@pytest.mark.parametrize("kind", SCALED)
def test_norms_and_slopes_multiply_by_no_weights(kind):
    network = Around(lambda x, n: n.inner(x), inner=SCALED[kind])
    assert len(list(quantized_layers(quantize(network, Quantization(bits=W2A2))))) == 3


def test_a_table_of_tokens_is_looked_up():
    network = Around(lambda x, n: x + n.inner(n.places), inner=nn.Embedding(4, 4))
    network.register_buffer("places", torch.arange(4))
    assert len(list(quantized_layers(quantize(network, Quantization(bits=W2A2))))) == 3


def layers(in_float):
    network = nn.Sequential(*(nn.Linear(4, 4) for _ in range(5)))
    return [
        n
        for n, _ in quantized_layers(quantize(network, Quantization(bits=W2A2, in_float=in_float)))
    ]


def test_a_layer_can_be_kept_in_float_too_and_a_name_may_be_a_pattern():
    assert layers(()) == ["0", "1", "2", "3", "4"]
    assert layers(("1",)) == ["0", "2", "3", "4"]
    assert layers(("[02]",)) == ["1", "3", "4"]


def test_a_subclass_can_be_kept_in_float():
    class Own(nn.Linear):
        pass

    network = Around(lambda x, n: n.inner(x), inner=Own(4, 4))
    with pytest.raises(ValueError, match="layer inner is a Own, a subclass"):
        quantize(network, Quantization(bits=W2A2))
    quantize(network, Quantization(bits=W2A2, in_float=("inner",)))
    assert type(network.inner) is Own


def test_a_name_of_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"in_float names 'secnd', which is nothing of Around"):
        quantize(Around(lambda x, n: x), Quantization(bits=W2A2, in_float=("secnd",)))


def test_what_is_never_called_is_nobodys_business():
    quantize(Around(lambda x, n: x, unused=nn.GRUCell(4, 4)), Quantization(bits=W2A2))


def test_a_student_without_a_layer_at_the_bits_is_refused():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match=r"Sequential has no layer at W2A2: 0, 2 are its first"):
        quantize(network, Quantization(bits=W2A2))
    bits = Bits(weight=8, activation=8)
    assert len(list(quantized_layers(quantize(network, Quantization(bits=bits))))) == 2


def test_a_student_whose_layers_between_have_bits_of_their_own_is_refused():
    depthwise = nn.Conv2d(2, 2, 1, groups=2)
    network = nn.Sequential(nn.Conv2d(1, 2, 1), depthwise, nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match=r"no layer at W2A2D8"):
        quantize(network, Quantization(bits=Bits(weight=2, activation=2, depthwise=8)))
