"""DIST: distillation by correlation, of each image's classes and of each class's images.

Source: Huang, You, Wang, Qian, Xu: Knowledge Distillation from A Stronger Teacher, NeurIPS 2022,
arXiv 2205.10536, section 3 (inter-class relation, intra-class relation).

    Y_s, Y_t: softmax over T of the student's and the teacher's logits, (images, classes)
    d(u, v) = 1 - Pearson's correlation of u and v
    DIST = T^2 (beta mean_i d(Y_s[i, :], Y_t[i, :]) + gamma mean_j d(Y_s[:, j], Y_t[:, j]))

Marks: section numbers are second-hand, as the paper was not at hand; beta = gamma = 2, T = 4 on
CIFAR and 1 on ImageNet, with cross-entropy at weight 1, and the factor T^2 likewise (the authors'
code). 1e-8 is added to the product of the lengths (theirs).

The second part compares images: computed over a batch in parts (micro-batches, ranks) it sees those
of a part only.
"""

import torch
from torch import Tensor

from qkd.losses import cooled

EPSILON = 1e-8


def correlation(
    student_logits: Tensor,
    teacher_logits: Tensor,
    beta: float = 2.0,
    gamma: float = 2.0,
    temperature: float = 4.0,
) -> Tensor:
    """DIST of a batch. No gradient flows to the teacher.

    Args:
        student_logits: (batch, classes), in float; these learn.
        teacher_logits: (batch, classes), in float; detached here.
        beta: the weight of the classes of each image.
        gamma: the weight of the images of each class.
        temperature: T > 0.

    Returns:
        A scalar; 0 where both softened outputs are equal.

    Raises:
        ValueError: the temperature is not positive, or the shapes differ.
    """
    student, teacher = (
        one.softmax(dim=1) for one in cooled(student_logits, teacher_logits, temperature)
    )
    of_images = 1 - _pearson(student, teacher).mean()
    of_classes = 1 - _pearson(student.T, teacher.T).mean()
    return temperature**2 * (beta * of_images + gamma * of_classes)


def _pearson(a: Tensor, b: Tensor) -> Tensor:
    """The correlation of each row of both."""
    a, b = (one - one.mean(dim=1, keepdim=True) for one in (a, b))
    lengths: Tensor = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    return (a * b).sum(dim=1) / (lengths + EPSILON)
