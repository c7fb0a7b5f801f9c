import pytest
import torch
from torch import nn

from qkd.models.mobilenet_cifar import GROUPS, mobilenet_v2
from qkd.quantizers.layers import QuantizedConv2d
from qkd.quantizers.quantize import quantize, quantized_layers
from qkd.quantizers.tracing import trace
from qkd.spec import Bits, Quantization

W2A4 = Quantization(bits=Bits(weight=2, activation=4))


def test_the_parameters_at_width_1_are_as_many_as_counted_by_hand():
    # An inverted residual of i -> o channels, expanded to h: i h + 2 h (not at expansion 1), then
    # 9 h + 2 h, h o + 2 o; batch norms have two parameters a channel.
    total, before = 3 * 32 * 9 + 2 * 32, 32
    for expansion, after, blocks, _ in GROUPS:
        for _ in range(blocks):
            hidden = expansion * before
            total += (before * hidden + 2 * hidden) * (expansion > 1)
            total += 9 * hidden + 2 * hidden + hidden * after + 2 * after
            before = after
    total += 320 * 1280 + 2 * 1280 + 1280 * 10 + 10
    assert sum(p.numel() for p in mobilenet_v2().parameters()) == total
    # Published: 3.5 M with a linear layer of 1,281,000 for ImageNet, to this one's 12,810.
    assert 3.4e6 < total + 1_281_000 - 12_810 < 3.6e6


@pytest.mark.parametrize(("width", "channels"), [(1.0, 32), (0.5, 16), (0.1, 8)])
def test_the_width_is_a_factor_on_the_channels(width, channels):
    network = mobilenet_v2(width)
    assert network.features[0][0].out_channels == channels
    assert network.features[18][0].out_channels == 1280


def test_a_width_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="width is 0"):
        mobilenet_v2(0)


def test_the_strides_of_small_images():
    network = mobilenet_v2(0.25)
    sides = []
    for block in network.features:
        block.register_forward_hook(lambda _m, _i, output: sides.append(output.shape[-1]))
    network(torch.zeros(2, 3, 32, 32))
    assert sides == [32] * 4 + [16] * 3 + [8] * 7 + [4] * 5


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (1, 28), (3, 32)])
def test_logits_of_grey_and_coloured_images(channels, size):
    network = mobilenet_v2(0.1, channels, classes=7)
    assert network(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_dropout_is_off_unless_asked_for():
    rates = [m.p for m in mobilenet_v2(0.1).modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.0]
    assert [m.p for m in mobilenet_v2(0.1, dropout=0.2).modules() if isinstance(m, nn.Dropout)] == [
        0.2
    ]


def expected_layers():
    """Name, whether depthwise, and the sign of the input of each layer, by the architecture.

    An expanding convolution and the last one see a linear bottleneck, which may be negative; the
    others see what ReLU6 left. The image is not quantized (None).
    """
    yield "features.0.0", False, None
    index = 0
    for expansion, _, blocks, _ in GROUPS:
        for _ in range(blocks):
            index += 1
            block = f"features.{index}.conv"
            if expansion > 1:
                yield f"{block}.0.0", False, True
            yield f"{block}.{int(expansion > 1)}.0", True, False
            yield f"{block}.{1 + int(expansion > 1)}", False, False
    yield f"features.{index + 1}.0", False, True
    yield "classifier.1", False, False


def test_every_layer_is_quantized_with_its_sign_and_bits():
    expected = list(expected_layers())
    network = quantize(mobilenet_v2(0.1), W2A4)
    layers = dict(quantized_layers(network))
    assert list(layers) == [name for name, _, _ in expected]
    assert len(expected) == 53
    kept = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(kept) == len(layers)
    for place, (name, depthwise, signed) in enumerate(expected):
        layer = layers[name]
        edge = place in (0, len(expected) - 1)
        assert layer.weight_quantizer.bits == (8 if edge else 2), name
        assert layer.weight_quantizer.signed, name
        if signed is None:
            assert isinstance(layer.input_quantizer, nn.Identity)
        else:
            assert layer.input_quantizer.signed is signed, name
            assert layer.input_quantizer.bits == (8 if edge else 4), name
        is_depthwise = isinstance(layer, QuantizedConv2d) and layer.groups > 1
        assert is_depthwise is depthwise, name
        if depthwise:
            assert layer.groups == layer.in_channels == layer.out_channels


def test_a_quantized_one_learns_in_every_layer():
    network = quantize(mobilenet_v2(0.1), W2A4)
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    for name, layer in quantized_layers(network):
        assert layer.weight.grad is not None, name
        assert bool(layer.weight.grad.isfinite().all()), name


def test_a_linear_bottleneck_does_go_below_zero():
    # That its sums are signed is no caution: they are negative in fact.
    network = mobilenet_v2(0.1).eval()
    seen = {}
    for name in ("features.3", "features.4"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, _i, output, name=name: seen.__setitem__(name, output.min().item())
        )
    with torch.no_grad():
        network(torch.randn(4, 3, 32, 32))
    assert all(low < 0 for low in seen.values())


def test_it_can_be_traced_without_a_change_of_value():
    network = mobilenet_v2(0.1).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(trace(network)(images), network(images))
