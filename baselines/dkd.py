"""DKD: distillation of the label's class and of all others, each with its own weight.

Source: Zhao, Cui, Song, Qiu, Liang: Decoupled Knowledge Distillation, CVPR 2022, arXiv 2203.08679,
section 3 (reformulation of KD, decoupling).

    p, q: softmax of the teacher's and of the student's logits over T; t the label's class
    TCKD = KL((p_t, 1 - p_t) || (q_t, 1 - q_t))
    NCKD = KL(p^ || q^),  p^_i = p_i / (1 - p_t), i other than t
    DKD  = T^2 (alpha TCKD + beta NCKD)

With alpha = 1 and beta = 1 - p_t of each image it is T^2 KL(p || q).

Marks: section numbers are second-hand, as the paper was not at hand; alpha = 1, beta = 8 and T = 4
are the authors' for CIFAR (second-hand), with cross-entropy at weight 1; the epochs over which they
raise the term are left out (assumed: a term's weight is constant).
"""

import torch
from torch import Tensor
from torch.nn import functional

from qkd.losses import cooled


def decoupled(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    """DKD, a mean over the batch. No gradient flows to the teacher.

    Args:
        student_logits: (batch, classes), in float; these learn.
        teacher_logits: (batch, classes), in float; detached here.
        labels: (batch,), class indices in int64.
        alpha: the weight of the label's class against all others.
        beta: the weight of the others among each other.
        temperature: T > 0.

    Returns:
        A scalar, in nats; 0 where both softened outputs are equal.

    Raises:
        ValueError: the temperature is not positive, the shapes differ, or there are fewer than
            three classes, of which two others are needed.
    """
    student, teacher = cooled(student_logits, teacher_logits, temperature)
    if student.shape[1] < 3:
        raise ValueError(f"logits of {student.shape[1]} classes: it needs three classes or more")
    is_label = functional.one_hot(labels, student.shape[1]).bool()
    target = _divergence(*(_label_and_rest(logits, is_label) for logits in (student, teacher)))
    others = _divergence(*(_among_the_rest(logits, is_label) for logits in (student, teacher)))
    return temperature**2 * (alpha * target + beta * others)


def _label_and_rest(logits: Tensor, is_label: Tensor) -> Tensor:
    """The logarithm of (q_t, 1 - q_t), of shape (batch, 2)."""
    label = logits.masked_fill(~is_label, -torch.inf).logsumexp(1)
    rest = logits.masked_fill(is_label, -torch.inf).logsumexp(1)
    return functional.log_softmax(torch.stack([label, rest], dim=1), dim=1)


def _among_the_rest(logits: Tensor, is_label: Tensor) -> Tensor:
    """The logarithm of q^, of shape (batch, classes - 1)."""
    rest = logits.masked_select(~is_label).view(len(logits), -1)
    return functional.log_softmax(rest, dim=1)


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
