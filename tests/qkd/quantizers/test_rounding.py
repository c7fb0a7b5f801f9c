"""A layer's input and weight rounded together, against plain autograd in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from baselines.lsq import LSQ, LSQWeights
from baselines.tqt import TQT, TQTWeights
from qkd.quantizers.interval import IntervalQuantizer
from qkd.quantizers.layers import round_layer, rounding_again
from qkd.quantizers.rounding import product

PAIRS = {
    "interval": (IntervalQuantizer, IntervalQuantizer),
    "lsq": (LSQ, LSQWeights),
    "tqt": (TQT, TQTWeights),
}
# Shapes of (input, weight) and the convolution's options.
LAYERS = {
    "3x3": ((4, 6, 5, 5), (8, 6, 3, 3), {"padding": 1}),
    "stride": ((4, 6, 6, 6), (8, 6, 3, 3), {"padding": 1, "stride": 2}),
    "1x1": ((4, 6, 5, 5), (8, 6, 1, 1), {}),
    "depthwise": ((4, 6, 5, 5), (6, 1, 3, 3), {"padding": 1, "groups": 6}),
    "grouped": ((4, 6, 5, 5), (8, 3, 3, 3), {"groups": 2}),
    "one pixel": ((4, 6, 1, 1), (8, 6, 1, 1), {}),
}


def plain(x, step, low, high):
    """Clip, then round with derivative 1: what autograd makes of the equation as it is written."""
    ratio = (x / step).clamp(low, high)
    return step * (ratio + (ratio.round() - ratio).detach())


def scale_of(quantizer):
    """Step, lowest and highest code, from the attributes that a reader knows."""
    if isinstance(quantizer, IntervalQuantizer):
        n = quantizer.steps
        return quantizer.interval / n, -n if quantizer.signed else 0, n
    if isinstance(quantizer, LSQWeights):
        return quantizer.interval, quantizer.lowest, quantizer.highest
    return quantizer._step(), quantizer.lowest, quantizer.highest


def tensor(shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def quantizers_of(name, bits, signed, dtype=torch.float64):
    of_x, of_weight = (kind(bits, s) for kind, s in zip(PAIRS[name], (signed, True), strict=True))
    for quantizer, value in ((of_x, 0.7), (of_weight, 0.4)):
        for parameter in quantizer.parameters():
            parameter.data.fill_(value)
    return of_x.to(dtype), of_weight.to(dtype)


def gradients(output, gradient, *tensors):
    return torch.autograd.grad(output, tensors, gradient)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", ["interval", "lsq"])
@pytest.mark.parametrize("signed", [True, False])
def test_gradients_of_a_convolution_are_those_of_plain_autograd(name, layer, layout, signed):
    input_shape, weight_shape, options = LAYERS[layer]
    of_x, of_weight = quantizers_of(name, 3, signed)
    x = tensor(input_shape, 0).to(memory_format=layout).requires_grad_()
    weight = tensor(weight_shape, 1).to(memory_format=layout).requires_grad_()
    learned = (x, weight, of_x.interval, of_weight.interval)

    rounded = round_layer(x, of_x, weight, of_weight)
    assert rounded[0].grad_fn is rounded[1].grad_fn  # together
    output = functional.conv2d(*rounded, **options)
    gradient = tensor(output.shape, 2).to(memory_format=layout)
    ours = gradients(output, gradient, *learned)

    written = [plain(t, *scale_of(q)) for t, q in ((x, of_x), (weight, of_weight))]
    theirs_output = functional.conv2d(*written, **options)
    theirs = list(gradients(theirs_output, gradient, *learned))
    if name == "lsq":  # the gradient's scale, section 2.2
        theirs[2] = theirs[2] / (x[0].numel() * of_x.highest) ** 0.5
        theirs[3] = theirs[3] / (weight.numel() * of_weight.highest) ** 0.5
    torch.testing.assert_close(output, theirs_output)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-10)


@given(st.sampled_from(sorted(PAIRS)), st.integers(2, 8), st.booleans(), st.integers(0, 2**31))
def test_together_or_alone_the_gradients_are_the_same(name, bits, signed, seed):
    of_x, of_weight = quantizers_of(name, bits, signed)
    x, weight = tensor((5, 7), seed).requires_grad_(), tensor((3, 7), seed + 1).requires_grad_()
    with torch.no_grad():  # the boundary cases, which belong to one side
        x.view(-1)[:4] = torch.stack([s * of_x.scale(x)[0] for s in (1.0, -1.0, 0.0, 3.0)])
    bias = tensor((3,), seed + 2)
    learned = (x, weight, *of_x.parameters(), *of_weight.parameters())
    gradient = tensor((5, 3), seed + 3)
    together = functional.linear(*round_layer(x, of_x, weight, of_weight), bias)
    alone = functional.linear(of_x(x), of_weight(weight), bias)
    assert torch.equal(together, alone)
    pairs = zip(
        gradients(together, gradient, *learned), gradients(alone, gradient, *learned), strict=True
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_the_two_products_are_one_by_hand():
    # Two bits, signed: x = 0.2 to (-0.5, 0, 0.5), w = -0.9 to (-1, 0, 1).
    of_x, of_weight = IntervalQuantizer(2, True), IntervalQuantizer(2, True)
    of_x.interval.data.fill_(0.5)
    x, weight = torch.tensor([[0.2]], requires_grad=True), torch.tensor([[-0.9]])
    weight.requires_grad_()
    x_hat, w_hat = round_layer(x, of_x, weight, of_weight)
    assert (x_hat.item(), w_hat.item()) == (0.0, -1.0)
    (x_hat @ w_hat).backward(torch.tensor([[2.0]]))
    # gx_hat = 2 w_hat = -2, gw_hat = 2 x_hat = 0.
    assert (x.grad.item(), weight.grad.item()) == (-2.0, 0.0)
    # d x_hat / d I = r - x / I = 0 - 0.4 inside, times gx_hat; of the weight times 0.
    assert of_x.interval.grad.item() == pytest.approx(0.8)
    assert of_weight.interval.grad.item() == 0.0


def test_a_quantizer_with_a_way_of_its_own_is_asked():
    class Doubled(IntervalQuantizer):
        def forward(self, x):
            return 2 * super().forward(x)

    x, weight = tensor((2, 3), 0, torch.float32), tensor((4, 3), 1, torch.float32)
    x_hat, _ = round_layer(x, Doubled(4, True), weight, IntervalQuantizer(4, True))
    assert torch.equal(x_hat, 2 * IntervalQuantizer(4, True)(x))


def test_under_autocast_each_is_rounded_by_itself_and_in_float32():
    of_x, of_weight = quantizers_of("interval", 4, True, torch.float32)
    x, weight = tensor((2, 3), 0).bfloat16(), tensor((4, 3), 1, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        x_hat, w_hat = round_layer(x, of_x, weight, of_weight)
    assert x_hat.dtype == w_hat.dtype == torch.float32
    assert x_hat.grad_fn is not w_hat.grad_fn


@given(st.integers(0, 2**31), st.sampled_from(["dense", "sliced", "transposed"]))
def test_a_product_pairs_elements_by_place_whatever_the_formats(seed, kind):
    a, b = tensor((3, 4, 5, 6), seed), tensor((3, 4, 5, 6), seed + 1)
    expected = (a * b).sum()
    forms = [t.to(memory_format=torch.channels_last) for t in (a, b)]
    for one in (a, forms[0]):
        for other in (b, forms[1]):
            torch.testing.assert_close(product(one, other), expected)
    if kind == "sliced":
        a, b = a[:, 1:3, ::2], b[:, 1:3, ::2]
    if kind == "transposed":
        a, b = a.transpose(0, 3), b.transpose(0, 3)
    torch.testing.assert_close(product(a, b), (a * b).sum())


def test_a_layer_keeps_its_input_and_nothing_of_its_size_besides():
    # Its producer keeps the input and the convolution the rounded one: no third tensor.
    layer = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    of_x, of_weight = quantizers_of("interval", 4, True, torch.float32)
    x = tensor((8, 4, 16, 16), 0, torch.float32).requires_grad_()
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.setdefault(t.data_ptr(), t), lambda t: t
    ):
        rounded = round_layer(x, of_x, layer.weight, of_weight)
        output = functional.conv2d(*rounded, padding=1)
    assert output.requires_grad
    large = [t for t in kept.values() if t.numel() == x.numel()]
    assert {t.data_ptr() for t in large} == {x.data_ptr(), rounded[0].data_ptr()}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_rounding_again_keeps_neither_and_changes_no_bit(name, kind):
    of_x, of_weight = quantizers_of(name, 3, True, torch.float32)
    shapes = ((4, 6, 8, 8), (6, 6, 3, 3)) if kind == "conv" else ((32, 48), (10, 48))
    x, weight = (tensor(s, i, torch.float32).requires_grad_() for i, s in enumerate(shapes))
    learned = (x, weight, *of_x.parameters(), *of_weight.parameters())
    operation = functional.conv2d if kind == "conv" else functional.linear

    def run(again):
        rounded = round_layer(x, of_x, weight, of_weight, again)
        made = ((x, of_x, rounded[0]), (weight, of_weight, rounded[1]))
        places = {output.data_ptr() for *_, output in made}
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: kept.append(t.data_ptr()) or t, lambda t: t
        ):
            if again:
                with rounding_again(*made):
                    output = operation(*rounded)
            else:
                output = operation(*rounded)
        return gradients(output, torch.ones_like(output), *learned), places & set(kept)

    (plainly, kept), (again, kept_again) = run(False), run(True)
    assert len(kept) == 2
    assert not kept_again
    assert all(torch.equal(a, b) for a, b in zip(plainly, again, strict=True))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("signed", [True, False])
def test_what_a_compiler_traces_has_the_same_gradients(name, signed):
    of_x, of_weight = quantizers_of(name, 3, signed)
    x, weight = tensor((4, 6, 5, 5), 0).requires_grad_(), tensor((8, 6, 3, 3), 1).requires_grad_()
    learned = (x, weight, *of_x.parameters(), *of_weight.parameters())

    def layer(x, weight):
        return functional.conv2d(*round_layer(x, of_x, weight, of_weight), padding=1)

    traced = torch.compile(layer, backend="aot_eager", fullgraph=True)
    gradient = tensor((4, 8, 5, 5), 2)
    ours, theirs = (gradients(f(x, weight), gradient, *learned) for f in (traced, layer))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_an_interval_of_one_element_learns_and_a_fixed_one_is_left_alone():
    of_x, of_weight = quantizers_of("interval", 3, True)
    of_x.interval = nn.Parameter(torch.full((1,), 0.7, dtype=torch.float64))
    of_weight.interval.requires_grad_(False)
    x, weight = tensor((4, 6), 0), tensor((8, 6), 1).requires_grad_()
    functional.linear(*round_layer(x, of_x, weight, of_weight)).sum().backward()
    assert of_x.interval.grad.shape == (1,)
    assert of_weight.interval.grad is None
