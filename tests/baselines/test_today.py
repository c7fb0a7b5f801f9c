"""EWGS, N2UQ, zero-aligned SAWB and PACT+ against formulas, an element at a time in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.ewgs import DELTA, EWGS, EWGSWeights
from baselines.n2uq import N2UQ, N2UQWeights
from baselines.pact import SAWB
from baselines.pact_plus import PACTPlus
from baselines.sawb_zero import COEFFICIENTS, PACTZero, ZeroAlignedSAWB
from tests.baselines.test_steps import assert_same, learned, summed
from tests.qkd.quantizers.test_quantizers import kinds, seeds, values_of

bit_counts = st.integers(2, 8)
scales = st.floats(0.01, 100)


def ewgs_formula(low, high, bits, *, alpha=None, signed=False):
    """Derivatives at a gradient of +-1, to which the scaling's sign belongs: ``g`` is given."""
    n = 2**bits - 1
    size = 1.0 if alpha is None else alpha

    def formula(x, g):
        place = (x - low) / (high - low)
        clipped = min(max(place, 0.0), 1.0)
        code = round(n * clipped)
        two_sided = signed or alpha is not None
        output = size * (2 * code / n - 1) if two_sided else code / n
        by_level = 2 * size if two_sided else 1.0
        sign = (g * by_level > 0) - (g * by_level < 0)
        inside = 0 < place < 1
        slope = by_level * (1 + DELTA * sign * (clipped - code / n)) if inside else 0.0
        width = high - low
        others = {"lower": slope * (x - high) / width**2, "upper": slope * (low - x) / width**2}
        if alpha is not None:
            others["interval"] = 2 * code / n - 1
        return output, slope / width, others

    return formula


def assert_is_formula(quantizer, formula, x, gradient, **values):
    """The formula is asked an element at a time, each with its own gradient."""
    output, of_x, others = learned(quantizer, x, gradient, **values)
    outputs, slopes, totals = [], [], dict.fromkeys(others, 0.0)
    for value, g in zip(x.flatten().tolist(), gradient.flatten().tolist(), strict=True):
        one, slope, derivatives = formula(value, g)
        outputs.append(one)
        slopes.append(g * slope)
        for name, derivative in derivatives.items():
            totals[name] += g * derivative
    wanted = [torch.tensor(v, dtype=torch.float64).view(x.shape) for v in (outputs, slopes)]
    torch.testing.assert_close(output, wanted[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(of_x, wanted[1], rtol=1e-9, atol=1e-9)
    assert others == pytest.approx(totals, rel=1e-8, abs=1e-8)


def test_ewgs_by_hand():
    # Two bits from 0 to 3: places x / 3, codes round(x). At 1.2 it moved by 0.2 / 3, at 1.6 by
    # -0.4 / 3.
    x = torch.tensor([-1.0, 1.2, 1.6, 4.0], dtype=torch.float64)
    gradient = torch.tensor([1.0, 1.0, -2.0, 1.0], dtype=torch.float64)
    output, of_x, others = learned(EWGS(2, False), x, gradient, lower=0.0, upper=3.0)
    torch.testing.assert_close(output * 3, torch.tensor([0, 1, 2, 3], dtype=torch.float64))
    first = (1 + DELTA * 0.2 / 3) / 3
    second = -2 * (1 - DELTA * -0.4 / 3) / 3
    torch.testing.assert_close(of_x, torch.tensor([0, first, second, 0], dtype=torch.float64))
    assert others["upper"] == pytest.approx(-(first * 1.2 + second * 1.6) / 3)
    assert others["lower"] == pytest.approx(first * (1.2 - 3) / 3 + second * (1.6 - 3) / 3)


@given(kinds, seeds, scales, st.floats(0.1, 0.9))
def test_ewgs_is_its_equations(kind, seed, scale, share):
    low, high = -share * scale, (1.5 - share) * scale
    x, gradient = values_of(seed, scale=scale), values_of(seed + 1)
    formula = ewgs_formula(low, high, kind[0], signed=kind[1])
    assert_is_formula(EWGS(*kind), formula, x, gradient, lower=low, upper=high)
    formula = ewgs_formula(low, high, kind[0], alpha=0.7 * scale)
    values = {"lower": low, "upper": high, "interval": 0.7 * scale}
    assert_is_formula(EWGSWeights(kind[0], True), formula, x, gradient, **values)


def test_ewgs_begins_at_three_standard_deviations():
    weights = EWGSWeights(4, True).double()
    weights.initialise(torch.tensor([-2.0, 2.0, -2.0, 2.0], dtype=torch.float64), "mse")
    assert (weights.lower.item(), weights.upper.item()) == (-6, 6)
    # (2 + 6) / 12 * 15 = 10: 2 * 10 / 15 - 1 = 1 / 3 for each, whose size is to be 2.
    assert weights.interval.item() == pytest.approx(6.0)
    activations = EWGS(4, False).double()
    activations.initialise(torch.tensor([0.0, 2.0], dtype=torch.float64), "minmax")
    assert activations.lower.item() == 0
    assert activations.upper.item() == pytest.approx(3 / math.sqrt(1 - 2 / math.pi))
    # A value that lies on a level begins as itself.
    level = activations.upper.detach() / 5
    assert activations(level).item() == pytest.approx(level.item())


def n2uq_formula(start, widths, highest, signed):
    edges = [start]
    for width in widths:
        edges.append(edges[-1] + width)
    n = len(widths)
    step = highest / n

    def formula(x):
        size, sign = (abs(x), (x > 0) - (x < 0)) if signed else (x, 1)
        if size <= edges[0] or size >= edges[-1]:
            code = 0 if size <= edges[0] else n
            flat = {f"a{i}": 0.0 for i in range(n)}
            return sign * step * code, 0.0, {"interval": sign * code / n, "start": 0.0, **flat}
        i = max(place for place in range(n) if edges[place] <= size)
        share = (size - edges[i]) / widths[i]
        code = round(i + share)
        slope = step / widths[i]
        # p = i + (x - T_0 - a_0 - ... - a_(i - 1)) / a_i
        by_width = {
            f"a{j}": sign * (-slope if j < i else -slope * share if j == i else 0.0)
            for j in range(n)
        }
        others = {"interval": sign * code / n, "start": -sign * slope, **by_width}
        return sign * step * code, slope, others

    return formula


@given(kinds, seeds, scales, st.floats(0, 0.5))
def test_n2uq_is_its_equations(kind, seed, scale, start):
    signed = kind[1]
    quantizer = N2UQ(*kind).double()
    generator = torch.Generator().manual_seed(seed)
    widths = 0.2 + torch.rand(quantizer.steps, generator=generator, dtype=torch.float64)
    quantizer.widths.data.copy_(widths)
    quantizer.start.data.fill_(start)
    unit = scale * 2 / quantizer.steps
    quantizer.unit.fill_(unit)
    quantizer.interval.data.fill_(0.3 * scale)
    x, gradient = values_of(seed, scale=scale).requires_grad_(), values_of(seed + 1)
    output = quantizer(x)
    output.backward(gradient)
    formula = n2uq_formula(start * unit, (widths * unit).tolist(), 0.3 * scale, signed)
    wanted = summed(formula, x.detach(), gradient)
    torch.testing.assert_close(output.detach(), wanted[0], rtol=1e-9, atol=1e-9 * scale)
    torch.testing.assert_close(x.grad, wanted[1], rtol=1e-8, atol=1e-8)
    assert quantizer.interval.grad.item() == pytest.approx(wanted[2]["interval"], rel=1e-8)
    assert quantizer.start.grad.item() == pytest.approx(unit * wanted[2]["start"], abs=1e-7)
    for i, value in enumerate(quantizer.widths.grad.tolist()):
        assert value == pytest.approx(unit * wanted[2][f"a{i}"], rel=1e-7, abs=1e-7)


def test_n2uqs_thresholds_lie_in_the_middle_of_what_learns_and_its_levels_are_even():
    quantizer = N2UQ(2, False).double()
    quantizer.widths.data.copy_(torch.tensor([1.0, 4.0, 2.0]))
    quantizer.interval.data.fill_(30.0)
    # Intervals 0 to 1, 1 to 5, 5 to 7: thresholds 0.5, 3 and 6.
    x = torch.tensor([0.4, 0.6, 2.9, 3.1, 5.9, 6.1, 50.0], dtype=torch.float64)
    assert quantizer(x).tolist() == [0, 10, 10, 20, 20, 30, 30]


def test_n2uq_begins_even_at_the_rules_clipping_value():
    quantizer = N2UQ(3, False).double()
    quantizer.initialise(torch.tensor([0.0, 1.0, 14.0], dtype=torch.float64), "minmax")
    assert (quantizer.interval.item(), quantizer.unit.item()) == (14.0, 2.0)
    assert quantizer(torch.tensor([0.9, 1.1, 2.9, 3.1], dtype=torch.float64)).tolist() == [
        0,
        2,
        2,
        4,
    ]
    quantizer.widths.data[2] = -1.0  # below the narrowest: the order of thresholds stays
    sweep = torch.linspace(-1, 15, 999, dtype=torch.float64)
    assert (quantizer(sweep).diff() >= 0).all()


@given(bit_counts, seeds, scales)
def test_n2uqs_weights_are_their_equation(bits, seed, scale):
    # Without the first, a zero: it lies in the very middle of two levels.
    weight, gradient = (
        values_of(seed, (61,), scale)[1:].requires_grad_(),
        values_of(seed + 1, (60,)),
    )
    output = N2UQWeights(bits, True)(weight)
    output.backward(gradient)
    n = 2**bits - 1
    most = weight.detach().abs().mean().item() * n / 2 ** (bits - 1)

    def formula(w):
        clipped = min(max(w / most, -1), 1)
        code = round(n * (clipped + 1) / 2)
        return most * (2 * code / n - 1), int(-1 < w / most < 1), {}

    assert_same(
        (output.detach(), weight.grad, {}), summed(formula, weight.detach(), gradient), scale
    )


def test_n2uqs_weights_take_their_levels_about_equally_often():
    """What the factor is for: here of Laplacian weights."""
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(2, (2**16,), generator=generator) * 2 - 1
    weight = signs * torch.empty(2**16).exponential_(generator=generator).double()
    shares = N2UQWeights(2, True)(weight).unique(return_counts=True)[1] / 2**16
    assert shares.max() < 0.33
    assert shares.min() > 0.17


@given(st.sampled_from([2, 4, 7, 8]), seeds, scales)
def test_zero_aligned_sawb_is_its_equation(bits, seed, scale):
    weight, gradient = values_of(seed, (60,), scale).requires_grad_(), values_of(seed + 1, (60,))
    quantizer = ZeroAlignedSAWB(bits)
    output = quantizer(weight)
    output.backward(gradient)
    mean = weight.detach().abs().mean().item()
    root = math.sqrt(weight.detach().square().mean().item())
    alpha = COEFFICIENTS[bits][0] * root + COEFFICIENTS[bits][1] * mean
    n = 2 ** (bits - 1) - 1

    def formula(w):
        clipped = min(max(w / alpha, -1), 1)
        return alpha * round(n * clipped) / n, int(-1 < w / alpha < 1), {}

    assert_same(
        (output.detach(), weight.grad, {}), summed(formula, weight.detach(), gradient), scale
    )
    assert len(output.unique()) <= quantizer.levels == 2**bits - 1
    assert torch.equal(quantizer.codes(weight).values, output.detach())


@pytest.mark.parametrize("bits", [2, 4])
def test_its_coefficients_are_near_the_least_squares_of_a_normal_distribution(bits):
    weight = torch.randn(2**16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    quantizer = ZeroAlignedSAWB(bits)
    error = (quantizer(weight) - weight).square().mean().item()
    n = quantizer.steps
    errors = [
        ((weight.clamp(-a, a) * n / a).round() * a / n - weight).square().mean().item()
        for a in (i / 20 for i in range(10, 90))
    ]
    assert error <= 1.06 * min(errors)


def test_zero_aligned_sawb_has_three_levels_at_two_bits_and_others_than_the_papers_four():
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    aligned, four = ZeroAlignedSAWB(2)(weight).unique(), SAWB(2)(weight).unique()
    assert (len(aligned), len(four)) == (3, 4)
    assert 0 in aligned
    assert 0 not in four


def test_zero_aligned_sawb_stays_finite_and_refuses_what_has_no_coefficients():
    for weight in (torch.zeros(9), torch.full((9,), 0.3), torch.tensor([0.2])):
        output = ZeroAlignedSAWB(2)(weight)
        assert output.isfinite().all()
        assert (output - weight).abs().max() < 0.11
    for bits in (3, 5, 6):
        with pytest.raises(ValueError, match=f"not {bits}"):
            ZeroAlignedSAWB(bits)
    with pytest.raises(ValueError, match="which are signed"):
        ZeroAlignedSAWB(2, False)


def pact_plus_formula(alpha, bits, signed):
    """As IBM's code has it: z is the place in steps, counted from the lowest level."""
    n = 2 ** (bits - 1) - 1 if signed else 2**bits - 1

    def formula(x):
        low = -alpha if signed else 0.0
        if x >= alpha:
            return alpha, 0, {"interval": 1}
        if x <= low:
            return low, 0, {"interval": -1 if signed else 0}
        z = n * x / alpha
        return round(z) * alpha / n, 1, {"interval": (round(z) - z) / n}

    return formula


@given(kinds, seeds, scales)
def test_pact_plus_is_its_equations(kind, seed, alpha):
    x, gradient = values_of(seed, scale=alpha), values_of(seed + 1)
    got = learned(PACTPlus(*kind), x, gradient, interval=alpha)
    assert_same(got, summed(pact_plus_formula(alpha, *kind), x, gradient), alpha)


def test_pact_plus_differs_from_pact_inside_and_both_have_zero_aligned_weights():
    x = torch.tensor([0.4, 9.0], dtype=torch.float64)
    found = [
        learned(kind(2, False), x, torch.ones_like(x), interval=3.0)[2]["interval"]
        for kind in (PACTPlus, PACTZero)
    ]
    assert found == [pytest.approx(1 - 0.4 / 3), 1.0]
    assert PACTPlus.weights is PACTZero.weights is ZeroAlignedSAWB
