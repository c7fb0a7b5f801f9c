"""QFD: the student's features follow the teacher's, quantized.

Source: Zhu, He, Wu: Quantized Feature Distillation for Network Quantization, AAAI 2023, arXiv
2307.10638.

    f_s, f_t: an image's features, what goes into the layer that gives the logits
    loss = cross-entropy + lambda mean over images and features of (f_s - Q(f_t))^2

    Q(f) = l + s round((f - l) / s),  s = (u - l) / (2^bits - 1); ties to even

Marks: the losses and the place of the features are second-hand (the paper was not at hand; its
abstract and reviews were). The paper first trains the teacher with its features quantized; here the
teacher stays as it is, and Q spans each image's own features, from its lowest or zero (l) to its
highest or zero (u): no parameter is learned, and no image depends on the others (assumed). 4 bits
and lambda = 1 are assumed. The student's features are those before its own quantizer (assumed).
There is no projection: networks of other widths are refused before training.
"""

import torch
from torch import Tensor
from torch.nn import functional


def quantized_features(student: Tensor, teacher: Tensor, bits: int = 4) -> Tensor:
    """The mean squared error to the teacher's quantized features.

    Args:
        student: (batch, ...), in float; these learn.
        teacher: of the same shape, in float; detached here.
        bits: of the teacher's features, 1 to 8.

    Returns:
        A scalar, in the square of the features' unit.

    Raises:
        ValueError: other bits, or the shapes differ.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"features of {bits} bits: it must be 1 to 8")
    if student.shape != teacher.shape:
        raise ValueError(
            f"student features {tuple(student.shape)} and teacher features "
            f"{tuple(teacher.shape)} differ in shape"
        )
    own, other = (
        one.to(torch.promote_types(one.dtype, torch.float32)) for one in (student, teacher.detach())
    )
    return functional.mse_loss(own, _quantized(other.flatten(1), bits).view_as(own))


def _quantized(features: Tensor, bits: int) -> Tensor:
    """Each row on 2^bits evenly spaced levels between its lowest and highest value, or zero."""
    lowest = features.amin(dim=1, keepdim=True).clamp_(max=0.0)
    highest = features.amax(dim=1, keepdim=True).clamp_(min=0.0)
    step = (highest - lowest) / (2**bits - 1)
    step = torch.where(step > 0, step, 1.0)  # of an image without features: all are zero
    return lowest + step * ((features - lowest) / step).round()
