"""A frozen teacher that is asked once for each step, by all who learn from it."""

import json
import os
import time
from collections.abc import Callable

import msgspec
import torch
from torch import Tensor

from qkd.data.batches import Batches
from qkd.records.lock import Locked
from qkd.records.logits import CHUNK, FOLDER, LogitsFile, Source, source_of, steps_of
from qkd.records.record import Store
from qkd.spec import NUMERICS, Stage
from qkd.spec.history import seed_of
from qkd.training import checkpoint, distributed, environment, portable
from qkd.training.runtime import Runtime
from qkd.training.step import Side

WAIT_SECONDS = 20.0  # for another process' rows; then they are computed here too
POLL_SECONDS = 0.05
AHEAD = 16  # chunks in which a process that would wait looks for work
CHUNK_SECONDS = 5.0  # after which a chunk is left as it is: a stage must be able to stop


def kept_teacher(
    teacher: Side | None,
    stage: Stage,
    store: Store,
    runtime: Runtime,
    *,
    batches: Batches,
    say: Callable[[str], None],
) -> Side | None:
    """The teacher such that its logits come from a file, where ``runtime`` says so for this stage
    and they would be the same bits: not of several parts of a batch, nor of compiled steps.

    ``say`` is told what is wrong with the file, if anything.
    """
    source = source_of(stage)
    wanted = stage.history.digest in runtime.kept_logits
    parts = distributed.world() * runtime.micro_batches
    if teacher is None or source is None or not wanted or parts > 1 or runtime.compile:
        return teacher
    file = LogitsFile(store.root.with_name(FOLDER), source, arithmetic_of(teacher, runtime))
    return KeptTeacher(teacher, file, batches, source=source, steps=steps_of(stage), say=say)


def arithmetic_of(teacher: Side, runtime: Runtime) -> str:
    """All that the bits of a teacher's logits depend on, images and network aside."""
    device = next(teacher.network.parameters()).device
    place = environment.place(runtime, device)
    return json.dumps(
        {
            "place": msgspec.to_builtins(msgspec.structs.replace(place, device=device.type)),
            "variables": {name: os.environ.get(name, "") for name in portable.VARIABLES},
            "precision": teacher.precision,
            "numerics": NUMERICS,
            "weights": checkpoint.weights_sha256(teacher.network.state_dict()),
        },
        sort_keys=True,
    )


class KeptTeacher(Side):
    """A frozen teacher whose logits are read from a file; those that are not there are computed and
    written.

    Processes that need the same logits share the work: each claims a chunk of steps, and who finds
    the one that it needs claimed takes the next. The first logits that are read are compared with
    the teacher's own. Where they differ, and where the logits cannot be kept (the teacher draws
    numbers, or the disk is full), it answers by itself from then on.
    """

    def __init__(
        self,
        teacher: Side,
        file: LogitsFile,
        batches: Batches,
        *,
        source: Source,
        steps: range,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(teacher.name, teacher.network, precision=teacher.precision)
        self._shape = (source.batch, source.data.classes)
        self._draws = source.draws
        self._file, self._batches, self._steps, self._say = file, batches, steps, say
        self._rows: dict[int, bytes] = {}
        self._own: set[int] = set()
        self._works, self._compared = True, False

    def forward(self, images: Tensor, seed: int, step: int, part: int = 0) -> Tensor:
        """Logits (batch, classes) of the step's whole batch, as `Side.forward` gives them."""
        if self._works and step not in self._rows:
            self._rows = self._kept(lambda: self._fetched(step)) or {}
        row = self._rows.pop(step, None)
        if row is None:
            return super().forward(images, seed, step, part)
        logits = torch.frombuffer(bytearray(row), dtype=torch.float32).view(self._shape)
        logits = logits.to(images.device, copy=True)
        if step in self._own:
            self._own.discard(step)
        else:
            self.read += 1
            if not self._compared:
                answer = super().forward(images, seed, step, part)
                if not _same_bits(answer, logits):
                    self._give_up("holds other logits than this teacher gives")
                    return answer
                self._compared = True
        self._seed(step)  # as a forward pass leaves it
        return logits

    def _fetched(self, step: int) -> dict[int, bytes]:
        """The rows of the step and of those after it in its chunk, as far as they are there; where
        the step's own is not, it is computed here, or another process is waited for.
        """
        chunk, deadline = step // CHUNK, time.monotonic() + WAIT_SECONDS
        while True:
            damaged = self._file.damaged
            rows = self._file.read(self._of(chunk, step))
            if self._file.damaged > damaged:
                self._say(f"{self._file.path.name} is damaged in chunk {chunk}: computed again")
            if step in rows:
                return rows
            try:
                with self._file.claim(chunk):
                    return self._completed(chunk, step)
            except Locked:
                pass
            if time.monotonic() > deadline:
                return self._completed(chunk, step)
            if not any(self._took(other) for other in range(chunk + 1, chunk + AHEAD)):
                time.sleep(POLL_SECONDS)

    def _took(self, chunk: int) -> bool:
        """Whether there was something to compute in a chunk that nobody else is at work on."""
        steps = self._of(chunk)
        if len(self._file.read(steps)) == len(steps):
            return False
        try:
            with self._file.claim(chunk):
                self._completed(chunk)
        except Locked:
            return False
        return True

    def _completed(self, chunk: int, first: int = 0) -> dict[int, bytes]:
        """The rows of a chunk from step ``first`` on: those that were not there are written."""
        steps, began = self._of(chunk, first), time.monotonic()
        rows = self._file.read(steps)
        new = {}
        for step in steps:
            if step not in rows:
                new[step] = self._asked(step)
                if time.monotonic() - began > CHUNK_SECONDS:
                    break
        self._file.write(new)
        self._own |= set(new)
        return rows | new

    def _of(self, chunk: int, first: int = 0) -> range:
        """The stage's own steps in a chunk, from ``first`` on."""
        begin = max(chunk * CHUNK, first, self._steps.start)
        return range(begin, max(begin, min((chunk + 1) * CHUNK, self._steps.stop)))

    def _asked(self, step: int) -> bytes:
        """The teacher's own logits for a step's batch. Raises `_NotKept`."""
        images, _ = self._batches.batch(step)
        images = images.to(memory_format=torch.channels_last)
        self._seed(step)
        before = _drawn(images.device)
        logits = super().forward(images, self._draws, step)
        if not torch.equal(before, _drawn(images.device)):
            raise _NotKept("the teacher draws numbers")
        if logits.dtype != torch.float32 or logits.shape != self._shape:
            raise _NotKept(f"the teacher answers in {logits.dtype}, {tuple(logits.shape)}")
        if not logits.is_contiguous():
            raise _NotKept("the teacher's logits lie in another order")
        return logits.cpu().numpy().tobytes()

    def _seed(self, step: int) -> None:
        torch.manual_seed(seed_of(self._draws, f"{self.name}-dropout", step))

    def _kept(self, make: Callable[[], dict[int, bytes]]) -> dict[int, bytes] | None:
        """What ``make`` returns; None where the logits cannot be kept, now and from then on."""
        try:
            return make()
        except (_NotKept, OSError) as error:
            self._give_up(f"is not used: {error}")
            return None

    def _give_up(self, why: str) -> None:
        self._works, self._rows = False, {}
        self._say(f"{self._file.path.name} {why}; the teacher answers each step itself")


class _NotKept(Exception):
    """These logits are no function of the step, or not in the form of a row."""


def _drawn(device: torch.device) -> Tensor:
    """The state of the generator from which a network on the device draws."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.get_rng_state()


def _same_bits(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(one.contiguous().view(torch.int32), other.contiguous().view(torch.int32))
