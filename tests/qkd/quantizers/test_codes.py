"""A quantizer's integers are its output."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.lsq_plus import LSQPlus
from baselines.pact import SAWB
from baselines.qil import QIL, QILWeights
from qkd.quantizers.codes import Codes, uniform_codes
from qkd.quantizers.interval import IntervalQuantizer
from tests.baselines.test_quantizers import CASES, begun
from tests.qkd.quantizers.test_quantizers import formats, quantizer_of, seeds, values_of

EVERY = [(IntervalQuantizer, False), (IntervalQuantizer, True), *CASES]
every_case = pytest.mark.parametrize(("kind", "signed"), EVERY)
bit_counts = st.sampled_from([2, 3, 4, 5, 8])
types = st.sampled_from([torch.float32, torch.float64])
DIVIDES = (QIL, QILWeights)  # their output is k / n, one rounding from k (1 / n)


@every_case
@given(bits=bit_counts, seed=seeds, dtype=types, share=st.floats(0.05, 1.5))
def test_the_codes_are_what_forward_returns_to_the_last_bit(
    *, kind, signed, bits, seed, dtype, share
):
    quantizer, tensor = begun(kind, signed, bits, seed, "minmax", dtype)
    for parameter in quantizer.parameters():
        parameter.data.mul_(share)
    codes, output = quantizer.codes(tensor), quantizer(tensor).detach()
    assert codes.positions.dtype == codes.values.dtype == dtype
    if kind in DIVIDES:
        rounding = torch.finfo(dtype).eps
        torch.testing.assert_close(codes.values, output, rtol=rounding, atol=0)
    else:
        assert torch.equal(codes.values, output)
    integers = codes.integers
    assert torch.equal(integers, integers.round())
    assert codes.lowest <= integers.min()
    assert integers.max() <= codes.highest
    assert codes.highest - codes.lowest + 1 == quantizer.levels
    assert len(integers.unique()) == len(output.unique())


@every_case
def test_other_memory_formats_and_half_precision_give_the_same_codes(kind, signed):
    quantizer, _ = begun(kind, signed, 4, dtype=torch.float32)
    for name, values in formats(1, (4, 3, 5, 6)).items():
        x = values.float()
        wanted = quantizer.codes(x.contiguous()).integers
        assert torch.equal(quantizer.codes(x).integers, wanted), name
    half = values_of(1, dtype=torch.float32).bfloat16()
    assert torch.equal(quantizer.codes(half).values, quantizer.codes(half.float()).values)


@every_case
def test_codes_learn_nothing_and_leave_the_tensor_as_it_was(kind, signed):
    quantizer, tensor = begun(kind, signed)
    before = tensor.clone()
    codes = quantizer.codes(tensor.requires_grad_())
    assert not any(value.requires_grad for value in (codes.positions, codes.scale, codes.integers))
    assert torch.equal(tensor, before)


@given(bits=st.integers(2, 8), signed=st.booleans(), share=st.floats(0.05, 1.5), seed=seeds)
def test_clipped_are_the_elements_beyond_the_interval(bits, signed, share, seed):
    tensor = values_of(seed)
    quantizer = quantizer_of(bits, signed, share)
    beyond = (tensor > share) | (tensor < (-share if signed else 0))
    distance = torch.minimum((tensor.abs() - share).abs(), tensor.abs())
    clear = distance > 0.01 * share  # nearer to an end it may be said to lie at the end
    clipped = quantizer.codes(tensor).clipped
    assert torch.equal(clipped[clear], beyond[clear])


def test_two_bits_by_hand():
    # Interval 2, levels -2, 0, 2: positions x / 2; 0.5 is rounded to even.
    x = torch.tensor([-5.0, -1.5, -0.5, 0.0, 1.0, 1.5, 2.0, 2.5], dtype=torch.float64)
    codes = quantizer_of(2, True, 2.0).codes(x)
    assert codes[1:] == (2.0, None, -1, 1)
    assert codes.positions.tolist() == [-2.5, -0.75, -0.25, 0.0, 0.5, 0.75, 1.0, 1.25]
    assert codes.integers.tolist() == [-1, -1, 0, 0, 0, 1, 1, 1]
    assert codes.values.tolist() == [-2, -2, 0, 0, 0, 2, 2, 2]
    assert codes.clipped.tolist() == [True, *[False] * 6, True]


def test_an_offset_by_hand():
    # LSQ+, step 0.5, offset -0.25: levels -0.25, 0.25, 0.75, 1.25.
    quantizer = LSQPlus(2, False).double()
    quantizer.interval.data.fill_(0.5)
    quantizer.offset.data.fill_(-0.25)
    codes = quantizer.codes(torch.tensor([-1.0, 0.0, 0.3, 0.8, 9.0], dtype=torch.float64))
    assert codes.integers.tolist() == [0, 0, 1, 2, 3]
    assert codes.values.tolist() == [-0.25, -0.25, 0.25, 0.75, 1.25]
    assert codes.clipped.tolist() == [True, False, False, False, True]


def test_levels_without_a_zero_by_hand():
    # SAWB of 2 bits and |w| = 1: alpha = 3.12 - 2.064 = 1.056; levels -alpha, -alpha / 3, ...
    codes = SAWB(2).double().codes(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    assert codes.integers.tolist() == [0, 3, 3]
    assert codes.scale.item() == pytest.approx(2 * 1.056 / 3)
    assert codes.offset.item() == pytest.approx(-1.056)


def test_a_transformed_tensor_by_hand():
    # QIL, centre 1, distance 0.5, gamma 2, 3 bits: u = |w| - 0.5, positions 3 u^2; below 0.5 the
    # weight is pruned, which is no clipping.
    quantizer = QILWeights(3, True).double()
    for parameter, value in zip(quantizer.parameters(), (1.0, 0.5, 2.0), strict=True):
        parameter.data.fill_(value)
    codes = quantizer.codes(torch.tensor([0.1, -0.9, 1.25, -2.0], dtype=torch.float64))
    assert codes.integers.tolist() == [0, 0, 2, -3]
    assert codes.values.tolist() == pytest.approx([0, 0, 2 / 3, -1])
    assert codes.clipped.tolist() == [False, False, False, True]


def test_a_value_just_at_the_end_is_not_called_clipped():
    # In float32 x / (x / 127) is for some x a rounding above 127.
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0)) + 0.1
    codes = uniform_codes(x, x / 127, 0, 127)
    assert isinstance(codes, Codes)
    assert (codes.positions > 127).any()
    assert not codes.clipped.any()
