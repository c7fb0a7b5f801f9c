"""What is to be said of a network that trains and is what its label says, all the same."""

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from qkd.models.layout import format_of
from qkd.quantizers.calls import only_in_training
from qkd.records.schema import LayerAudit

LISTED = 5  # names in a sentence


def remarks(network: nn.Module) -> Iterator[str]:
    """A sentence each: what of it training alone calls, and that it is not channels last."""
    name = type(network).__name__
    aside = only_in_training(network)
    if aside:
        more = f" and {len(aside) - LISTED} more" if len(aside) > LISTED else ""
        yield (
            f"{name}: training alone calls {', '.join(aside[:LISTED])}{more}, in float: no part of "
            "what is evaluated"
        )
    if format_of(network) != torch.channels_last:
        yield f"{name} does not run channels last (a view?): it computes in torch's own format"


def idle_levels(rows: Iterable[LayerAudit]) -> Iterator[str]:
    """A sentence for each layer whose inputs are called signed and were never negative."""
    for row in rows:
        inputs = row.activations
        if inputs is not None and inputs.never_negative:
            yield (
                f"the inputs of {row.layer} are quantized as signed, for no proof was found that "
                f"they are not, but none was negative: {inputs.levels} of {inputs.levels_declared} "
                "levels were seen"
            )
