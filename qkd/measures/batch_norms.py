"""A diagnostic: the accuracy once batch norms know the trained weights (never compared).

Running statistics lag behind weights that still move, and behind intervals at few bits. How much
that costs is seen by measuring them again and testing again.
"""

import copy

import numpy
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from qkd.data.batches import evaluation_batches
from qkd.data.photos.files import Part
from qkd.measures.evaluate import evaluate
from qkd.records.schema import Accuracy
from qkd.spec import Data

ORDER_SEED = 0


def reestimated(
    network: nn.Module, training: Part, test: Part, data: Data, batch: int
) -> Accuracy | None:
    """The accuracy on the test images of a copy of ``network`` whose batch norms have the mean
    statistics of all whole batches of ``training``: training images, not augmented, in a fixed
    order of their own, as their canonical one goes by class. The network stays as it is.

    None where it has no batch norm, there are too few images, or it cannot be measured: what was
    trained is not lost for a diagnostic.
    """
    order = numpy.random.Generator(numpy.random.PCG64(ORDER_SEED)).permutation(len(training.labels))
    whole = order[: len(order) // batch * batch] if len(order) >= batch else order
    if len(whole) < 2:
        return None
    try:
        twin = copy.deepcopy(network).eval()
        if not _measured_again(twin, training.part(whole), data, batch):
            return None
        device = next(network.parameters()).device
        return evaluate(twin, evaluation_batches(test, data, device))
    except Exception:  # whatever a user's network raises: see above
        return None


@torch.inference_mode()
def _measured_again(network: nn.Module, images: Part, data: Data, batch: int) -> bool:
    """Gives the batch norms the statistics of these images; False where there is none."""
    norms = [one for one in network.modules() if isinstance(one, _BatchNorm)]
    norms = [one for one in norms if one.track_running_stats]
    for one in norms:
        one.reset_running_stats()
        one.momentum = None  # a plain mean over the batches
        one.train()
    device = next(network.parameters()).device
    for pixels, _ in evaluation_batches(images, data, device, batch) if norms else ():
        with torch.autocast(device.type, enabled=False):
            network(pixels.to(memory_format=torch.channels_last))
    return bool(norms)
