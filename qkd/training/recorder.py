"""What a stage at work leaves behind: lines of metrics, saves, and at its end the result."""

import resource
import sys
import time
from typing import Any, NamedTuple

import msgspec
import torch

from qkd.data.batches import Batches, evaluation_batches
from qkd.data.photos.files import LeftOutCounter, Part
from qkd.measures.batch_norms import parts_of, reestimated
from qkd.measures.cost import cost_or_reason
from qkd.measures.evaluate import Answers, answers
from qkd.measures.evidence import audited, proven
from qkd.measures.histograms import keep_after, keep_before
from qkd.measures.remarks import idle_levels, remarks
from qkd.quantizers.quantize import interval_parameters
from qkd.records.code import keep_code
from qkd.records.lock import Hold
from qkd.records.record import Record
from qkd.records.schema import Accuracy, HeldOut, Line, Place, Result
from qkd.schedules import learning_rate_factor
from qkd.spec import Stage
from qkd.training import checkpoint, distributed
from qkd.training.runtime import Runtime
from qkd.training.step import Side, Sides
from qkd.training.window import NotFinite, Window


class Images(NamedTuple):
    """What is trained and evaluated on, and what could not be decoded."""

    trained_on: Batches
    held_out: Part
    test: Part
    left_out: LeftOutCounter
    device: torch.device


class Recorder:
    """Keeps count of a stage's work, and writes it into the record.

    Of several ranks each has one, so that all count alike; the first alone evaluates and writes.

    Args:
        stage: what is trained.
        record: its directory.
        lock: the stage's lock, which is checked before each write.
        runtime: as the stage is trained.
        parts: into how many parts its batches were cut, so far and now.
        places: what trained it, so far and now.
        images: what is trained and evaluated on.
        began: time.monotonic() when this process took up the stage.
    """

    def __init__(
        self,
        stage: Stage,
        record: Record,
        lock: Hold,
        runtime: Runtime,
        *,
        parts: list[int],
        places: list[Place],
        images: Images,
        began: float,
    ) -> None:
        self.stage, self.record, self.lock, self.runtime = stage, record, lock, runtime
        self.history, self.recipe = stage.history, stage.history.recipe
        self.parts, self.places, self.images = parts, places, images
        self.leads = distributed.leads()
        self.window = Window()
        self.best: dict[str, Any] = {"top1": None, "step": None}
        self.seconds = self.compile_seconds = self._wall_before = 0.0
        self._began = began
        self._read_before = 0
        self._metrics_length = 0

    def restore(self, own: dict[str, Any] | None, past: dict[str, Any] | None) -> None:
        """Takes up the counts of ``own``, this stage's checkpoint, or goes on with those of
        ``past``, the one before it: what was not yet written, and the best so far."""
        if past is not None:
            self.window, self.best = Window(past["window"]), past["best"]
        if own is not None:
            self.seconds = own["seconds"]
            self.compile_seconds = own.get("compile_seconds", 0.0)
            self._wall_before = own.get("wall_seconds", 0.0)
            self._metrics_length = own["metrics_length"]
            self._read_before = own.get("logits_read", 0)
            if "left_out" in own:
                self.images.left_out.restore(own["left_out"])
        if self.leads:
            self.record.cut_metrics(self._metrics_length)
            if own is not None:
                log(self.record, f"goes on at step {own['step']} of {self.history.steps}")

    def keep_weights_before(self, student: Side) -> None:
        """Writes where a quantized student's weights lie before its first step, and what is to be
        said of how it is quantized."""
        if self.leads and self._is_quantized:
            keep_before(self.record, student.network)
            for said in remarks(student.network):
                log(self.record, said)

    def count(self, losses: dict[str, torch.Tensor], seconds: float, *, compiles: bool) -> None:
        """One step more: its loss terms, and how long it took."""
        self.window.add(losses)
        self.window.seconds += seconds
        self.seconds += seconds
        if compiles:
            self.compile_seconds += seconds

    def write_metrics(self, step: int, sides: Sides) -> None:
        """One line: what was learned since the last, and where the held-out images stand."""
        self.window.require_finite(step)
        if self.leads:
            line = self._line(step, sides)
            self.lock.check()
            self._metrics_length = self.record.append_metrics(line)
        self.window = Window()

    def save(self, step: int, sides: Sides) -> str:
        """A checkpoint, unless a number is not finite or the lock is lost; returns its sha256."""
        self.window.require_finite(step)
        for side in sides.learning:
            side.require_finite(step)
        self.lock.check()
        teacher = sides.learning_teacher
        return checkpoint.save(
            self.record.checkpoint_file,
            {
                "digest": self.history.digest,
                "step": step,
                "student": checkpoint.side_state(sides.student),
                "teacher": checkpoint.side_state(teacher) if teacher else None,
                "window": self.window.state(),
                "best": dict(self.best),
                "seconds": self.seconds,
                "wall_seconds": self._wall(),
                "compile": self.runtime.compile,
                "parts": self.parts,
                "places": msgspec.to_builtins(self.places),
                "compile_seconds": self.compile_seconds,
                "metrics_length": self._metrics_length,
                "left_out": self.images.left_out.state(),
                "logits_read": self._read(sides),
            },
        )

    def finish(self, sides: Sides) -> None:
        """The last save, the test set once, and result.json, which makes the stage done."""
        sha256 = self.save(self.history.steps, sides)
        result = self._result(sides, sha256)
        log(self.record, f"done: test top-1 {result.student.top1:.2f} %")
        self.lock.check()
        if self._is_quantized:
            keep_after(self.record, sides.student.network)
        keep_code(self.record, self.history, goes_on=True)  # with what was imported late
        self.record.write(self.record.result_file, result)

    def _result(self, sides: Sides, sha256: str) -> Result:
        network, teacher, test = sides.student.network, sides.learning_teacher, self.images.test
        steps, quantization = self.history.steps, self.history.student.quantization
        tested = self._answers(sides.student, test, steps)
        missed = len(test.labels) - tested.accuracy.images
        left_out = self.images.left_out.counted(missed)  # before training images are read again
        proofs = audited(network, test, self.history.data) if self._is_quantized else {}
        for said in idle_levels(proofs.get("audit", ())):
            log(self.record, said)
        ends_here = self.history.digest not in self.runtime.unproven
        if self._is_quantized and ends_here:
            proofs |= proven(network, test, self.history.data, tested)
        return Result(
            steps=steps,
            trained_steps=self.stage.steps,
            student=tested.scored,
            teacher=self._answers(teacher, test, steps).accuracy if teacher else None,
            reestimated_training=self._reestimated(network) if ends_here else None,
            held_out=HeldOut(**self.best),
            seconds=self.seconds,
            compile_seconds=self.compile_seconds,
            logits_read=self._read(sides) or None,
            images_per_second=self.stage.steps * self.recipe.batch / self.seconds,
            floor_hits=int(sides.student.floor_hits),
            peak_memory_mib=_peak_memory(),
            checkpoint_sha256=sha256,
            checkpoint_bytes=self.record.checkpoint_file.stat().st_size,
            weights_sha256=checkpoint.weights_sha256(network.state_dict()),
            teacher_weights_sha256=(
                checkpoint.weights_sha256(teacher.network.state_dict()) if teacher else ""
            ),
            left_out=left_out,
            **cost_or_reason(network, test.shape, quantization.bits if quantization else None),
            **proofs,
            wall_seconds=self._wall(),
        )

    def _reestimated(self, network: torch.nn.Module) -> Accuracy | None:
        images, data = self.images, self.history.data
        parts = parts_of(self.recipe, distributed.world(), self.runtime.micro_batches)
        return reestimated(
            network, images.trained_on, self.history.steps, images.test, data, parts=parts
        )

    def _line(self, step: int, sides: Sides) -> Line:
        rate = learning_rate_factor(step - 1, self.recipe) * self.recipe.learning_rate
        line = Line(
            step=step,
            phase=self.history.parts[-1].phase.name,
            losses=self.window.means(),
            learning_rate=rate,
            seconds=self.window.seconds,
            images_per_second=self.window.steps * self.recipe.batch / self.window.seconds,
            intervals=_intervals(sides.student),
            floor_hits=int(sides.student.floor_hits),
        )
        if not self.history.data.held_out:
            return line
        student = self._answers(sides.student, self.images.held_out, step).accuracy
        self._keep_best(student.top1, step)
        teacher = sides.learning_teacher
        if teacher is None:
            return msgspec.structs.replace(line, student=student)
        return msgspec.structs.replace(
            line,
            student=student,
            teacher=self._answers(teacher, self.images.held_out, step).accuracy,
            teacher_learning_rate=rate * teacher.learning_rate_factor,
        )

    def _answers(self, side: Side, images: Part, step: int) -> Answers:
        batches = evaluation_batches(images, self.history.data, self.images.device)
        try:
            return answers(side.network, batches)
        except FloatingPointError as error:
            raise NotFinite(
                f"{side.name}: {error} at step {step}: lower the learning rate"
            ) from error

    def _keep_best(self, top1: float, step: int) -> None:
        self.best["last"] = top1
        if self.best["top1"] is None or top1 > self.best["top1"]:
            self.best |= {"top1": top1, "step": step}

    @property
    def _is_quantized(self) -> bool:
        return self.history.student.quantization is not None

    def _read(self, sides: Sides) -> int:
        """Steps so far whose frozen teacher's logits came from a file."""
        return self._read_before + (sides.teacher.read if sides.teacher else 0)

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
