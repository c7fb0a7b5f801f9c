"""LSQ, LSQ+ and TQT against their papers' formulas, an element at a time in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.lsq import LSQ, LSQWeights
from baselines.lsq_plus import LSQPlus, LSQPlusWeights
from baselines.tqt import TQT, TQTWeights
from tests.qkd.quantizers.test_quantizers import kinds, seeds, values_of

steps = st.floats(0.01, 100)


def codes_of(bits, signed):
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def learned(quantizer, x, gradient, **values):
    """Output, the gradient of x, and those of the parameters, set to ``values`` first."""
    quantizer = quantizer.double()
    for name, value in values.items():
        getattr(quantizer, name).data.fill_(value)
    x = x.detach().requires_grad_()
    output = quantizer(x)
    output.backward(gradient)
    return output.detach(), x.grad, {n: p.grad.item() for n, p in quantizer.named_parameters()}


def summed(formula, x, gradient):
    """The formula's outputs, and its derivatives times the gradient, summed for parameters."""
    outputs, of_x, totals = [], [], {}
    for value, g in zip(x.flatten().tolist(), gradient.flatten().tolist(), strict=True):
        output, slope, others = formula(value)
        outputs.append(output)
        of_x.append(g * slope)
        for name, derivative in others.items():
            totals[name] = totals.get(name, 0.0) + g * derivative
    as_tensors = [torch.tensor(v, dtype=torch.float64).view(x.shape) for v in (outputs, of_x)]
    return (*as_tensors, totals)


def assert_same(got, wanted, scale=1.0):
    torch.testing.assert_close(got[0], wanted[0], rtol=1e-9, atol=1e-9 * scale)
    torch.testing.assert_close(got[1], wanted[1], rtol=1e-9, atol=1e-9)
    assert got[2].keys() == wanted[2].keys()
    for name, value in wanted[2].items():
        assert got[2][name] == pytest.approx(value, rel=1e-8, abs=1e-8), name


def lsq_formula(s, bits, signed, elements, offset=None):
    """Equations 3 and 5 of LSQ; with an offset, those of LSQ+."""
    low, high = codes_of(bits, signed)
    g = 1 / math.sqrt(elements * high)
    beta = 0.0 if offset is None else offset

    def formula(x):
        v = (x - beta) / s
        if v <= low or v >= high:
            code = low if v <= low else high
            output, slope, of_step, of_offset = code * s + beta, 0, code, 1
        else:
            output, slope, of_step, of_offset = round(v) * s + beta, 1, round(v) - v, 0
        others = {"interval": g * of_step}
        return output, slope, others if offset is None else {**others, "offset": g * of_offset}

    return formula


def test_lsq_by_hand():
    # Two bits, signed: codes -2 to 1, s = 0.5: levels -1, -0.5, 0, 0.5.
    x = torch.tensor([-3.0, -1.0, -0.8, -0.2, 0.3, 0.5, 2.0], dtype=torch.float64)
    output, of_x, others = learned(LSQWeights(2, True), x, torch.ones_like(x), interval=0.5)
    assert output.tolist() == [-1, -1, -1, 0, 0.5, 0.5, 0.5]
    assert of_x.tolist() == [0, 0, 1, 1, 1, 0, 0]
    # Below: -2 - 2. Inside: -2 + 1.6, 0 + 0.4, 1 - 0.6. Above: 1 + 1. g = 1 / sqrt(7 * 1).
    assert others["interval"] == pytest.approx((-4 - 0.4 + 0.4 + 0.4 + 2) / math.sqrt(7))


def test_lsqs_gradient_scale_counts_weights_or_one_examples_features():
    x, gradient = values_of(1, (6, 2, 5)), values_of(2, (6, 2, 5))
    of_weights = learned(LSQWeights(3, True), x, gradient, interval=0.3)[2]["interval"]
    of_features = learned(LSQ(3, True), x, gradient, interval=0.3)[2]["interval"]
    # sqrt(60 * 3) against sqrt(10 * 3)
    assert of_features == pytest.approx(of_weights * math.sqrt(6))


@pytest.mark.parametrize(("bits", "signed", "highest"), [(2, True, 1), (4, True, 7), (3, False, 7)])
def test_lsqs_initial_step(bits, signed, highest):
    quantizer = LSQ(bits, signed)
    quantizer.initialise(torch.tensor([[-1.0, 2.0], [3.0, -6.0]]), "mse")
    assert quantizer.interval.item() == pytest.approx(2 * 3 / math.sqrt(highest))
    quantizer.initialise(torch.zeros(3), "mse")
    assert quantizer.interval.item() == 1


@given(kinds, seeds, steps)
def test_lsq_is_its_equations(kind, seed, s):
    x, gradient = values_of(seed, (8, 25), s * 2 ** (kind[0] - 1)), values_of(seed + 1, (8, 25))
    for quantizer, elements in ((LSQWeights(*kind), 200), (LSQ(*kind), 25)):
        got = learned(quantizer, x, gradient, interval=s)
        assert_same(got, summed(lsq_formula(s, *kind, elements), x, gradient), s)


def test_lsq_plus_by_hand():
    # Two bits: codes 0 to 3, s = 0.5, beta = -0.3: levels -0.3, 0.2, 0.7, 1.2.
    x = torch.tensor([[-1.0, 0.0, 0.5, 1.0, 3.0]], dtype=torch.float64)
    values = {"interval": 0.5, "offset": -0.3}
    output, of_x, others = learned(LSQPlus(2, True), x, torch.ones_like(x), **values)
    torch.testing.assert_close(
        output, torch.tensor([[-0.3, 0.2, 0.7, 1.2, 1.2]], dtype=torch.float64)
    )
    assert of_x.tolist() == [[0, 1, 1, 1, 0]]
    # 0, then 1 - 0.6, 2 - 1.6, 3 - 2.6, then 3; g = 1 / sqrt(5 * 3).
    assert others["interval"] == pytest.approx(4.2 / math.sqrt(15))
    assert others["offset"] == pytest.approx(2 / math.sqrt(15))


@given(kinds, seeds, steps, st.floats(-3, 3))
def test_lsq_plus_is_its_equations(kind, seed, s, shift):
    bits, _ = kind
    x, gradient = values_of(seed, (8, 25), s * 2 ** (bits - 1)), values_of(seed + 1, (8, 25))
    got = learned(LSQPlus(*kind), x, gradient, interval=s, offset=shift * s)
    formula = lsq_formula(s, bits, False, 25, shift * s)
    assert_same(got, summed(formula, x, gradient), s)


def test_lsq_plus_initial_values():
    weights = LSQPlusWeights(3, True)
    weights.initialise(torch.tensor([1.0, -3.0, 1.0, -3.0]), "minmax")
    # mean -1, sigma 2: |-1 - 6| / 2^2
    assert weights.interval.item() == pytest.approx(7 / 4)
    quantizer = LSQPlus(2, True)
    quantizer.initialise(torch.tensor([-0.5, 0.1, 2.5]), "minmax")
    assert (quantizer.interval.item(), quantizer.offset.item()) == (1.0, -0.5)
    quantizer.initialise(torch.full((4,), 0.7), "mse")
    assert quantizer(torch.full((4,), 0.7)).tolist() == torch.full((4,), 0.7).tolist()


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("shift", [0.0, 0.4, -5.0])
def test_lsq_plus_begins_with_less_error_than_any_stretched_range(bits, shift):
    x = values_of(4, (3000,)) + shift
    errors = {}
    for rule in ("mse", "minmax"):
        quantizer = LSQPlus(bits, True).double()
        quantizer.initialise(x, rule)
        errors[rule] = (quantizer(x) - x).square().sum()
    quantizer.initialise(x, "mse")
    assert errors["mse"] <= errors["minmax"]
    for factor in (0.8, 1.25):
        other = LSQPlus(bits, True).double()
        other.load_state_dict(quantizer.state_dict())
        other.interval.data.mul_(factor)
        assert (other(x) - x).square().sum() >= errors["mse"]


def tqt_formula(log2_t, bits, signed):
    low, high = codes_of(bits, signed)
    s = 2.0 ** math.ceil(log2_t) / (2 ** (bits - 1) if signed else 2**bits)

    def formula(x):
        code = round(x / s)
        if low <= code <= high:
            return code * s, 1, {"log2_threshold": s * math.log(2) * (code - x / s)}
        bound = low if code < low else high
        return bound * s, 0, {"log2_threshold": s * math.log(2) * bound}

    return formula


def test_tqt_by_hand():
    # Two bits, signed, t = 1.5: s = 2 / 2 = 1, codes -2 to 1.
    x = torch.tensor([-4.0, -2.5, -2.2, -0.4, 1.3, 1.5, 1.7], dtype=torch.float64)
    value = math.log2(1.5)
    output, of_x, others = learned(TQT(2, True), x, torch.ones_like(x), log2_threshold=value)
    assert output.tolist() == [-2, -2, -2, 0, 1, 1, 1]
    # -2.5 rounds to -2, within; 1.5 rounds to 2, outside: ties go to even.
    assert of_x.tolist() == [0, 1, 1, 1, 1, 0, 0]
    # -2, then -2 + 2.5, -2 + 2.2, 0.4, 1 - 1.3, then 1 + 1.
    assert others["log2_threshold"] == pytest.approx(math.log(2) * (-2 + 0.5 + 0.2 + 0.4 - 0.3 + 2))


@given(kinds, seeds, st.floats(-6, 6))
def test_tqt_is_its_equations(kind, seed, log2_t):
    x, gradient = values_of(seed, scale=2.0**log2_t), values_of(seed + 1)
    got = learned(TQT(*kind), x, gradient, log2_threshold=log2_t)
    assert_same(got, summed(tqt_formula(log2_t, *kind), x, gradient), 2.0**log2_t)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tqts_steps_are_exact_powers_of_two(dtype):
    quantizer = TQT(4, False).to(dtype)
    for exponent in range(-40, 41):
        for above in (0.0, 0.5):
            quantizer.log2_threshold.data.fill_(exponent - above)
            assert quantizer._step().item() == 2.0 ** (math.ceil(exponent - above) - 4)


def test_tqts_initial_thresholds():
    weights = TQTWeights(4, True)
    weights.initialise(torch.tensor([-3.0, -1.0, -3.0, -1.0]), "mse")
    # mean -2, sigma 1
    assert weights.log2_threshold.item() == pytest.approx(math.log2(5))
    activations = TQT(4, False)
    activations.initialise(torch.tensor([0.0, 0.3, 8.0]), "minmax")
    assert activations.log2_threshold.item() == 3
    weights.initialise(torch.zeros(4), "mse")
    assert weights.log2_threshold.item() == 0
