import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qkd.losses import cross_entropy, distillation

LOG2, LOG3 = math.log(2), math.log(3)


def logits_of(seed, batch=5, classes=7, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(batch, classes, generator=generator, dtype=torch.float64)


def softened(logits, temperature):
    powers = np.exp(logits.detach().numpy() / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


seeds = st.integers(0, 2**31)
temperatures = st.floats(0.5, 20)


def test_cross_entropy_by_hand():
    # softmax(0, ln 3) = (1/4, 3/4): -ln 3/4 = 2 ln 2 - ln 3 for label 1, 2 ln 2 for label 0.
    logits = torch.tensor([[0.0, LOG3], [0.0, LOG3]], dtype=torch.float64)
    loss = cross_entropy(logits, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx(2 * LOG2 - LOG3 / 2, rel=1e-12)


def test_distillation_by_hand():
    # T = 2: student (1/2, 1/2), teacher softmax(0, ln 3) = (1/4, 3/4).
    # KL = 1/4 ln 1/2 + 3/4 ln 3/2 = 3/4 ln 3 - ln 2, times T^2 = 4; the other row adds 0.
    student = torch.tensor([[0.0, 0.0], [5.0, 1.0]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[0.0, 2 * LOG3], [6.0, 2.0]], dtype=torch.float64)
    loss = distillation(student, teacher, temperature=2.0)
    assert loss.item() == pytest.approx((3 * LOG3 - 4 * LOG2) / 2, rel=1e-12)
    loss.backward()
    # T^2 / T * (q_S - q_T) / 2 = (1/2 - 1/4, 1/2 - 3/4)
    torch.testing.assert_close(
        student.grad, torch.tensor([[0.25, -0.25], [0.0, 0.0]], dtype=torch.float64)
    )


def test_the_divergence_is_from_the_teacher_to_the_student():
    # Swapped: KL((1/2, 1/2) || (1/4, 3/4)) = 1/2 ln 2 + 1/2 ln 2/3 = ln 2 - ln 3 / 2.
    flat = torch.zeros(1, 2, dtype=torch.float64)
    steep = torch.tensor([[0.0, LOG3]], dtype=torch.float64)
    assert distillation(flat, steep, 1.0).item() == pytest.approx(0.75 * LOG3 - LOG2, rel=1e-12)
    assert distillation(steep, flat, 1.0).item() == pytest.approx(LOG2 - LOG3 / 2, rel=1e-12)


@given(seeds, temperatures)
def test_equal_logits_give_zero_and_no_gradient(seed, temperature):
    logits = logits_of(seed).requires_grad_()
    loss = distillation(logits, logits, temperature)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-12, rtol=0)


def test_no_gradient_flows_to_the_teacher():
    student, teacher = logits_of(1).requires_grad_(), logits_of(2).requires_grad_()
    distillation(student, teacher, 2.0).backward()
    assert teacher.grad is None
    assert student.grad.abs().max() > 0.01


@given(seeds, temperatures)
def test_both_losses_are_their_formulas(seed, temperature):
    student, teacher = logits_of(seed), logits_of(seed + 1)
    own, other = softened(student, temperature), softened(teacher, temperature)
    expected = temperature**2 * (other * np.log(other / own)).sum(axis=1).mean()
    assert distillation(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-8)
    labels = torch.arange(5)
    chosen = softened(student, 1.0)[np.arange(5), np.arange(5)]
    assert cross_entropy(student, labels).item() == pytest.approx(-np.log(chosen).mean(), rel=1e-9)


@given(seeds, temperatures)
def test_the_gradient_is_t_times_the_difference_of_the_softened_outputs(seed, temperature):
    student, teacher = logits_of(seed).requires_grad_(), logits_of(seed + 1)
    distillation(student, teacher, temperature).backward()
    difference = softened(student, temperature) - softened(teacher, temperature)
    np.testing.assert_allclose(student.grad.numpy(), temperature * difference / 5, atol=1e-12)


def test_t_squared_keeps_the_gradients_size_as_t_grows():
    # T (q_S - q_T) -> (z_S - mean z_S - z_T + mean z_T) / classes (Hinton et al., equation 4)
    student, teacher = logits_of(1).requires_grad_(), logits_of(2)
    distillation(student, teacher, 1e4).backward()
    gap = student.detach() - teacher
    limit = (gap - gap.mean(dim=1, keepdim=True)) / (7 * 5)
    torch.testing.assert_close(student.grad, limit, rtol=0, atol=1e-4)


@given(seeds, temperatures, st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_a_shift_of_all_logits_changes_nothing(seed, temperature, shift, other):
    student, teacher = logits_of(seed), logits_of(seed + 1)
    plain = distillation(student, teacher, temperature)
    shifted = distillation(student + shift, teacher + other, temperature)
    torch.testing.assert_close(shifted, plain, rtol=1e-7, atol=1e-9)
    labels = torch.zeros(5, dtype=torch.int64)
    torch.testing.assert_close(
        cross_entropy(student + shift, labels), cross_entropy(student, labels), rtol=1e-7, atol=1e-9
    )


@given(seeds, temperatures)
def test_the_divergence_is_never_negative(seed, temperature):
    assert distillation(logits_of(seed), logits_of(seed + 1), temperature) >= 0


def test_large_logits_stay_finite():
    student = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = distillation(student, -student.detach(), 1.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_bfloat16_logits_are_widened_first():
    student, teacher = logits_of(1).bfloat16(), logits_of(2).bfloat16()
    loss = distillation(student, teacher, 2.0)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, distillation(student.float(), teacher.float(), 2.0))
    assert cross_entropy(student, torch.arange(5)).dtype == torch.float32


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"temperature is 0\.0: it must be positive"):
        distillation(logits_of(1), logits_of(2), 0.0)
    with pytest.raises(ValueError, match=r"\(5, 7\) and teacher logits \(5, 6\) differ"):
        distillation(logits_of(1), logits_of(2, classes=6), 1.0)
