"""The losses: pure functions of logits."""

import torch
from torch import Tensor
from torch.nn import functional


def _at_least_float32(logits: Tensor) -> Tensor:
    """Logits as autocast leaves them (bfloat16), widened; float64 stays."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch of -log softmax(logits)[label].

    Args:
        logits: (batch, classes), in float.
        labels: (batch,), class indices in int64.

    Returns:
        A scalar, in nats.
    """
    return functional.cross_entropy(_at_least_float32(logits), labels)


def distillation(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), mean over the batch.

    T^2 keeps the gradient's size as T grows (Hinton et al. 2015, section 2). No gradient flows to
    the teacher: which side is the teacher is the caller's choice (in co-studying each is the
    other's).

    Args:
        student_logits: (batch, classes), in float; these learn.
        teacher_logits: (batch, classes), in float; detached here.
        temperature: T > 0.

    Returns:
        A scalar, in nats; 0 where both softened outputs are equal.

    Raises:
        ValueError: the temperature is not positive, or the shapes differ.
    """
    student, teacher = (
        functional.log_softmax(one, dim=1)
        for one in cooled(student_logits, teacher_logits, temperature)
    )
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


def cooled(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Both logits divided by the temperature, in float32 at least; the teacher's detached.

    Raises ValueError where the temperature is not positive, or the shapes differ.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}: it must be positive")
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"student logits {tuple(student_logits.shape)} and teacher logits "
            f"{tuple(teacher_logits.shape)} differ in shape"
        )
    student = _at_least_float32(student_logits) / temperature
    return student, _at_least_float32(teacher_logits.detach()) / temperature
