"""One layer as integers: by hand, against true integers, and against the layer itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from baselines.lsq_plus import LSQPlus
from baselines.methods import QUANTIZERS
from qkd.imports import QUANTIZERS as WITHIN
from qkd.imports import resolve
from qkd.measures.integer import IntegerLayer, NoProof
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.layers import QuantizedConv2d, QuantizedLinear
from qkd.spec import INTERVAL

PATHS = (INTERVAL, *QUANTIZERS.values())


def layer_of(layer, path=INTERVAL, weight_bits=3, bits=4, signed=False, seed=0):
    """The layer quantized, in float64, its quantizers begun on inputs like those of `inputs_of`."""
    quantizer = resolve(path, WITHIN)
    is_conv = isinstance(layer, nn.Conv2d)
    layer.__class__ = QuantizedConv2d if is_conv else QuantizedLinear
    layer.weight_quantizer = getattr(quantizer, "weights", quantizer)(weight_bits, True)
    layer.input_quantizer = quantizer(bits, signed)
    layer.double()
    layer.weight_quantizer.initialise(layer.weight, "minmax")
    layer.input_quantizer.initialise(inputs_of(layer, signed, seed), "minmax")
    return layer.requires_grad_(False)


def inputs_of(layer, signed=False, seed=0, size=7):
    shape = (
        (3, layer.in_channels, size, size + 1)
        if isinstance(layer, nn.Conv2d)
        else (3, layer.in_features)
    )
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    return x if signed else x.relu()


def norm_of(channels, affine=True):
    """A batch norm with statistics of its own, as after training."""
    norm = nn.BatchNorm2d(channels, affine=affine).double().eval()
    generator = torch.Generator().manual_seed(channels)
    for tensor in norm.state_dict().values():
        if tensor.ndim:
            tensor.copy_(torch.rand(channels, generator=generator) + 0.5)
    return norm.requires_grad_(False)


def set_to(tensor, values):
    tensor.data.copy_(torch.tensor(values, dtype=torch.float64).view(tensor.shape))


def test_a_convolution_and_its_batch_norm_by_hand():
    layer = layer_of(nn.Conv2d(1, 1, 2, bias=True), weight_bits=2, bits=2)
    set_to(layer.weight, [0.3, -0.4, 0.1, 0.6])
    set_to(layer.bias, [0.25])
    layer.weight_quantizer.interval.fill_(0.5)  # codes 1, -1, 0, 1
    layer.input_quantizer.interval.fill_(3.0)  # step 1: codes 0, 2, 2, 3
    x = torch.tensor([[[[0.4, 1.6], [2.4, 9.0]]]], dtype=torch.float64)
    integer = IntegerLayer("one", layer)
    assert integer.weight.flatten().tolist() == [1, -1, 0, 1]
    assert integer.sums(torch.tensor([[[[0.0, 2.0], [2.0, 3.0]]]])).tolist() == [[[[1.0]]]]
    assert integer(x).tolist() == [[[[0.5 * 1.0 * 1 + 0.25]]]]
    norm = nn.BatchNorm2d(1, eps=0.0).double().eval().requires_grad_(False)
    for tensor, value in (
        (norm.running_mean, 0.5),
        (norm.running_var, 4.0),
        (norm.weight, 3.0),
        (norm.bias, 1.0),
    ):
        tensor.fill_(value)
    # 3 (0.75 - 0.5) / 2 + 1 as one multiply-add: 0.75 times the sum of 1, and 0.625
    folded = IntegerLayer("one", layer, norm)
    assert (folded.factor.item(), folded.shift.item()) == (0.75, 0.625)
    assert folded(x).tolist() == [[[[1.375]]]]


def test_a_padded_zero_is_the_float_zero_by_hand():
    # LSQ+, step 1, offset -1: code 0 is -1, and the zero of the padding is no code. Weight codes
    # are 1, 1, 1 in steps of 1: over (pad, -1, 2, pad) the windows sum 0 - 1 + 2 = 1 and 1.
    layer = layer_of(
        nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False), "baselines.lsq_plus:LSQPlus"
    )
    set_to(layer.weight, [1.0, 1.0, 1.0])
    layer.weight_quantizer.interval.fill_(1.0)
    layer.input_quantizer.interval.fill_(1.0)
    layer.input_quantizer.offset.fill_(-1.0)
    x = torch.tensor([[[[-1.0, 2.0, 3.0]]]], dtype=torch.float64)
    assert layer.input_quantizer.codes(x).integers.tolist() == [[[[0, 3, 4]]]]
    assert IntegerLayer("one", layer)(x).tolist() == [[[[1, 4, 5]]]]


shapes = st.fixed_dictionaries(
    {
        "kernel_size": st.sampled_from([1, 2, 3]),
        "stride": st.integers(1, 2),
        "padding": st.integers(0, 2),
        "dilation": st.integers(1, 2),
        "groups": st.sampled_from([1, 2, 4]),
        "bias": st.booleans(),
        "padding_mode": st.sampled_from(["zeros", "reflect", "circular", "replicate"]),
    }
)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=25)
@given(shape=shapes, bits=st.sampled_from([2, 4, 8]), signed=st.booleans(), seed=st.integers(0, 99))
def test_a_convolution_computes_what_the_quantized_one_and_its_batch_norm_do(
    *, path, shape, bits, signed, seed
):
    torch.manual_seed(seed)
    layer = layer_of(nn.Conv2d(4, 8, **shape), path, bits, bits, signed, seed)
    norm, x = norm_of(8, affine=shape["bias"]), inputs_of(layer, signed, seed)
    got = IntegerLayer("one", layer, norm)(x)
    torch.testing.assert_close(got, norm(layer(x)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_layer_computes_what_the_quantized_one_does(path, bias):
    torch.manual_seed(0)
    layer = layer_of(nn.Linear(12, 5, bias=bias), path, signed=True)
    x = inputs_of(layer, signed=True)
    torch.testing.assert_close(IntegerLayer("one", layer)(x), layer(x), rtol=1e-12, atol=1e-12)


def test_a_linear_layer_over_positions_is_one_of_each_position():
    layer = layer_of(nn.Linear(6, 4), "baselines.lsq_plus:LSQPlus")
    x = torch.rand(2, 3, 6, dtype=torch.float64)
    torch.testing.assert_close(IntegerLayer("one", layer)(x), layer(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", [INTERVAL, "baselines.pact:PACT"])
def test_exact_pixels_are_summed_in_float_with_integer_weights(path):
    layer = layer_of(nn.Conv2d(3, 4, 3, padding=1), path, weight_bits=8)
    layer.input_quantizer = nn.Identity()
    integer, x = IntegerLayer("one", layer), inputs_of(layer, signed=True)
    assert torch.equal(integer.weight, integer.weight.round())
    torch.testing.assert_close(integer(x), layer(x), rtol=1e-12, atol=1e-12)


def int64_sums(layer, integers):
    """The convolution of whole numbers in true integers, group by group."""
    groups, weight = layer.groups, layer.weight_quantizer.codes(layer.weight).integers.long()
    windows = functional.unfold(
        integers.double(), layer.kernel_size, layer.dilation, layer.padding, layer.stride
    ).long()
    parts = zip(windows.chunk(groups, 1), weight.flatten(1).chunk(groups, 0), strict=True)
    return torch.cat([w @ window for window, w in parts], dim=1)


@pytest.mark.parametrize(
    ("layer", "weight_bits", "bits", "number"),
    [
        (nn.Conv2d(8, 16, 3, padding=1), 2, 2, torch.float32),
        (nn.Conv2d(8, 8, 3, stride=2, groups=8), 4, 4, torch.float32),
        (nn.Conv2d(16, 4, 3, padding=1, groups=2), 8, 8, torch.float32),
        (nn.Conv2d(128, 4, 3), 8, 8, torch.float64),
    ],
)
def test_sums_are_those_of_true_integers(layer, weight_bits, bits, number):
    torch.manual_seed(0)
    layer = layer_of(layer, weight_bits=weight_bits, bits=bits)
    layer.weight_quantizer.interval.mul_(0.2)  # many codes at the ends: large sums
    integer = IntegerLayer("one", layer)
    assert integer.number == number
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 2**bits, inputs_of(layer).shape, generator=generator)
    codes[0] = 2**bits - 1
    got = integer.sums(codes.double())
    assert got.dtype == torch.float64
    assert torch.equal(got.long().flatten(2), int64_sums(layer, codes))
    assert got.abs().max() < 2**31


@pytest.mark.parametrize("inputs", [65_000, 67_000])
def test_a_sum_that_int32_cannot_hold_is_refused(inputs):
    # The largest sum is 127 x 255 x inputs; 2^31 = 127 x 255 x 66,311.9.
    layer = nn.Linear(inputs, 1, bias=False)
    nn.init.ones_(layer.weight)
    layer = layer_of(layer, weight_bits=8, bits=8)
    layer.weight_quantizer.interval.fill_(1.0)
    if inputs == 65_000:
        assert IntegerLayer("last", layer).number == torch.float64
        return
    with pytest.raises(NoProof, match=r"sum of layer last may reach 2169795000, which int32"):
        IntegerLayer("last", layer)


def test_weights_of_levels_without_a_zero_are_odd_integers():
    # DoReFa of 2 bits: -1, -1/3, 1/3, 1, here the two at the ends: codes 0 and 3 become -3 and 3.
    layer = layer_of(nn.Linear(4, 1, bias=False), "baselines.dorefa:DoReFa", weight_bits=2)
    set_to(layer.weight, [1.0, -1.0, 1.0, 0.1])
    integer = IntegerLayer("one", layer)
    assert integer.weight.tolist() == [[3, -3, 3, 1]]
    assert integer.factor.item() == pytest.approx(1 / 3)


def test_weights_that_are_integers_of_no_scale_are_refused():
    layer = layer_of(nn.Linear(4, 1))
    layer.weight_quantizer = LSQPlus(2, True).double().requires_grad_(False)
    layer.weight_quantizer.offset.fill_(0.3)
    with pytest.raises(NoProof, match=r"weights of layer last have an offset of 0.3 steps: they"):
        IntegerLayer("last", layer)


def test_a_convolution_that_is_no_sum_of_products_is_not_trusted(monkeypatch):
    layer = layer_of(nn.Conv2d(4, 4, 3))
    x, wanted = inputs_of(layer), layer(inputs_of(layer))
    exact = QuantizedConv2d._conv_forward

    def by_fourier(self, integers, weight, bias):
        result = exact(self, integers, weight, bias)
        return result * (1 + 1e-5) if integers.dtype == torch.float32 else result

    monkeypatch.setattr(QuantizedConv2d, "_conv_forward", by_fourier)
    integer = IntegerLayer("one", layer)
    assert integer.number == torch.float32
    for _ in range(2):
        torch.testing.assert_close(integer(x), wanted, rtol=1e-12, atol=1e-12)
        assert integer.number == torch.float64


def test_the_bound_is_that_of_the_declared_codes():
    layer = layer_of(nn.Linear(4, 2, bias=False), weight_bits=2, bits=2)
    set_to(layer.weight, [1.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    layer.weight_quantizer.interval.fill_(1.0)
    assert isinstance(layer.weight_quantizer, IntervalQuantizer)
    integer = IntegerLayer("one", layer)
    worst = torch.tensor([[3.0, 0.0, 0.0, 3.0]], dtype=torch.float64)
    assert integer.sums(worst).tolist() == [[6.0, 3.0]]
    assert LSQPlus(2, True).codes(torch.zeros(1))[3:] == (0, 3)
