"""The loop that trains one stage: its metrics, its saves and its result."""

import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from qkd.data.batches import evaluation_batches, held_out, training_batches
from qkd.data.cache import load
from qkd.data.photos.files import Part, left_out_of, require_equal_parts
from qkd.measures.cost import cost_or_reason
from qkd.measures.evaluate import Accuracy, Answers, answers
from qkd.measures.evidence import evidence
from qkd.measures.histograms import keep_after, keep_before
from qkd.quantizers.quantize import interval_parameters, quantized_layers
from qkd.records.lock import Hold
from qkd.records.record import Record, Store
from qkd.schedules import learning_rate_factor
from qkd.spec import Stage
from qkd.spec.history import before, continues
from qkd.training import checkpoint, distributed, environment
from qkd.training.begin import (
    build,
    parent_checkpoint,
    restored,
    student_at_start,
    teacher_at_start,
)
from qkd.training.runtime import Runtime
from qkd.training.step import Side, train_step
from qkd.training.window import NotFinite, Window


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
    """One stage at work. Of several ranks each does the same steps; rank 0 alone evaluates, on what
    it saves, and writes.
    """

    def __init__(
        self, stage: Stage, store: Store, record: Record, runtime: Runtime, claim: Hold
    ) -> None:
        self._began = time.monotonic()
        self.stage, self.history, self.recipe = stage, stage.history, stage.history.recipe
        self.store, self.record, self.claim = store, record, claim
        self.is_quantized = self.history.student.quantization is not None
        self.leads = distributed.leads()
        if self.leads:
            record.open(stage)
        own = distributed.from_first(self._own_checkpoint)
        if own is not None:  # a stage goes on as it began
            compiled = own.get("compile", False)
            lean = runtime.lean and not compiled
            runtime = msgspec.structs.replace(runtime, compile=compiled, lean=lean)
        self.runtime = runtime
        self.device = environment.set_up(runtime)
        self.parts = environment.parts(own.get("parts", [1]) if own else [], runtime)
        if self.leads:
            described = environment.describe(runtime, self.device)
            record.write_json(record.environment_file, {**described, "parts": self.parts})
        require_equal_parts(self.history.data, max(self.parts))
        split = load(self.history.data, Path(runtime.data), runtime.loaders)
        self.test, self.left_out = split.test, left_out_of(split.test)
        self.held_out = held_out(self.history.data, split.train)
        self.batches = training_batches(
            self.history.data, split.train, self.history.draws, self.recipe.batch, self.device
        )
        self._restore(own)
        for _, layer in quantized_layers(self.student.network):
            layer.rounds_again = runtime.lean
        for side in (self.student, self.teacher):
            if side is not None:
                self._prepare(side)

    def _prepare(self, side: Side) -> None:
        """How the side's forward pass is run in training."""
        together = distributed.world() > 1 and side.optimiser is not None
        if together and self.recipe.batch_norm == "sync":
            side.synchronise()
        if self.runtime.compile:
            side.compile()
        if together:
            side.average()

    def _restore(self, own: dict[str, Any] | None) -> None:
        """Takes up the stage's own checkpoint, or what its parents left."""
        begin = self.history.steps - self.stage.steps
        past = own
        if past is None and continues(self.stage):
            source = before(self.stage)
            assert source is not None  # noqa: S101 (a stage that continues has one)
            past = parent_checkpoint(self.store, source)
        self.step = own["step"] if own else begin
        self.window = Window(past["window"] if past else None)
        self.best: dict[str, Any] = past["best"] if past else {"top1": None, "step": None}
        self.seconds: float = own["seconds"] if own else 0.0
        self.compile_seconds: float = own.get("compile_seconds", 0.0) if own else 0.0
        self._wall_before: float = own.get("wall_seconds", 0.0) if own else 0.0
        self.metrics_length: int = own["metrics_length"] if own else 0
        if self.leads:
            self.record.cut_metrics(self.metrics_length)
        if own is None:
            self.student = student_at_start(self.stage, self.store, self.batches, self.device)
            self.teacher = teacher_at_start(self.stage, self.store, self.device)
            if self.leads and self.is_quantized:
                keep_before(self.record, self.student.network)
            return
        network = build(self.history.student, self.history.seed, "weights", self.device)
        self.student = restored("student", network, own["student"], self.stage)
        self.teacher = teacher_at_start(self.stage, self.store, self.device)
        if self.teacher is not None and own["teacher"] is not None:
            self.teacher = restored("teacher", self.teacher.network, own["teacher"], self.stage)
        if "left_out" in own:
            self.left_out.restore(own["left_out"])
        if self.leads:
            log(self.record, f"goes on at step {self.step} of {self.history.steps}")

    def _own_checkpoint(self) -> dict[str, Any] | None:
        try:
            return checkpoint.load(self.record.checkpoint_file, self.history.digest)
        except FileNotFoundError:
            return None

    def run(self, on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]) -> None:
        """The loop: a step, a line of metrics where one is due, a save where one is due."""
        saved = reported = began = time.monotonic()
        first = self.step
        on_progress(self._progress(None, first))  # all that a stage at its proof says
        while self.step < self.history.steps:
            started = time.monotonic()
            self._one_step()
            now = time.monotonic()
            self.seconds += now - started
            self.window.seconds += now - started
            if self.runtime.compile and self.step == first + 1:
                self.compile_seconds += now - started
            if self.step % self.recipe.log_every == 0:
                self._write_metrics()
            if distributed.any_of(should_stop()):
                distributed.from_first(self._save)
                raise Stopped(f"{self.record.path.name} saved at step {self.step}")
            if self.leads and now - saved >= self.runtime.save_seconds:
                self._save()
                saved = time.monotonic()
            if now - reported >= 1.0 or self.step == self.history.steps:
                speed = (self.step - first) * self.recipe.batch / (now - began)
                on_progress(self._progress(speed, first))
                reported = now
        if self.leads:
            self._finish()

    def _one_step(self) -> None:
        images, labels = self.batches.batch(self.step, distributed.share(self.recipe.batch))
        values = train_step(
            self.student, self.teacher, images, labels,
            recipe=self.recipe, seed=self.history.draws, step=self.step,
            micro_batches=self.runtime.micro_batches,
        )  # fmt: skip
        self.window.add(distributed.mean_of(values))
        self.step += 1

    def _progress(self, speed: float | None, first: int) -> Progress:
        steps = self.stage.steps
        begin = self.history.steps - steps
        last = self.best.get("last")
        return Progress(self.history.digest, self.step - begin, steps, speed, last, first - begin)

    def _accuracy(self, side: Side, images: Part) -> Accuracy:
        return self._answers(side, images).accuracy

    def _answers(self, side: Side, images: Part) -> Answers:
        found = answers(side.network, evaluation_batches(images, self.history.data, self.device))
        if not math.isfinite(found.accuracy.loss):
            raise NotFinite(
                f"the {side.name}'s loss on images that it was not trained on became "
                f"{found.accuracy.loss} at step {self.step}: lower the learning rate"
            )
        return found

    def _write_metrics(self) -> None:
        """One line: what was learned since the last, and where the held-out images stand."""
        self.window.require_finite(self.step)
        if self.leads:
            line = self._line()
            self.claim.check()
            self.metrics_length = self.record.append_metrics(line)
        self.window = Window()

    def _line(self) -> dict[str, Any]:
        factor = learning_rate_factor(self.step - 1, self.recipe)
        line: dict[str, Any] = {
            "step": self.step,
            "phase": self.history.parts[-1].phase.name,
            "losses": self.window.means(),
            "learning_rate": factor * self.recipe.learning_rate,
            "seconds": self.window.seconds,
            "images_per_second": self.window.steps * self.recipe.batch / self.window.seconds,
            "intervals": _intervals(self.student),
            "floor_hits": int(self.student.floor_hits),
        }
        if self.history.data.held_out:
            line["student"] = self._accuracy(self.student, self.held_out).as_json()
            self._keep_best(line["student"]["top1"])
            if self.teacher is not None and self.teacher.optimiser is not None:
                line["teacher"] = self._accuracy(self.teacher, self.held_out).as_json()
                line["teacher_learning_rate"] = (
                    line["learning_rate"] * self.teacher.learning_rate_factor
                )
        return line

    def _keep_best(self, top1: float) -> None:
        self.best["last"] = top1
        if self.best["top1"] is None or top1 > self.best["top1"]:
            self.best |= {"top1": top1, "step": self.step}

    def _save(self) -> str:
        """A checkpoint, unless a number is not finite or the claim is lost; returns its sha256."""
        self.window.require_finite(self.step)
        trained = self.teacher if self.teacher and self.teacher.optimiser else None
        for side in (self.student, trained):
            if side is not None:
                side.require_finite(self.step)
        self.claim.check()
        return checkpoint.save(
            self.record.checkpoint_file,
            {
                "digest": self.history.digest,
                "step": self.step,
                "student": checkpoint.side_state(self.student),
                "teacher": checkpoint.side_state(trained) if trained else None,
                "window": self.window.state(),
                "best": dict(self.best),
                "seconds": self.seconds,
                "wall_seconds": self._wall(),
                "compile": self.runtime.compile,
                "parts": self.parts,
                "compile_seconds": self.compile_seconds,
                "metrics_length": self.metrics_length,
                "left_out": self.left_out.state(),
            },
        )

    def _finish(self) -> None:
        """The last save, the test set once, and result.json, which makes the stage done."""
        sha256 = self._save()
        tested = self._answers(self.student, self.test)
        result: dict[str, Any] = {
            "steps": self.history.steps,
            "trained_steps": self.stage.steps,
            "student": tested.as_json(),
            "held_out": dict(self.best),
            "seconds": self.seconds,
            "compile_seconds": self.compile_seconds,
            "images_per_second": self.stage.steps * self.recipe.batch / self.seconds,
            "floor_hits": int(self.student.floor_hits),
            "peak_memory_mib": _peak_memory(),
            "checkpoint_sha256": sha256,
            "checkpoint_bytes": self.record.checkpoint_file.stat().st_size,
        }
        if self.teacher is not None and self.teacher.optimiser is not None:
            result["teacher"] = self._accuracy(self.teacher, self.test).as_json()
        result |= self.left_out.as_json(len(self.test.labels) - tested.accuracy.images)
        result |= cost_or_reason(self.student.network, self.test.shape)
        if self.is_quantized:
            result |= evidence(self.student.network, self.test, self.history.data, tested)
        result["wall_seconds"] = self._wall()
        log(self.record, f"done: test top-1 {result['student']['top1']:.2f} %")
        self.claim.check()
        if self.is_quantized:
            keep_after(self.record, self.student.network)
        self.record.write_json(self.record.result_file, result)

    def _wall(self) -> float:
        """Seconds of the stage so far: loading, training, evaluation, saving."""
        return self._wall_before + time.monotonic() - self._began


def _peak_memory() -> float:
    """The most memory that this process has held, in MiB (macOS counts bytes, Linux KiB)."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _intervals(side: Side) -> dict[str, float]:
    weights, activations = interval_parameters(side.network)
    parameters = weights | activations
    return {name: float(p.detach()) for name, p in parameters.items() if p.numel() == 1}


def log(record: Record, text: str) -> None:
    """A line of log.txt, with the time."""
    with record.log_file.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text.rstrip()}\n")
