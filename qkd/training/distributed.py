"""Several processes (ranks) that train one stage together: who is there, what they tell each other.

Whoever starts them sets torchrun's variables: RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT. Without WORLD_SIZE, or where it is 1, nothing here does anything.
"""

import copy
import functools
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch import distributed as group
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

T = TypeVar("T")


class RanksApart(RuntimeError):
    """The ranks did not meet: nothing was begun."""


class RankLost(RuntimeError):
    """Another rank is gone or silent: the stage is as at its last save, and can go on."""


class Place(NamedTuple):
    """Where a process stands among ``world`` ranks: its number, and that on its machine."""

    rank: int
    local_rank: int
    world: int


def place() -> Place:
    """Read off the environment. Raises ValueError, naming the variable that is missing or wrong."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return Place(0, 0, 1)
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise ValueError(f"WORLD_SIZE is set, but {', '.join(missing)} is not: start by torchrun")
    rank, local_rank, world = (_number(name) for name in VARIABLES[:3])
    if not (rank < world and local_rank < world):
        raise ValueError(f"RANK {rank}, LOCAL_RANK {local_rank}: not below WORLD_SIZE {world}")
    return Place(rank, local_rank, world)


def _number(name: str) -> int:
    if not os.environ[name].isdecimal():
        raise ValueError(f"{name} is {os.environ[name]!r}: it must be a whole number")
    return int(os.environ[name])


def world() -> int:
    """How many ranks there are."""
    return place().world


def leads() -> bool:
    """Whether this is rank 0, which takes the lock, evaluates and writes."""
    return place().rank == 0


def share(batch: int) -> slice:
    """Which images of a batch are this rank's; the ranks share it equally (`qkd.train` asks)."""
    here = place()
    length = batch // here.world
    return slice(here.rank * length, (here.rank + 1) * length)


_stages = itertools.count()


@functools.cache
def _store(seconds: float) -> Any:
    """Where the ranks of this process' life meet; one, as a port cannot be opened twice at once."""
    store, _, _ = next(rendezvous("env://", timeout=timedelta(seconds=seconds)))
    return store


@contextmanager
def joined(seconds: float, on_cuda: bool) -> Iterator[None]:
    """Within it the ranks are one group, over gloo and, on CUDA, NCCL for what lies there.

    An error breaks the group: the others' next exchange fails at once (see `is_lost`).

    Args:
        seconds: how long a rank waits for the others: to meet, and at every exchange.
        on_cuda: whether this stage is trained on CUDA.

    Raises:
        RanksApart: the others did not come in time.
    """
    here = place()
    if here.world == 1:
        yield
        return
    try:
        group.init_process_group(
            "cpu:gloo,cuda:nccl" if on_cuda else "gloo",
            # A prefix of its own for each stage: a dead group's addresses are no living one's.
            store=PrefixStore(f"stage{next(_stages)}", _store(seconds)),
            rank=here.rank,
            world_size=here.world,
            timeout=timedelta(seconds=seconds),
        )
    except RuntimeError as error:
        raise RanksApart(
            f"rank {here.rank} did not meet all {here.world} ranks in {seconds:.0f} s at "
            f"{os.environ['MASTER_ADDR']}, port {os.environ['MASTER_PORT']}: did each of them "
            f"start, and can they reach that host? ({str(error).partition('. ')[0]})"
        ) from error
    try:
        with warnings.catch_warnings():
            # Said of kernels of one channel or one pixel, whose strides have more than one name.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield
    except BaseException:
        group.distributed_c10d._get_default_group().abort()
        with suppress(RuntimeError):
            group.destroy_process_group()
        raise
    group.destroy_process_group()


def is_lost(error: Exception) -> bool:
    """Whether an error says that another rank is gone or silent, and nothing of this rank's own.

    Gloo's errors have no type of their own; all of them name the file of gloo that raised them.
    """
    return isinstance(error, group.DistError) or "/gloo/" in str(error)


def from_first(make: Callable[[], T]) -> T:
    """What ``make`` returns, or raises, on rank 0, on every rank. The others do not call it."""
    if world() == 1:
        return make()
    told: list[Any] = [None]
    if leads():
        try:
            told = [(make(), None)]
        except Exception as error:  # the others raise it too
            told = [(None, error)]
    group.broadcast_object_list(told, src=0, device=torch.device("cpu"))
    made, failure = told[0]
    if failure is not None:
        raise failure
    return cast(T, made)


def any_of(flag: bool) -> bool:
    """Whether it is true on any rank; all ranks get the same answer, and none waits for a GPU."""
    if world() == 1:
        return flag
    votes = torch.tensor(int(flag))
    group.all_reduce(votes, group.ReduceOp.MAX)
    return bool(votes)


def mean_of(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The means over the ranks of scalars by name, the same names in the same order on each."""
    if world() == 1:
        return values
    means = torch.stack(list(values.values()))
    group.all_reduce(means)
    return dict(zip(values, (means / world()).unbind(), strict=True))


def averaging(network: nn.Module) -> nn.Module:
    """The network such that a backward pass leaves each gradient's mean over the ranks.

    All ranks begin with rank 0's parameters and buffers, and every forward pass with its buffers
    (batch norms' running statistics are therefore rank 0's). The graph is told to be the same at
    each step, so that a parameter that gets no gradient, as by one process, is none waited for.
    """
    return DistributedDataParallel(network, static_graph=True)


def synchronised(network: nn.Module) -> nn.Module:
    """A twin that shares every parameter and buffer with the network, whose batch norms take their
    statistics over all ranks. The network stays as it is, for evaluation, audit and proof.
    """
    tensors = itertools.chain(network.parameters(), network.buffers())
    twin = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
    return cast(nn.Module, nn.SyncBatchNorm.convert_sync_batchnorm(twin))  # type: ignore[no-untyped-call]
