"""That a quantized student is what its bits say: its audit and its integer proof, as fields of a
result.
"""

from typing import Any

from torch import nn

from qkd.data.batches import evaluation_batches
from qkd.data.photos.files import Part
from qkd.measures.audit import audit
from qkd.measures.evaluate import Answers
from qkd.measures.proof import prove
from qkd.spec import Data

AUDITED = 128
BATCH = 25  # few, so that float64 activations stay in a core's cache


def audited(network: nn.Module, images: Part, data: Data) -> dict[str, Any]:
    """The student's ``audit``, on the first of the test images.

    Raises:
        AuditFailed: a quantizer does not do what it declares.
    """
    device = next(network.parameters()).device
    pixels, _ = next(evaluation_batches(images, data, device, AUDITED))
    return {"audit": audit(network, pixels)}


def proven(network: nn.Module, images: Part, data: Data, tested: Answers) -> dict[str, Any]:
    """The student's ``integer`` proof on all images.

    A network that cannot be run as integers keeps its result, which then says why in
    ``integer_refused``, so that what was trained is not lost.

    Args:
        network: quantized, after its last step.
        images: the test images.
        data: how they are normalised.
        tested: the float32 test evaluation's answers for these images.
    """
    device = next(network.parameters()).device
    try:
        batches = evaluation_batches(images, data, device, BATCH)
        return {"integer": prove(network, batches, tested.predictions)}
    except Exception as error:  # whatever a user's network raises: see above
        return {"integer_refused": f"{type(error).__name__}: {error}"}
