import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qkd.quantizers.interval import IntervalQuantizer

kinds = st.tuples(st.integers(2, 8), st.booleans())
seeds = st.integers(0, 2**31)
intervals = st.floats(0.01, 100)


def quantizer_of(bits, signed, interval=1.0, dtype=torch.float64):
    quantizer = IntervalQuantizer(bits, signed).to(dtype)
    quantizer.interval.data.fill_(interval)
    return quantizer


def values_of(seed, shape=(200,), scale=1.0, dtype=torch.float64):
    """Inside, outside and at the edges of (-scale, scale)."""
    generator = torch.Generator().manual_seed(seed)
    values = scale * torch.randn(shape, generator=generator, dtype=dtype)
    values.view(-1)[:5] = scale * torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0], dtype=dtype)
    return values


def expected(x, gradient, interval, bits, signed):
    """Output and gradients, an element at a time, from the equation in qkd.quantizers.interval."""
    n = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    outputs, of_x, of_interval = [], [], 0.0
    for value, g in zip(x.flatten().tolist(), gradient.flatten().tolist(), strict=True):
        ratio = value / interval
        if ratio >= 1:
            output, slope_x, slope_interval = interval, 0.0, 1.0
        elif ratio <= (-1 if signed else 0):
            output, slope_x, slope_interval = (-interval, 0.0, -1.0) if signed else (0.0, 0.0, 0.0)
        else:
            # I r(x / I) / n, the rounding's derivative being 1: d/dI = r / n - x / I
            code = round(n * ratio)
            output, slope_x, slope_interval = interval * code / n, 1.0, code / n - ratio
        outputs.append(output)
        of_x.append(g * slope_x)
        of_interval += g * slope_interval
    as_tensor = [torch.tensor(v, dtype=torch.float64).view(x.shape) for v in (outputs, of_x)]
    return (*as_tensor, of_interval)


def gradients(quantizer, x, gradient):
    x = x.detach().requires_grad_()
    quantizer.interval.grad = None
    output = quantizer(x)
    output.backward(gradient)
    return output.detach(), x.grad, quantizer.interval.grad


def test_two_bits_signed_by_hand():
    # n = 1, I = 2: levels -2, 0, 2; codes round(x / 2), ties to even (0.5 -> 0).
    quantizer = quantizer_of(2, True, 2.0)
    x = torch.tensor([-5.0, -2.0, -1.5, -1.0, -0.9, 0.0, 0.9, 1.1, 2.0, 7.0], dtype=torch.float64)
    output, of_x, of_interval = gradients(quantizer, x, torch.ones_like(x))
    assert output.tolist() == [-2, -2, -2, 0, 0, 0, 0, 2, 2, 2]
    assert of_x.tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]
    # -1 -1 | -1 + 0.75, 0.5, 0.45, 0, -0.45, 1 - 0.55 | 1 + 1
    assert of_interval.item() == pytest.approx(-0.25 + 0.5 + 0.45, abs=1e-12)


def test_two_bits_unsigned_by_hand():
    # n = 3, I = 3: levels 0, 1, 2, 3.
    quantizer = quantizer_of(2, False, 3.0)
    x = torch.tensor([-1.0, 0.0, 0.4, 0.6, 1.0, 2.2, 2.9, 3.0, 9.0], dtype=torch.float64)
    output, of_x, of_interval = gradients(quantizer, x, torch.ones_like(x))
    torch.testing.assert_close(output, output.round())
    assert output.round().tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3]
    assert of_x.tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]
    # (x_hat - x) / 3 inside: (-0.4 + 0.4 + 0 - 0.2 + 0.1) / 3 = -0.1 / 3, and 1 + 1 at the top
    assert of_interval.item() == pytest.approx(2 - 0.1 / 3, abs=1e-12)


@pytest.mark.parametrize(
    ("bits", "signed", "levels"),
    [(2, True, 3), (2, False, 4), (3, True, 7), (4, False, 16), (8, True, 255), (8, False, 256)],
)
def test_the_levels_are_all_taken_and_evenly_spaced(bits, signed, levels):
    quantizer = quantizer_of(bits, signed, 0.7)
    output = quantizer(torch.linspace(-2, 2, 20001, dtype=torch.float64)).unique()
    assert quantizer.levels == levels == len(output)
    assert output[-1] == 0.7
    assert output[0] == (-0.7 if signed else 0)
    gaps = output.diff()
    torch.testing.assert_close(gaps, torch.full_like(gaps, 0.7 / quantizer.steps))


@pytest.mark.parametrize("bits", [-1, 0, 1, 9, 32])
def test_other_bits_are_refused(bits):
    with pytest.raises(ValueError, match=f"bits is {bits}: it must be 2 to 8"):
        IntervalQuantizer(bits, True)


@given(kinds, seeds, intervals)
def test_output_and_gradients_are_those_of_the_equation(kind, seed, interval):
    quantizer = quantizer_of(*kind, interval)
    interval = quantizer.interval.item()
    x = values_of(seed, scale=interval)
    gradient = values_of(seed + 1)
    output, of_x, of_interval = gradients(quantizer, x, gradient)
    wanted, wanted_of_x, wanted_of_interval = expected(x, gradient, interval, *kind)
    torch.testing.assert_close(output, wanted, rtol=1e-9, atol=1e-9 * interval)
    assert torch.equal(of_x, wanted_of_x)
    assert of_interval.shape == ()
    assert of_interval.item() == pytest.approx(wanted_of_interval, abs=1e-9)


def test_outside_the_interval_the_gradient_is_that_of_finite_differences():
    # There the output is I or -I itself: no rounding to go straight through.
    interval = torch.tensor(0.7, dtype=torch.float64)
    for signed in (True, False):
        quantizer = quantizer_of(3, signed)
        x = torch.tensor([0.9, 1.4, -0.8, -3.0], dtype=torch.float64, requires_grad=True)

        def through(x, interval, quantizer=quantizer):
            return torch.func.functional_call(quantizer, {"interval": interval}, x)

        assert torch.autograd.gradcheck(through, (x, interval.clone().requires_grad_()))


@given(kinds, seeds, intervals)
def test_no_more_values_than_levels(kind, seed, interval):
    quantizer = quantizer_of(*kind, interval, torch.float32)
    output = quantizer(values_of(seed, (5000,), interval, torch.float32))
    assert len(output.unique()) <= quantizer.levels


@given(kinds, seeds, intervals)
def test_quantizing_the_quantized_changes_nothing(kind, seed, interval):
    quantizer = quantizer_of(*kind, interval, torch.float32)
    once = quantizer(values_of(seed, scale=interval, dtype=torch.float32))
    assert torch.equal(quantizer(once), once)


@given(kinds, seeds, intervals)
def test_quantizing_moves_nothing_inside_by_more_than_half_a_step(kind, seed, interval):
    bits, signed = kind
    quantizer = quantizer_of(bits, signed, interval)
    x = values_of(seed, scale=interval).clamp(-interval if signed else 0, interval)
    assert (quantizer(x) - x).abs().max() <= interval / quantizer.steps * (0.5 + 1e-9)


def test_signed_outputs_are_odd():
    quantizer = quantizer_of(4, True, 0.9)
    x = values_of(3)
    assert torch.equal(quantizer(-x), -quantizer(x))


def formats(seed, shape):
    """The same layout-free shape, lying in memory in different ways."""
    contiguous = values_of(seed, shape)
    return {
        "contiguous": contiguous,
        "channels_last": contiguous.contiguous(memory_format=torch.channels_last),
        "transposed": contiguous.transpose(0, 1).contiguous().transpose(0, 1),
        "reversed": contiguous.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
        "sliced": torch.cat([contiguous, contiguous], dim=3)[..., : shape[3]],
        "strided": contiguous.repeat_interleave(2, dim=2)[:, :, ::2],
        "expanded": contiguous[:1].expand(shape),
    }


@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (4, 1, 5, 5), (1, 6, 1, 1), (2, 3, 1, 4)])
@pytest.mark.parametrize("signed", [True, False])
def test_the_interval_gradient_does_not_depend_on_how_tensors_lie_in_memory(shape, signed):
    for x_name, x in formats(1, shape).items():
        for g_name, gradient in formats(2, shape).items():
            quantizer = quantizer_of(3, signed, 0.8)
            output, of_x, of_interval = gradients(quantizer, x, gradient)
            wanted = expected(x, gradient, 0.8, 3, signed)
            torch.testing.assert_close(output, wanted[0], msg=f"{x_name}, {g_name}")
            torch.testing.assert_close(of_x, wanted[1], msg=f"{x_name}, {g_name}")
            assert of_interval.item() == pytest.approx(wanted[2], abs=1e-9), (x_name, g_name)


def test_a_sums_expanded_gradient_is_right():
    quantizer = quantizer_of(2, True, 0.8)
    x = values_of(5, (4, 3, 5, 5)).contiguous(memory_format=torch.channels_last)
    quantizer(x.requires_grad_()).sum().backward()
    wanted = expected(x.detach(), torch.ones(x.shape), 0.8, 2, True)
    assert quantizer.interval.grad.item() == pytest.approx(wanted[2], abs=1e-9)


def test_the_weights_of_a_linear_layer_may_be_transposed():
    quantizer = quantizer_of(2, True, 0.8)
    weight, gradient = values_of(5, (6, 7)).t(), values_of(6, (7, 6))
    output, of_x, of_interval = gradients(quantizer, weight, gradient)
    wanted = expected(weight, gradient, 0.8, 2, True)
    torch.testing.assert_close((output, of_x), wanted[:2])
    assert of_interval.item() == pytest.approx(wanted[2], abs=1e-9)


def test_in_float32_the_interval_gradient_of_many_elements_stays_near_float64():
    for bits, signed in ((2, True), (8, False)):
        x, gradient = values_of(1, (2**19,)).float(), values_of(2, (2**19,)).float()
        got = gradients(quantizer_of(bits, signed, 2.0, torch.float32), x, gradient)[2]
        exact = gradients(quantizer_of(bits, signed, 2.0), x.double(), gradient.double())[2]
        assert got.item() == pytest.approx(exact.item(), rel=1e-3)


def test_under_autocast_the_arithmetic_is_float32():
    quantizer = quantizer_of(8, False, 0.9, torch.float32)
    x = values_of(1, (50, 20)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        output = quantizer(x)
    assert output.dtype == torch.float32
    assert torch.equal(output, quantizer(x.float()))
    assert quantizer.interval.dtype == torch.float32


def test_a_bfloat16_input_gets_a_bfloat16_gradient():
    quantizer = quantizer_of(4, True, 0.9, torch.float32)
    x = values_of(1).bfloat16().requires_grad_()
    quantizer(x).sum().backward()
    assert x.grad.dtype == torch.bfloat16
    assert quantizer.interval.grad.dtype == torch.float32


def test_a_frozen_interval_gets_no_gradient():
    quantizer = quantizer_of(3, True, 0.8)
    quantizer.interval.requires_grad_(False)
    x = values_of(1).requires_grad_()
    quantizer(x).sum().backward()
    assert quantizer.interval.grad is None
    assert torch.equal(x.grad, (x.abs() < 0.8).double())


def test_a_second_derivative_is_refused():
    quantizer = quantizer_of(3, True, 0.8)
    x = values_of(1).requires_grad_()
    (first,) = torch.autograd.grad(quantizer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_the_input_is_left_as_it_was():
    x = values_of(1)
    before = x.clone()
    quantizer_of(2, False, 0.5)(x)
    assert torch.equal(x, before)


def test_a_number_that_is_none_stays_visible():
    assert math.isnan(quantizer_of(2, True)(torch.tensor([math.nan])).item())
