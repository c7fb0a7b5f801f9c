"""A network quantized, tried, calibrated, trained for two steps, audited and proven, here."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from qkd.measures.audit import audit
from qkd.measures.cost import cost
from qkd.measures.evaluate import answers
from qkd.measures.integer import NoProof
from qkd.measures.proof import prove
from qkd.measures.remarks import remarks
from qkd.models.layout import lay_out
from qkd.phases import SELF_STUDY
from qkd.quantizers.quantize import quantize, set_intervals
from qkd.records.schema import Cost, LayerAudit, Proof
from qkd.spec import Bits, Quantization, Recipe
from qkd.training.step import Side, interval_floors, optimiser_of, train_step
from qkd.training.trial import try_out

RECIPE = Recipe(horizon=10, log_every=1, batch=8)
BITS = Bits(weight=2, activation=2)
CLASSES = 10


class Trained(NamedTuple):
    """What a stage says of such a network; ``proof`` is why there is none where it is a text."""

    network: Any
    audit: tuple[LayerAudit, ...]
    cost: Cost
    proof: Proof | str
    said: tuple[str, ...]
    logits: Tensor

    @property
    def bits(self) -> dict[str, Any]:
        """Of each layer the bits of its weights, and bits and sign of its inputs."""
        return {
            row.layer: (
                row.weights.bits,
                row.activations and (row.activations.bits, row.activations.signed),
            )
            for row in self.audit
        }


def images_of(shape: tuple[int, int, int], count: int = 8, seed: int = 1) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def train_here(make: Any, shape: tuple[int, int, int], in_float: tuple[str, ...] = ()) -> Trained:
    """As a stage does it. Raises ValueError where a launch refuses the network."""
    torch.manual_seed(0)
    quantization = Quantization(bits=BITS, in_float=in_float)
    network = lay_out(quantize(make(), quantization), shape)
    try_out(network, shape, CLASSES, RECIPE.batch)
    network.zero_grad()
    set_intervals(network, images_of(shape), quantization)
    side = Side(
        "student",
        network,
        optimiser_of(network, RECIPE),
        SELF_STUDY.student,
        floors=interval_floors(network),
    )
    labels = torch.arange(RECIPE.batch) % CLASSES
    for step in range(2):
        images = images_of(shape, seed=2 + step)
        train_step(side, None, images, labels, recipe=RECIPE, seed=0, step=step)
    side.require_finite(2)
    tests = images_of(shape, count=20, seed=9), torch.arange(20) % CLASSES
    tested = answers(network, [tests])
    try:
        proof: Proof | str = prove(network, [tests], tested.predictions)
    except (NoProof, ValueError, RuntimeError) as error:
        proof = f"{type(error).__name__}: {error}"
    with torch.no_grad():
        logits = network.eval()(tests[0].to(memory_format=torch.contiguous_format))
    return Trained(
        network,
        audit(network, tests[0]),
        cost(network, shape, BITS),
        proof,
        tuple(remarks(network)),
        logits,
    )
