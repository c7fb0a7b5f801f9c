"""QFD against its definition, in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.qfd import quantized_features
from tests.qkd.test_losses import seeds


def features_of(seed, batch=5, width=7, signed=False):
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(batch, width, generator=generator, dtype=torch.float64)
    return found if signed else found.relu()


def on_levels(row, bits):
    """The nearest of 2^bits levels from the lowest value, or zero, to the highest."""
    lowest, highest = min(0.0, *row), max(0.0, *row)
    levels = [lowest + (highest - lowest) * i / (2**bits - 1) for i in range(2**bits)]
    return [min(levels, key=lambda level: abs(level - value)) for value in row]


@given(seeds, st.integers(1, 8), st.booleans())
def test_it_is_the_squared_distance_to_the_teachers_features_on_their_levels(seed, bits, signed):
    student, teacher = features_of(seed, signed=True), features_of(seed + 1, signed=signed)
    student.requires_grad_()
    found = quantized_features(student, teacher, bits)
    found.backward()
    wanted = torch.tensor([on_levels(row, bits) for row in teacher.tolist()])
    wanted = wanted.to(torch.float64)
    apart = student.detach() - wanted
    assert found.item() == pytest.approx(apart.square().mean().item(), rel=1e-6, abs=1e-9)
    torch.testing.assert_close(student.grad, 2 * apart / apart.numel(), rtol=1e-5, atol=1e-7)


def test_zero_is_a_level_of_features_that_are_never_negative_and_one_bit_is_all_or_nothing():
    teacher = torch.tensor([[0.0, 1.0, 4.0, 1.9]])
    assert quantized_features(torch.tensor([[0.0, 0.0, 4.0, 0.0]]), teacher, 1).item() == 0
    assert quantized_features(torch.tensor([[0.0, 4 / 3, 4.0, 4 / 3]]), teacher, 2).item() < 1e-12


def test_an_image_without_features_is_zero_and_no_gradient_reaches_the_teacher():
    student = torch.full((2, 3), 2.0, requires_grad=True)
    teacher = torch.zeros(2, 3, requires_grad=True)
    found = quantized_features(student, teacher)
    found.backward()
    assert found.item() == 4
    assert teacher.grad is None
    assert student.grad.isfinite().all()


@given(seeds)
def test_an_image_does_not_depend_on_the_others(seed):
    student, teacher = features_of(seed, 6), features_of(seed + 1, 6)
    whole = quantized_features(student, teacher).item()
    parts = [
        quantized_features(a, b).item()
        for a, b in zip(student.chunk(2), teacher.chunk(2), strict=True)
    ]
    assert whole == pytest.approx(sum(parts) / 2, rel=1e-12)


def test_maps_are_features_too_and_bfloat16_is_widened():
    student, teacher = features_of(0, 2, 12), features_of(1, 2, 12)
    flat = quantized_features(student, teacher)
    assert torch.equal(quantized_features(student.view(2, 3, 2, 2), teacher.view(2, 3, 2, 2)), flat)
    assert quantized_features(student.bfloat16(), teacher.bfloat16()).dtype == torch.float32


def test_other_bits_and_other_shapes_are_refused():
    for bits in (0, 9):
        with pytest.raises(ValueError, match=f"{bits} bits"):
            quantized_features(features_of(0), features_of(1), bits)
    with pytest.raises(ValueError, match=r"\(5, 7\) and teacher features \(5, 8\) differ"):
        quantized_features(features_of(0), features_of(1, width=8))
