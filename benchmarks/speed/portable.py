"""What PORTABLE=1 costs: steps of two processes, one begun with its variables, in turn."""

import multiprocessing
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from types import TracebackType

import torch

from benchmarks.speed.figures import Figure
from benchmarks.speed.steps import CASES, LAPTOP, Case, network_of, quantized, step_of
from benchmarks.speed.timing import ROUNDS, in_turn
from qkd.spec import Bits
from qkd.training.environment import capability_of_torch, set_up
from qkd.training.portable import VARIABLES, require
from qkd.training.runtime import Runtime, starting_with

PATIENCE = 300.0
GOAL = 1.10  # above it PORTABLE=1 would not be the laptop's default
GROUP = "PORTABLE=1"
W2A2, W4A4 = (Bits(weight=bits, activation=bits) for bits in (2, 4))
Priced = tuple[Case, Bits | None, float | None]  # no bits: in float; no goal: for comparison
PRICED: tuple[Priced, ...] = (
    (LAPTOP, W2A2, GOAL),
    (LAPTOP, None, GOAL),
    *((case, W4A4, None) for case in CASES),
)


def portable_steps(priced: tuple[Priced, ...] = PRICED, rounds: int = ROUNDS) -> Iterator[Figure]:
    """A training step under PORTABLE=1 against the processor's own, on the CPU, one thread.

    Raises NotPortable where it cannot hold.
    """
    require(on_cpu=True)
    for case, bits, goal in priced:
        with Stepping(case, bits, {}) as base, Stepping(case, bits, VARIABLES) as other:
            times = in_turn(base, other, rounds)
            note = f"{other.capability} against {base.capability}"
        yield times.figure(GROUP, f"{case.name}, {bits.label if bits else 'float'}", goal, note)


class Stepping:
    """A process of its own that was begun with some variables, and does a step when called."""

    def __init__(self, case: Case, bits: Bits | None, variables: Mapping[str, str]) -> None:
        self._case, self._bits, self._variables = case, bits, variables
        self.capability = ""

    def __enter__(self) -> "Stepping":
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        place = next(place for place, one in enumerate(PRICED_CASES) if one is self._case)
        self._process = context.Process(
            target=_work, args=(theirs, place, self._bits, dict(self._variables)), daemon=True
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


# A case holds a function that cannot be sent to a process: its place among these is.
PRICED_CASES = (LAPTOP, *CASES)


def _work(pipe: Connection, place: int, bits: Bits | None, variables: dict[str, str]) -> None:
    device = torch.device("cpu")
    set_up(Runtime(device="cpu", portable=bool(variables)))
    case = PRICED_CASES[place]
    network = network_of(case, device) if bits is None else quantized(case, device, bits=bits)
    step = step_of(network, case, device)
    pipe.send(capability_of_torch())
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        step()
        pipe.send("done")
