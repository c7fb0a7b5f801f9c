"""The loop that trains one stage."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from qkd.data.batches import Batches, held_out, training_batches
from qkd.data.cache import load
from qkd.data.photos.files import left_out_of, require_equal_parts
from qkd.models.layout import Shape, lay_out
from qkd.quantizers.quantize import quantized_layers
from qkd.records.code import keep_code, require_imported
from qkd.records.lock import Hold
from qkd.records.record import BadRecord, Record, Store
from qkd.records.schema import Environment, Place
from qkd.spec import Stage
from qkd.spec.history import before, continues, parents
from qkd.training import checkpoint, distributed, environment
from qkd.training.begin import (
    build,
    parent_checkpoint,
    restored,
    student_at_start,
    teacher_at_start,
)
from qkd.training.features import compared
from qkd.training.kept import kept_teacher
from qkd.training.recorder import Images, Recorder, log
from qkd.training.runtime import Runtime
from qkd.training.step import Sides, train_step


class Stopped(Exception):
    """The stage was asked to stop; it saved and can go on."""


class Progress(NamedTuple):
    """What a running stage says of itself. ``top1`` is held-out, in percent; ``first`` is the step
    that this process began at, before whose first step there is no speed.
    """

    digest: str
    step: int
    steps: int
    images_per_second: float | None
    top1: float | None
    first: int


class Training:
    """One stage at work. Of several ranks each does the same steps; the first alone evaluates, on
    what it saves, and writes.
    """

    def __init__(
        self, stage: Stage, store: Store, record: Record, runtime: Runtime, lock: Hold
    ) -> None:
        began = time.monotonic()
        self.stage, self.history, self.recipe = stage, stage.history, stage.history.recipe
        self.leads = distributed.leads()
        if self.leads:
            record.open(stage)
        own = distributed.from_first(lambda: _own_checkpoint(record, self.history.digest))
        self.runtime = _as_it_began(runtime, own)
        device = environment.set_up(self.runtime)
        distributed.from_first(lambda: self._keep_code(store, record, own is not None))
        parts = environment.parts(own.get("parts", [1]) if own else [], self.runtime)
        places = environment.places(_places_before(own, record), self.runtime, device)
        if self.leads:
            described = environment.describe(self.runtime, device, parts, places)
            record.write(record.environment_file, described)
        require_equal_parts(self.history.data, max(parts))
        split = load(self.history.data, Path(runtime.data), runtime.loaders)
        self.batches = training_batches(
            self.history.data, split.train, self.history.draws, self.recipe.batch, device
        )
        images = Images(
            self.batches,
            held_out(self.history.data, split.train),
            split.test,
            left_out_of(split.test),
            device,
        )
        past = own or _checkpoint_before(stage, store)
        self.recorder = Recorder(
            stage,
            record,
            lock,
            self.runtime,
            parts=parts,
            places=places,
            images=images,
            began=began,
        )
        self.recorder.restore(own, past)
        self.step = own["step"] if own else self.history.steps - stage.steps
        self.sides = _sides(stage, store, own, self.batches, device)
        _watch(self.sides, self.batches.shape)
        if own is None:
            self.recorder.keep_weights_before(self.sides.student)
        _prepare(self.sides, self.runtime, self.recipe.batch_norm == "sync")
        teacher = kept_teacher(
            self.sides.teacher,
            stage,
            store,
            self.runtime,
            batches=self.batches,
            say=lambda text: log(record, text),
        )
        self.sides = self.sides._replace(teacher=teacher)

    def run(self, on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]) -> None:
        """The loop: a step, a line of metrics where one is due, a save where one is due."""
        saved = reported = began = time.monotonic()
        first = self.step
        on_progress(self._progress(None, first))  # all that a stage at its proof says
        while self.step < self.history.steps:
            started = time.monotonic()
            losses = self._one_step()
            now = time.monotonic()
            compiles = self.runtime.compile and self.step == first + 1
            self.recorder.count(losses, now - started, compiles=compiles)
            if self.step % self.recipe.log_every == 0:
                self.recorder.write_metrics(self.step, self.sides)
            if distributed.any_of(should_stop()):
                distributed.from_first(lambda: self.recorder.save(self.step, self.sides))
                raise Stopped(f"{self.recorder.record.path.name} saved at step {self.step}")
            if self.leads and now - saved >= self.runtime.save_seconds:
                self.recorder.save(self.step, self.sides)
                saved = time.monotonic()
            if now - reported >= 1.0 or self.step == self.history.steps:
                speed = (self.step - first) * self.recipe.batch / (now - began)
                on_progress(self._progress(speed, first))
                reported = now
        if self.leads:
            self.recorder.finish(self.sides)

    def _keep_code(self, store: Store, record: Record, goes_on: bool) -> None:
        """Raises CodeChanged where a user's code is not that of what this stage goes on from."""
        earlier = [record] if goes_on else []
        require_imported([*map(store.record, parents(self.stage)), *earlier])
        keep_code(record, self.history, goes_on)

    def _one_step(self) -> dict[str, Any]:
        """The loss terms of one step, meant over the ranks."""
        images, labels = self.batches.batch(self.step, distributed.share(self.recipe.batch))
        values = train_step(
            *self.sides,
            images,
            labels,
            recipe=self.recipe,
            seed=self.history.draws,
            step=self.step,
            micro_batches=self.runtime.micro_batches,
        )
        self.step += 1
        return distributed.mean_of(values)

    def _progress(self, speed: float | None, first: int) -> Progress:
        steps = self.stage.steps
        begin = self.history.steps - steps
        last = self.recorder.best.get("last")
        return Progress(self.history.digest, self.step - begin, steps, speed, last, first - begin)


def _own_checkpoint(record: Record, digest: str) -> dict[str, Any] | None:
    """What an earlier process of this stage saved."""
    try:
        return checkpoint.load(record.checkpoint_file, digest)
    except FileNotFoundError:
        return None


def _checkpoint_before(stage: Stage, store: Store) -> dict[str, Any] | None:
    """What the stage of the same history left that this one continues."""
    if not continues(stage):
        return None
    source = before(stage)
    assert source is not None  # noqa: S101 (a stage that continues has one)
    return parent_checkpoint(store, source)


def _as_it_began(runtime: Runtime, own: dict[str, Any] | None) -> Runtime:
    """A stage goes on as it began: compiled or not."""
    if own is None:
        return runtime
    compiled = own.get("compile", False)
    return msgspec.structs.replace(
        runtime,
        compile=compiled,
        lean=runtime.lean and not compiled,
        portable=bool(runtime.portable) and not compiled,
    )


def _places_before(own: dict[str, Any] | None, record: Record) -> list[Place]:
    """The places that trained what the checkpoint holds. Older code kept none in it: then the one
    of env.json, or an unknown one."""
    if own is None:
        return []
    if "places" in own:
        return msgspec.convert(own["places"], list[Place])
    try:
        known = record.read(record.environment_file, Environment)
    except BadRecord:
        return [Place()]
    return [Place(**{name: getattr(known, name) for name in Place.__struct_fields__})]


def _sides(
    stage: Stage, store: Store, own: dict[str, Any] | None, batches: Batches, device: Any
) -> Sides:
    """Student and teacher: as the stage's own checkpoint holds them, or its parents left them."""
    teacher = teacher_at_start(stage, store, device, batches.shape)
    if own is None:
        return Sides(student_at_start(stage, store, batches, device), teacher)
    network = build(stage.history.student, stage.history.seed, "weights", device)
    network = lay_out(network, batches.shape)
    student = restored("student", network, own["student"], stage)
    if teacher is not None and own["teacher"] is not None:
        teacher = restored("teacher", teacher.network, own["teacher"], stage)
    return Sides(student, teacher)


def _watch(sides: Sides, shape: Shape) -> None:
    """Has each side keep the features that its own terms, or the other's, compare."""
    student, teacher = sides
    for side, other in ((student, teacher), (teacher, student)):
        if side is not None and other is not None:
            ours, theirs = compared(side.terms, side.network, other.network, shape)
            side.watched |= ours
            other.watched |= theirs


def _prepare(sides: Sides, runtime: Runtime, synchronised: bool) -> None:
    """How the forward passes are run in training."""
    for _, layer in quantized_layers(sides.student.network):
        layer.rounds_again = runtime.lean
    for side in filter(None, sides):
        together = distributed.world() > 1 and side.optimiser is not None
        if together and synchronised:
            side.synchronise()
        if runtime.compile:
            side.compile()
        if together:
            side.average()
