"""PACT, SAWB, DoReFa and QIL against their papers' formulas, an element at a time in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.dorefa import DoReFa, DoReFaWeights
from baselines.pact import PACT, SAWB, SAWB_COEFFICIENTS
from baselines.qil import QIL, QILWeights
from tests.baselines.test_steps import assert_same, learned, summed
from tests.qkd.quantizers.test_quantizers import kinds, seeds, values_of

scales = st.floats(0.01, 100)


def pact_formula(alpha, bits, signed):
    n = 2 ** (bits - 1) - 1 if signed else 2**bits - 1

    def formula(x):
        if x >= alpha:
            return alpha, 0, {"interval": 1}
        if x <= (-alpha if signed else 0):
            return (-alpha, 0, {"interval": -1}) if signed else (0.0, 0, {"interval": 0})
        return round(x * n / alpha) * alpha / n, 1, {"interval": 0}

    return formula


def test_pact_by_hand():
    # Two bits, unsigned, alpha = 3: levels 0, 1, 2, 3.
    x = torch.tensor([-1.0, 0.4, 1.6, 2.9, 3.0, 9.0], dtype=torch.float64)
    output, of_x, others = learned(PACT(2, False), x, torch.ones_like(x), interval=3.0)
    assert output.tolist() == [0, 0, 2, 3, 3, 3]
    assert of_x.tolist() == [0, 1, 1, 1, 0, 0]
    assert others["interval"] == 2  # inside, unlike LSQ's, it has none


@given(kinds, seeds, scales)
def test_pact_is_its_equations(kind, seed, alpha):
    x, gradient = values_of(seed, scale=alpha), values_of(seed + 1)
    got = learned(PACT(*kind), x, gradient, interval=alpha)
    assert_same(got, summed(pact_formula(alpha, *kind), x, gradient), alpha)


def test_sawb_by_hand():
    # sqrt(mean w^2) = sqrt(30 / 4), mean|w| = 2.5: alpha = 3.12 sqrt(7.5) - 2.064 * 2.5 = 3.3845.
    weight = torch.tensor([1.0, -2.0, 3.0, -4.0], dtype=torch.float64, requires_grad=True)
    quantizer = SAWB(2, True)
    output = quantizer(weight)
    alpha = 3.12 * math.sqrt(7.5) - 2.064 * 2.5
    # Levels -alpha, -alpha / 3, alpha / 3, alpha: the edges between them are -2.256, 0, 2.256.
    wanted = torch.tensor([alpha / 3, -alpha / 3, alpha, -alpha], dtype=torch.float64)
    torch.testing.assert_close(output.detach(), wanted)
    output.sum().backward()
    assert weight.grad.tolist() == [1, 1, 1, 0]
    assert list(quantizer.parameters()) == []


@pytest.mark.parametrize("bits", list(SAWB_COEFFICIENTS))
def test_sawbs_coefficients_are_near_the_least_squares_of_a_normal_distribution(bits):
    # What they were fitted to: the error is within 6 % of the best clipping value's.
    weight = torch.randn(2**16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    quantizer = SAWB(bits, True)
    error = (quantizer(weight) - weight).square().mean().item()
    steps = 2**bits - 1
    errors = []
    for i in range(10, 50):
        alpha = i / 10
        codes = ((weight.clamp(-alpha, alpha) + alpha) * steps / (2 * alpha)).round()
        errors.append((codes * 2 * alpha / steps - alpha - weight).square().mean().item())
    assert error <= 1.06 * min(errors)


@pytest.mark.parametrize("bits", list(SAWB_COEFFICIENTS))
def test_sawb_stays_finite_where_the_regression_does_not_hold(bits):
    quantizer = SAWB(bits, True)
    for weight in (torch.zeros(9), torch.full((9,), 0.3), torch.tensor([0.2])):
        output = quantizer(weight)
        assert output.isfinite().all()
        assert (output - weight).abs().max() < 0.11


def test_sawb_refuses_what_has_no_coefficients():
    for bits in (6, 7):
        with pytest.raises(ValueError, match=f"not {bits}"):
            SAWB(bits, True)
    with pytest.raises(ValueError, match="which are signed"):
        SAWB(2, False)


def quantize_k(r, k):
    return round((2**k - 1) * r) / (2**k - 1)


def test_dorefas_weights_by_hand():
    # tanh of atanh(0.5, -0.25, 1 / 8) over their largest, 0.5: 1, -0.5, 0.25.
    # quantize_2 of 1, 0.25, 0.625: 3 / 3, round(0.75) / 3, round(1.875) / 3; twice less 1.
    weight = torch.tensor([0.5, -0.25, 0.125], dtype=torch.float64).atanh()
    output = DoReFaWeights(2, True)(weight)
    torch.testing.assert_close(output, torch.tensor([1, -1 / 3, 1 / 3], dtype=torch.float64))


@given(st.integers(2, 8), seeds, st.floats(0.01, 10))
def test_dorefas_weights_are_their_equation(bits, seed, scale):
    weight, gradient = values_of(seed, (40,), scale).requires_grad_(), values_of(seed + 1, (40,))
    output = DoReFaWeights(bits, True)(weight)
    output.backward(gradient)
    bent = [math.tanh(w) for w in weight.tolist()]
    largest = max(abs(t) for t in bent)
    wanted = [2 * quantize_k(t / (2 * largest) + 0.5, bits) - 1 for t in bent]
    torch.testing.assert_close(output.detach(), torch.tensor(wanted, dtype=torch.float64))
    # t / largest by w is (1 - t^2) / largest; by the largest's own -t sign / largest^2 more.
    ties = [i for i, t in enumerate(bent) if abs(t) == largest]
    of_largest = -sum(g * t for g, t in zip(gradient.tolist(), bent, strict=True)) / largest**2
    for i, (t, g) in enumerate(zip(bent, gradient.tolist(), strict=True)):
        share = of_largest * math.copysign(1, t) / len(ties) if i in ties else 0.0
        by_hand = (g / largest + share) * (1 - t * t)
        assert weight.grad[i].item() == pytest.approx(by_hand, rel=1e-6, abs=1e-9)


@given(kinds, seeds)
def test_dorefas_activations_are_their_equation(kind, seed):
    bits, signed = kind
    low = -1 if signed else 0
    x, gradient = values_of(seed), values_of(seed + 1)

    def formula(value):
        clipped = min(max(value, low), 1)
        output = (
            2 * quantize_k((clipped + 1) / 2, bits) - 1 if signed else quantize_k(clipped, bits)
        )
        return output, int(low < value < 1), {}

    assert_same(learned(DoReFa(*kind), x, gradient), summed(formula, x, gradient))


def test_dorefas_weights_of_zero_stay_finite():
    assert DoReFaWeights(2, True)(torch.zeros(5)).isfinite().all()


def qil_formula(c, d, bits, signed, gamma):
    q = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    alpha, beta = 0.5 / d, 0.5 - 0.5 * c / d

    def formula(x):
        size, sign = (abs(x), (x > 0) - (x < 0)) if signed else (x, 1)
        u = alpha * size + beta
        exponent = 1.0 if gamma is None else gamma
        if u <= 0 or u >= 1:
            output, slope, others = (
                sign * float(u >= 1),
                0,
                {"centre": 0, "interval": 0, "gamma": 0},
            )
        else:
            # d alpha / d d = -0.5 / d^2, d beta / d c = -0.5 / d, d beta / d d = 0.5 c / d^2
            by_u = sign * exponent * u ** (exponent - 1)
            output, slope = sign * round(q * u**exponent) / q, by_u * alpha * sign
            others = {
                "centre": by_u * -0.5 / d,
                "interval": by_u * (-0.5 * size / d**2 + 0.5 * c / d**2),
                "gamma": sign * u**exponent * math.log(u),
            }
        if gamma is None:
            others.pop("gamma")
        return output, slope, others

    return formula


def test_qil_by_hand():
    # Three bits, signed, c = 2, d = 1, gamma = 2: pruned below 1, clipped above 3, q = 3.
    x = torch.tensor([0.9, -1.5, 2.0, 2.8, -3.1], dtype=torch.float64)
    values = {"centre": 2.0, "interval": 1.0, "gamma": 2.0}
    output, of_x, others = learned(QILWeights(3, True), x, torch.ones_like(x), **values)
    # u = 0.25, 0.5, 0.9; squared and by three: 0.1875, 0.75, 2.43.
    torch.testing.assert_close(output * 3, torch.tensor([0, 0, 1, 2, -3], dtype=torch.float64))
    # p = 2 u / 2 = u
    torch.testing.assert_close(of_x, torch.tensor([0, 0.25, 0.5, 0.9, 0], dtype=torch.float64))
    assert others["centre"] == pytest.approx(0.25 - 0.5 - 0.9)
    # -p sign (|w| - 2): 0.25 * -0.5, 0, -0.9 * 0.8
    assert others["interval"] == pytest.approx(-0.125 - 0.72)
    logs = [-0.0625 * math.log(0.25), 0.25 * math.log(0.5), 0.81 * math.log(0.9)]
    assert others["gamma"] == pytest.approx(sum(logs))


@given(kinds, seeds, scales, st.floats(-0.5, 2), st.floats(0.2, 3))
def test_qil_is_its_equations(kind, seed, d, ratio, gamma):
    # ratio: c / d, below 1 an interval that begins below zero.
    c = ratio * d
    x, gradient = values_of(seed, scale=1.4321 * d), values_of(seed + 1)
    for quantizer, exponent in ((QIL(*kind), None), (QILWeights(*kind), gamma)):
        values = {"centre": c, "interval": d} | ({"gamma": gamma} if exponent else {})
        got = learned(quantizer, x, gradient, **values)
        wanted = summed(qil_formula(c, d, *kind, exponent), x, gradient)
        got = (got[0], got[1] * d, {n: v * (1 if n == "gamma" else d) for n, v in got[2].items()})
        wanted = (
            wanted[0],
            wanted[1] * d,
            {n: v * (1 if n == "gamma" else d) for n, v in wanted[2].items()},
        )
        assert_same(got, wanted)


def test_qil_begins_as_the_rules_quantizer_over_its_clipping_value():
    for kind in (QIL(3, False), QILWeights(3, True)):
        kind.initialise(torch.tensor([0.2, -0.5, 4.0]), "minmax")
        assert kind.centre.item() == kind.interval.item() == 2
    assert kind.gamma.item() == 1
    # Over 4, in steps of a third.
    torch.testing.assert_close(
        3 * kind(torch.tensor([0.5, 1.0, -2.7, 9.0])), torch.tensor([0.0, 1.0, -2.0, 3.0])
    )


def test_an_exponent_that_is_not_positive_acts_as_a_tenth():
    quantizer = QILWeights(4, True)
    weight = values_of(3).float()
    outputs = []
    for gamma in (0.1, -2.0):
        quantizer.gamma.data.fill_(gamma)
        outputs.append(quantizer(weight))
    assert torch.equal(*outputs)
