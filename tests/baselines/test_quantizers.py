"""What holds for every rival's quantizer."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines import today
from baselines.dorefa import DoReFa, DoReFaWeights
from baselines.ewgs import EWGS, EWGSWeights
from baselines.lsq import LSQ, LSQWeights
from baselines.lsq_plus import LSQPlus, LSQPlusWeights
from baselines.methods import QUANTIZERS
from baselines.n2uq import N2UQ, N2UQWeights
from baselines.pact import PACT, SAWB
from baselines.pact_plus import PACTPlus
from baselines.qil import QIL, QILWeights
from baselines.sawb_zero import PACTZero, ZeroAlignedSAWB
from baselines.tqt import TQT, TQTWeights
from tests.qkd.quantizers.test_quantizers import formats, seeds, values_of

ACTIVATIONS = (LSQ, LSQPlus, PACT, DoReFa, QIL, TQT, EWGS, N2UQ, PACTZero, PACTPlus)
WEIGHTS = (
    *(LSQWeights, LSQPlusWeights, SAWB, DoReFaWeights, QILWeights, TQTWeights),
    *(EWGSWeights, N2UQWeights, ZeroAlignedSAWB, ZeroAlignedSAWB),
)
# Zero-aligned SAWB is for 2, 4, 7 and 8 bits alone: see test_today.
CASES = [(c, signed) for c in ACTIVATIONS for signed in (False, True)] + [
    (c, True) for c in WEIGHTS if c is not ZeroAlignedSAWB
]
# These map the tensor to another range, or take their range from the very tensor.
NOT_IDEMPOTENT = (SAWB, DoReFaWeights, QIL, QILWeights, EWGSWeights, N2UQWeights)
every_case = pytest.mark.parametrize(("kind", "signed"), CASES)
bit_counts = st.sampled_from([2, 3, 4, 8])


def begun(kind, signed, bits=3, seed=0, rule="minmax", dtype=torch.float64, shape=(50, 20)):
    """A quantizer with initial values, and the tensor that they are of."""
    tensor = values_of(seed, shape, dtype=dtype)
    tensor = tensor if signed else tensor.relu()
    quantizer = kind(bits, signed).to(dtype)
    quantizer.initialise(tensor, rule)
    return quantizer, tensor


def test_the_methods_name_the_activations_classes_and_these_the_weights_classes():
    names = [f"{kind.__module__}:{kind.__name__}" for kind in ACTIVATIONS]
    assert [*QUANTIZERS.values(), *today.QUANTIZERS.values()] == names
    assert tuple(kind.weights for kind in ACTIVATIONS) == WEIGHTS


@every_case
@given(bits=bit_counts, seed=seeds)
def test_no_more_values_than_levels_and_in_order(kind, signed, bits, seed):
    quantizer, tensor = begun(kind, signed, bits, seed, dtype=torch.float32)
    with torch.no_grad():
        output = quantizer(tensor)
    assert len(output.unique()) <= quantizer.levels <= 2**bits
    order = tensor.flatten().argsort()
    assert (output.flatten()[order].diff() >= 0).all()


@every_case
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
def test_the_levels_are_all_taken_and_evenly_spaced(kind, signed, bits):
    quantizer, _ = begun(kind, signed, bits)
    sweep = torch.linspace(-30, 30, 100001, dtype=torch.float64).view(1, -1)
    if kind is SAWB:
        sweep = sweep.clamp(-3, 3)
    if kind is DoReFaWeights:
        sweep = (0.03 * sweep).atanh()
    output = quantizer(sweep).detach().unique()
    gaps = output.diff()
    assert (gaps > 0.5 * gaps.max()).sum() + 1 == quantizer.levels
    real = gaps[gaps > 0.5 * gaps.max()]
    torch.testing.assert_close(real, torch.full_like(real, real[0].item()))


@every_case
@given(bits=bit_counts, seed=seeds)
def test_quantizing_the_quantized_changes_nothing(kind, signed, bits, seed):
    if kind in NOT_IDEMPOTENT:
        return
    quantizer, tensor = begun(kind, signed, bits, seed, dtype=torch.float32)
    with torch.no_grad():
        once = quantizer(tensor)
        torch.testing.assert_close(quantizer(once), once, rtol=1e-6, atol=1e-6)


@every_case
@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (4, 1, 5, 5), (2, 3, 1, 4)])
def test_nothing_depends_on_how_tensors_lie_in_memory(kind, signed, shape):
    def results(x, gradient):
        quantizer.zero_grad()
        x = x.detach().requires_grad_()
        output = quantizer(x)
        output.backward(gradient)
        return [output.detach(), x.grad, *(p.grad.clone() for p in quantizer.parameters())]

    quantizer, _ = begun(kind, signed)
    for x_name, x in formats(1, shape).items():
        for g_name, gradient in formats(2, shape).items():
            got = results(x, gradient)
            wanted = results(x.contiguous(), gradient.contiguous())
            torch.testing.assert_close(got, wanted, msg=f"{x_name}, {g_name}")


@every_case
def test_a_sums_expanded_gradient_is_that_of_ones(kind, signed):
    gradients = []
    for loss in (torch.sum, lambda output: (output * torch.ones_like(output)).sum()):
        quantizer, tensor = begun(kind, signed, shape=(4, 3, 5, 5))
        x = tensor.to(memory_format=torch.channels_last).requires_grad_()
        loss(quantizer(x)).backward()
        gradients.append([x.grad, *(p.grad for p in quantizer.parameters())])
    torch.testing.assert_close(*gradients)


@every_case
def test_under_autocast_the_arithmetic_is_float32(kind, signed):
    quantizer, tensor = begun(kind, signed, 8, dtype=torch.float32)
    x = tensor.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        output = quantizer(x)
    assert output.dtype == torch.float32
    assert torch.equal(output, quantizer(x.float()))
    output.sum().backward()
    assert x.grad.dtype == torch.bfloat16
    assert all(p.grad.dtype == torch.float32 for p in quantizer.parameters())


@every_case
def test_in_float32_gradients_of_many_elements_stay_near_float64(kind, signed):
    quantizer, tensor = begun(kind, signed, 4, shape=(2**4, 2**12), rule="mse")
    gradient = values_of(7, tensor.shape)
    results = []
    for dtype in (torch.float64, torch.float32):
        copied = copy.deepcopy(quantizer).to(dtype)
        x = tensor.detach().to(dtype, copy=True).requires_grad_()
        copied(x).backward(gradient.to(dtype))
        results.append([x.grad.double(), *(p.grad.double() for p in copied.parameters())])
    # Of x, the few elements at the very edge of the interval may fall on either side.
    near = (results[0].pop(0) - results[1].pop(0)).abs() < 1e-3 * gradient.abs().max()
    assert near.float().mean() > 0.999
    torch.testing.assert_close(*results, rtol=1e-2, atol=1e-2)


@every_case
@pytest.mark.parametrize("rule", ["mse", "minmax"])
def test_initial_values_are_finite_and_move_little_from_the_tensor(kind, signed, rule):
    for dtype in (torch.float32, torch.float64):
        quantizer, tensor = begun(kind, signed, 8, rule=rule, dtype=dtype)
        assert all(p.isfinite().all() and p.dtype == dtype for p in quantizer.parameters())
        if kind not in (DoReFa, DoReFaWeights, QIL, QILWeights, N2UQWeights):
            error = (quantizer(tensor) - tensor).square().mean()
            assert error < 0.01 * tensor.square().mean()
        quantizer.initialise(torch.zeros_like(tensor), rule)
        assert quantizer(torch.zeros_like(tensor)).isfinite().all()


@every_case
def test_wrong_bits_and_rules_are_refused(kind, signed):
    for bits in (-1, 0, 1, 9, 32):
        with pytest.raises(ValueError, match=f"bits is {bits}: it must be 2 to 8"):
            kind(bits, signed)
    with pytest.raises(ValueError, match="initial interval 'best' is none of"):
        kind(2, signed).initialise(torch.ones(3), "best")


@every_case
def test_the_input_is_left_as_it_was_and_print_shows_the_arguments(kind, signed):
    quantizer, tensor = begun(kind, signed)
    before = tensor.clone()
    quantizer(tensor).sum()
    assert torch.equal(tensor, before)
    assert repr(quantizer).startswith(f"{kind.__name__}(bits=3, signed={signed}")
