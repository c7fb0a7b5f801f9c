"""A diagnostic: the accuracy once batch norms know the trained weights (never compared).

Running statistics lag behind weights that still move, and behind intervals at few bits. How much
that costs is seen by measuring them again and testing again.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from qkd.data.batches import Batches, evaluation_batches
from qkd.data.photos.files import Part
from qkd.measures.evaluate import evaluate
from qkd.records.schema import Accuracy
from qkd.spec import Data

LAST = 20  # batches: of weight (2 - m) / m = 19 are running statistics at torch's momentum of 0.1


def reestimated(
    network: nn.Module, trained_on: Batches, steps: int, test: Part, data: Data
) -> Accuracy | None:
    """The accuracy on the test images of a copy of ``network`` whose batch norms have the mean
    statistics of the last batches of its ``steps``. The network stays as it is.

    The batches are augmented as training saw them: crops over a black border have statistics of
    their own, and images without one cost a network two points that have nothing to do with a lag.
    None where it has no batch norm, was not trained, or cannot be measured: what was trained is not
    lost for a diagnostic.
    """
    last = range(max(0, steps - LAST), steps)
    try:
        twin = copy.deepcopy(network).eval()
        if not _measured_again(twin, (trained_on.batch(step)[0] for step in last)):
            return None
        device = next(network.parameters()).device
        return evaluate(twin, evaluation_batches(test, data, device))
    except Exception:  # whatever a user's network raises: see above
        return None


@torch.inference_mode()
def _measured_again(network: nn.Module, batches: Iterable[Tensor]) -> bool:
    """Gives the batch norms the statistics of these images; False where nothing was measured."""
    norms = [one for one in network.modules() if isinstance(one, _BatchNorm)]
    norms = [one for one in norms if one.track_running_stats]
    for one in norms:
        one.reset_running_stats()
        one.momentum = None  # a plain mean over the batches
        one.train()
    seen = 0
    for pixels in batches if norms else ():
        with torch.autocast(pixels.device.type, enabled=False):
            network(pixels.to(memory_format=torch.channels_last))
        seen += 1
    return seen > 0
