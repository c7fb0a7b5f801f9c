"""Does the largest stage of a plan fit into a GPU's memory? Before anything is trained."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from qkd.models.layout import Shape
from qkd.spec import Stage
from qkd.training.memory import Need, needs
from slurm.doctor import Finding
from slurm.planning.estimate import size_in_words

ESTIMATED = "estimated, a lower bound: without the kernels' working memory"


def gpus() -> list[int]:
    """The memory of each GPU of this machine, in bytes."""
    count = torch.cuda.device_count()
    return [torch.cuda.get_device_properties(index).total_memory for index in range(count)]


def memory(
    stages: Sequence[Stage], shapes: Mapping[str, Shape], gpus: Sequence[int], parts: int = 1
) -> Iterator[Finding]:
    """The memory of the largest stage, against that of each GPU in bytes; none without training.

    ``shapes`` are those of the images, by the name of the data set; a batch is computed in so many
    ``parts``.
    """
    trained = [stage for stage in stages if stage.steps]
    if not trained:
        return
    try:
        found = needs([(stage, shapes[stage.history.data.name]) for stage in trained])
    except Exception as error:  # a network may be anybody's; whether it trains is asked elsewhere
        said = f"could not be estimated: {type(error).__name__}: {error}"
        yield Finding("memory of a GPU", said)
        return
    batches = [stage.history.recipe.batch for stage in trained]
    wanted = [need.at(batch // parts) for need, batch in zip(found, batches, strict=True)]
    most = wanted.index(max(wanted))
    need, batch = found[most], batches[most]
    cut = f" in {parts} parts" if parts > 1 else ""
    taken = size_in_words(wanted[most])
    said = f"{_named(trained[most])} takes {taken} at its batch of {batch}{cut}"
    if not gpus:
        yield Finding("memory of a GPU", f"{said} ({ESTIMATED})")
    for number, total in enumerate(gpus):
        mend = "" if wanted[most] <= total else too_big(need, batch, total)
        yield Finding(
            f"memory of GPU {number}", f"{size_in_words(total)}; {said} ({ESTIMATED})", mend
        )


def too_big(need: Need, batch: int, total: int) -> str:
    """How such a stage would fit into so many bytes after all."""
    parts = micro_batches(need, batch, total)
    if parts is None:
        return "no number of micro-batches fits: take a GPU with more memory, or a smaller network"
    return (
        f"MICROBATCHES={parts} (a part of a batch in memory at a time), or {parts} GPUs for each "
        "stage (CLUSTER=, gpus)"
    )


def micro_batches(need: Need, batch: int, total: int) -> int | None:
    """The fewest equal parts of a batch of which one fits into so many bytes; None: not even one
    image does.
    """
    fitting = (
        parts
        for parts in range(1, batch + 1)
        if batch % parts == 0 and need.at(batch // parts) <= total
    )
    return next(fitting, None)


def _named(stage: Stage) -> str:
    history = stage.history
    needs_teacher = history.parts[-1].phase.needs_teacher
    teacher = history.teacher if needs_teacher else None
    pair = f" <- {teacher.network.name}" if teacher else ""
    return f"{stage.label} of {history.student.network.name}{pair}"
