"""What PORTABLE=1 costs: steps of two processes, one begun with its variables, in turn."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType

import torch

from benchmarks.speed.figures import Figure
from benchmarks.speed.steps import (
    CASES,
    LAPTOP,
    Case,
    Step,
    network_of,
    quantized,
    side_of,
    step_of,
)
from benchmarks.speed.timing import ROUNDS, in_turn
from qkd.models.resnet_cifar import resnet
from qkd.phases import CO_STUDY, TUTORING
from qkd.spec import Bits, Phase
from qkd.training.environment import capability_of_torch, set_up
from qkd.training.folding import fold
from qkd.training.portable import VARIABLES, require
from qkd.training.runtime import Runtime, starting_with
from qkd.training.step import Side

PATIENCE = 300.0
GOAL = 1.10  # of the laptop ablation's student: above it PORTABLE=1 would not be its default
GROUP = "PORTABLE=1"
CPU = torch.device("cpu")
W2A2, W4A4 = (Bits(weight=bits, activation=bits) for bits in (2, 4))
LAPTOP_TEACHER = Case("ResNet-20 of width 8", lambda: resnet(20, 8, 1), LAPTOP.shape, 10)


def _alone(case: Case, bits: Bits | None) -> Step:
    network = network_of(case, CPU) if bits is None else quantized(case, CPU, bits=bits)
    return step_of(network, case, CPU)


def _with_teacher(phase: Phase) -> Step:
    """The laptop ablation's pair."""
    network = network_of(LAPTOP_TEACHER, CPU)
    if phase.trains_teacher:
        teacher = side_of(network, phase, "teacher")
    else:
        teacher = Side("teacher", fold(network).to(memory_format=torch.channels_last))
    return Step(side_of(quantized(LAPTOP, CPU, bits=W2A2), phase), teacher, LAPTOP.batch(CPU))


# By name, as functions cannot be sent to a process.
STEPS: dict[str, Callable[[], Step]] = {
    f"{LAPTOP.name}, W2A2": lambda: _alone(LAPTOP, W2A2),
    f"{LAPTOP.name}, W2A2, co-studying": lambda: _with_teacher(CO_STUDY),
    f"{LAPTOP.name}, W2A2, tutoring": lambda: _with_teacher(TUTORING),
    f"{LAPTOP.name}, float": lambda: _alone(LAPTOP, None),
    **{f"{case.name}, W4A4": partial(_alone, case, W4A4) for case in CASES},
}
GOALS = {f"{LAPTOP.name}, W2A2{phase}": GOAL for phase in ("", ", co-studying", ", tutoring")}


def portable_steps(names: Iterable[str] = STEPS, rounds: int = ROUNDS) -> Iterator[Figure]:
    """A training step under PORTABLE=1 against the processor's own, on the CPU, one thread.

    Raises NotPortable where it cannot hold.
    """
    require(on_cpu=True)
    for name in names:
        with Stepping(name, {}) as base, Stepping(name, VARIABLES) as other:
            times = in_turn(base, other, rounds)
            note = f"{other.capability} against {base.capability}"
        yield times.figure(GROUP, name, GOALS.get(name), note)


class Stepping:
    """A process of its own that was begun with some variables, and does one of STEPS when called.

    ``capability`` is the instruction set that torch takes in it.
    """

    def __init__(self, name: str, variables: Mapping[str, str]) -> None:
        self._name, self._variables = name, variables
        self.capability = ""

    def __enter__(self) -> "Stepping":
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, self._name, bool(self._variables)), daemon=True
        )
        with starting_with(self._variables):
            self._process.start()
        theirs.close()
        self.capability = self._answer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe.close()
        self._process.join(PATIENCE)

    def __call__(self) -> None:
        """One step, from asking for it to its end."""
        self._pipe.send("step")
        self._answer()

    def _answer(self) -> str:
        """Raises RuntimeError where the process has ended or hangs."""
        try:
            if self._pipe.poll(PATIENCE):
                return str(self._pipe.recv())
        except (EOFError, OSError):
            pass
        raise RuntimeError("a process that was to step has ended, or hangs")


def _work(pipe: Connection, name: str, portable: bool) -> None:
    set_up(Runtime(device="cpu", portable=portable))
    step = STEPS[name]()
    pipe.send(capability_of_torch())
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        step()
        pipe.send("done")
