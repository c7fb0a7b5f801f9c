"""That a quantized student is what its bits say: its audit and its integer proof."""

from typing import Any

from torch import nn

from qkd.data.batches import evaluation_batches
from qkd.data.photos.files import Part
from qkd.measures.audit import audit
from qkd.measures.evaluate import Answers
from qkd.measures.proof import prove
from qkd.spec import Data

AUDITED = 128
BATCH = 16  # few, so that float64 activations stay in a core's cache


def evidence(network: nn.Module, images: Part, data: Data, tested: Answers) -> dict[str, Any]:
    """The student's ``audit``, and its ``integer`` proof on all images, as fields of a result.

    A network that cannot be run as integers keeps its result, which then says why in
    ``integer_refused``, so that what was trained is not lost.

    Args:
        network: quantized, after its last step.
        images: the test images.
        data: how they are normalised.
        tested: the float32 test evaluation's answers for these images.

    Raises:
        AuditFailed: a quantizer does not do what it declares.
    """
    device = next(network.parameters()).device
    pixels, _ = next(evaluation_batches(images, data, device, AUDITED))
    found: dict[str, Any] = {"audit": audit(network, pixels)}
    try:
        batches = evaluation_batches(images, data, device, BATCH)
        found["integer"] = prove(network, batches, tested.predictions)
    except Exception as error:  # whatever a user's network raises: see above
        found["integer_refused"] = f"{type(error).__name__}: {error}"
    return found
