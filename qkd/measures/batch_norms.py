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
from qkd.spec import Data, Recipe

LAST = 20  # batches: torch's running statistics, momentum m = 0.1, weigh as (2 - m) / m = 19 do


def reestimated(
    network: nn.Module,
    trained_on: Batches,
    steps: int,
    test: Part,
    data: Data,
    *,
    parts: int = 1,
) -> Accuracy | None:
    """The accuracy on the test images of a copy of ``network`` whose batch norms have the mean
    statistics of the last batches of its ``steps``. The network stays as it is.

    The batches are as training saw them: augmented, as crops over a black border have statistics of
    their own, and in the ``parts`` that its batch norms saw (`parts_of`). None where it has no
    batch norm, was not trained, or cannot be measured: what was trained is not lost for a
    diagnostic.
    """
    last = range(max(0, steps - LAST), steps)
    pixels = (part for step in last for part in trained_on.batch(step)[0].chunk(parts))
    try:
        twin = copy.deepcopy(network).eval()
        if not _measured_again(twin, pixels):
            return None
        device = next(network.parameters()).device
        return evaluate(twin, evaluation_batches(test, data, device))
    except Exception:  # whatever a user's network raises: see above
        return None


def parts_of(recipe: Recipe, ranks: int, micro_batches: int) -> int:
    """Into how many parts a batch is cut for batch norms: by micro-batches, and by ranks unless
    these share their statistics."""
    return micro_batches * (1 if recipe.batch_norm == "sync" else ranks)


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
