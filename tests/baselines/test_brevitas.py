"""LSQ and TQT beside brevitas, an implementation by others: values and gradients in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.lsq import LSQWeights
from baselines.tqt import TQTWeights
from tests.qkd.quantizers.test_quantizers import kinds, seeds, values_of

pytest.importorskip("brevitas", reason="brevitas, a development dependency, is not installed")

from brevitas.core.bit_width import BitWidthConst
from brevitas.core.function_wrapper import CeilSte, Identity
from brevitas.core.quant import IntQuant, RescalingIntQuant
from brevitas.core.restrict_val import PowerOfTwoRestrictValue
from brevitas.core.scaling import IntScaling, ParameterScaling, PowerOfTwoIntScaling
from brevitas.core.zero_point import ZeroZeroPoint

SHAPE = (40, 25)


def theirs_of(kind, scaling, int_scaling):
    bits, signed = kind
    integers = IntQuant(narrow_range=False, signed=signed, input_view_impl=Identity())
    return RescalingIntQuant(
        integers, scaling, int_scaling, ZeroZeroPoint(), BitWidthConst(bits)
    ).double()


def learned_scale(kind, step):
    """Their learned scale; their parameter is the threshold, ``codes`` steps."""
    bits, signed = kind
    codes = 2 ** (bits - 1) if signed else 2**bits - 1
    scaling = ParameterScaling(step * codes, dtype=torch.float64)
    return theirs_of(kind, scaling, IntScaling(False, signed, dtype=torch.float64)), codes


def learned_threshold(kind, threshold):
    """Their learned power-of-two threshold, rounded up."""
    restrict = PowerOfTwoRestrictValue(CeilSte())
    scaling = ParameterScaling(threshold, restrict_scaling_impl=restrict, dtype=torch.float64)
    return theirs_of(kind, scaling, PowerOfTwoIntScaling(kind[1]))


def passed(function, x, gradient):
    """The output of a quantizer, and the gradient of x."""
    x = x.detach().requires_grad_()
    output = function(x)
    output.backward(gradient)
    return output.detach(), x.grad


def just_beyond(x, step, quantizer):
    """Where a value lies beyond a bound by less than half a step."""
    v = x / step
    above = (v >= quantizer.highest) & (v <= quantizer.highest + 0.5)
    return above | ((v <= quantizer.lowest) & (v >= quantizer.lowest - 0.5))


@given(kinds, seeds, st.floats(0.01, 100))
def test_lsq_is_brevitas_learned_scale_but_for_its_gradient_scale(kind, seed, step):
    ours = LSQWeights(*kind).double()
    ours.interval.data.fill_(step)
    theirs, codes = learned_scale(kind, step)
    x = values_of(seed, SHAPE, step * 2 ** (kind[0] - 1))
    # brevitas rounds before it clips, LSQ's equations 3 and 5 clip before they round.
    gradient = values_of(seed + 1, SHAPE) * ~just_beyond(x, step, ours)
    output, of_x = passed(ours, x, gradient)
    their_output, their_of_x = passed(lambda x: theirs(x)[0], x, gradient)
    torch.testing.assert_close(output, their_output, rtol=1e-12, atol=1e-12 * step)
    torch.testing.assert_close(of_x, their_of_x, rtol=1e-12, atol=1e-12)
    scale = 1 / math.sqrt(x.numel() * ours.highest)
    their_of_step = theirs.scaling_impl.value.grad.item() * codes
    assert ours.interval.grad.item() == pytest.approx(
        scale * their_of_step, rel=1e-9, abs=1e-9 * scale * codes
    )


def test_just_beyond_a_bound_lsq_clips_where_brevitas_rounds():
    # Two bits, signed, s = 1: codes -2 to 1. 1.25 and -2.25 round to a code within.
    x = torch.tensor([1.25, -2.25], dtype=torch.float64)
    ours = LSQWeights(2, True).double()
    theirs, codes = learned_scale((2, True), 1.0)
    output, of_x = passed(ours, x, torch.ones_like(x))
    their_output, their_of_x = passed(lambda x: theirs(x)[0], x, torch.ones_like(x))
    assert output.tolist() == their_output.tolist() == [1, -2]
    assert of_x.tolist() == [0, 0]
    assert their_of_x.tolist() == [1, 1]
    # Ours 1 - 2, scaled by 1 / sqrt(2); theirs (1 - 1.25) + (-2 + 2.25).
    assert ours.interval.grad.item() == pytest.approx(-1 / math.sqrt(2))
    assert theirs.scaling_impl.value.grad.item() * codes == 0


@given(kinds, seeds, st.floats(-6, 6))
def test_tqt_is_brevitas_power_of_two_threshold(kind, seed, log2_threshold):
    ours = TQTWeights(*kind).double()
    theirs = learned_threshold(kind, 2.0**log2_threshold)
    # log2 of a power may miss it by a rounding, which the ceiling would show.
    ours.log2_threshold.data.copy_(theirs.scaling_impl.value.data)
    x, gradient = values_of(seed, SHAPE, 2.0**log2_threshold), values_of(seed + 1, SHAPE)
    output, of_x = passed(ours, x, gradient)
    their_output, their_of_x = passed(lambda x: theirs(x)[0], x, gradient)
    assert torch.equal(output, their_output)
    assert torch.equal(of_x, their_of_x)
    assert ours.log2_threshold.grad.item() == pytest.approx(
        theirs.scaling_impl.value.grad.item(), rel=1e-9, abs=1e-9 * 2.0**log2_threshold
    )
