"""The disk that a plan's checkpoints take (torch-free)."""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.sizes import size_of
from qkd.spec import Network, Stage
from slurm.planning.estimate import size_in_words
from slurm.planning.work import Work

BYTES = 4  # of a number: checkpoints are in float32, whatever training is in


class UnknownSize(ValueError):
    """A network whose numbers cannot be counted without building it: it names the network."""


class Disk(NamedTuple):
    """Bytes of the checkpoints when every stage is done.

    ``every``: all of them. ``starts``: those that networks begin with, which alone stay after
    ``make clean-checkpoints``. ``largest``: the largest, which is written beside the file that it
    replaces.
    """

    every: int
    starts: int
    largest: int


def in_words(work: Work) -> str:
    """The disk that the plan takes at its peak, when it is done, and after cleaning."""
    try:
        disk = disk_of(work)
    except UnknownSize as error:
        return f"disk: unknown, as the size of {error} is known only when it is built"
    return (
        f"disk: up to {size_in_words(disk.every + disk.largest)} of checkpoints; when all is done "
        f"{size_in_words(disk.every)}, of which {size_in_words(disk.starts)} stay after make "
        "clean-checkpoints"
    )


def disk_of(work: Work) -> Disk:
    """What the checkpoints of the plan's stages take in the results folder; those of the committed
    pre-trained networks take nothing there. Raises UnknownSize.
    """
    planned = [
        (checkpoint_bytes(one.stage), not one.parents)
        for one in work.plan.stages.values()
        if work.record(one.digest).path.parent == work.store.root
    ]
    sizes = [size for size, _ in planned]
    starts = sum(size for size, is_start in planned if is_start)
    return Disk(sum(sizes), starts, max(sizes, default=0))


def checkpoint_bytes(stage: Stage) -> int:
    """Bytes of the numbers in a stage's checkpoint; the few of quantizers, and the file's own
    structure, are not counted. Raises UnknownSize.
    """
    return BYTES * sum(_numbers(network, trained) for network, trained in _saved(stage))


def _saved(stage: Stage) -> Iterator[tuple[Network, bool]]:
    """The networks in a stage's checkpoint, each with whether it trained there: the teacher is
    saved by those stages alone that train it.
    """
    history = stage.history
    yield history.student.network, stage.steps > 0
    if history.teacher is not None and history.parts[-1].phase.trains_teacher:
        yield history.teacher.network, True


def _numbers(network: Network, trained: bool) -> int:
    """Its parameters and statistics, and where it trained a momentum for each parameter."""
    size = size_of(network)
    if size is None:
        raise UnknownSize(network.name)
    return size.parameters * (2 if trained else 1) + size.statistics
