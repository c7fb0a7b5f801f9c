"""How often the trained student, run as integers, says what the student says.

The reference is the fake-quantized network in float64. In float32 a value on a rounding edge may
fall on either side, and the difference cascades: that agreement is recorded, and proves nothing.

The first images run through both networks in float64. From then on the integers run quickly, and
of an image whose answer is certain (`qkd.measures.certain`) no more is asked: both networks would
give it, the argument there says. All other images run through both networks in float64. Where the
quick run is not within its own error of what they said of the first, or nothing can be said
of the network, all images do. So a network of wrong integers loses its agreement as it would if
both ran on every image.
"""

import copy
import time
from collections.abc import Iterable

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from qkd.measures.bounds import Unbounded
from qkd.measures.certain import Certain, certain
from qkd.measures.integer import as_integers
from qkd.models.layout import format_of, laid_out
from qkd.records.schema import Proof

# No later image has a pixel larger than that many times the first ones' largest, or is in doubt.
PIXELS = 4.0
FIRST = 8


def prove(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], float32: Tensor) -> Proof:
    """Runs the network as integers on all images; returns the proof.

    Args:
        network: quantized; it is left as it is.
        batches: images, float32 (batch, channels, height, width), and labels.
        float32: the network's own predictions for the same images: int64 (images).

    Raises:
        NoProof: see `qkd.measures.integer.IntegerLayer`.
        ValueError: it cannot be traced.
    """
    began = time.monotonic()
    reference = copy.deepcopy(network).double().to(memory_format=torch.contiguous_format).eval()
    with torch.backends.nnpack.flags(enabled=False):  # its sums are not exact
        proof = compared(as_integers(reference), reference, batches, float32)
    return replace(proof, seconds=time.monotonic() - began)


class Pair:
    """The network of integers and the reference, and what they say of images.

    Args:
        integer: the network of integers.
        reference: the fake-quantized network; both in float64.
    """

    def __init__(self, integer: nn.Module, reference: nn.Module) -> None:
        self.integer, self.reference = integer, reference
        self.quick: Certain | None = None
        self.is_first = True

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor, int]:
        """Classes by the integers and by the reference, int64 (batch), and of how many images
        it was enough that the answer is certain."""
        exact = images.double()
        if self.is_first:
            few, self.is_first = exact[:FIRST], False
            both = self._logits(few)
            if format_of(self.reference) == torch.channels_last:  # as all that is quick is
                self.quick = _quick(self.integer, few, *both)
        if self.quick is None:
            logits = self._logits(exact)
            return logits[0].argmax(1), logits[1].argmax(1), 0
        quick, sure = self.quick.logits(exact)
        found = quick.argmax(1)
        expected, certainly = found, int(sure.sum())
        if certainly < len(images):
            found, expected = found.clone(), found.clone()
            whole = self._logits(exact[~sure])
            found[~sure], expected[~sure] = whole[0].argmax(1), whole[1].argmax(1)
        return found, expected, certainly

    def _logits(self, exact: Tensor) -> tuple[Tensor, Tensor]:
        # Faster for the float32 convolutions, slower for the float64 ones
        return self.integer(laid_out(self.reference, exact)), self.reference(exact)


def _quick(integer: nn.Module, images: Tensor, *logits: Tensor) -> Certain | None:
    """The integers' quick form; None where nothing is certain."""
    try:
        quick = certain(integer, PIXELS * float(images.abs().max()))
    except Unbounded:
        return None
    return quick if quick.agrees(images, *logits) else None


@torch.inference_mode()
def compared(
    integer: nn.Module,
    reference: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    float32: Tensor,
) -> Proof:
    """The predictions of both networks, and the given ones, set beside each other."""
    pair = Pair(integer, reference)
    counts, images, certainly = [0, 0, 0, 0], 0, 0
    for pixels, labels in batches:
        found, expected, sure = pair.answers(pixels)
        given = float32[images : images + len(labels)].to(found.device)
        pairs = [(found, expected), (found, given), (found, labels), (expected, labels)]
        equal = torch.stack([(a == b).sum() for a, b in pairs]).tolist()
        counts = [count + more for count, more in zip(counts, equal, strict=True)]
        images += len(labels)
        certainly += sure
    return Proof(
        agreement=counts[0] / images,
        agreement_float32=counts[1] / images,
        top1=100 * counts[2] / images,
        top1_reference=100 * counts[3] / images,
        images=images,
        images_certain=certainly,
    )
