"""python -m benchmarks.repeatability.train DIGEST FILE: one training, in this process' arithmetic.

Started by the command with the variables of an instruction set, which torch reads once.
"""

import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch
from msgspec import structs
from numpy.typing import NDArray

from benchmarks.repeatability.cells import cells_of
from benchmarks.settings import Settings, from_environment
from qkd.data.batches import evaluation_batches, training_batches
from qkd.data.cache import load
from qkd.measures.evaluate import answers
from qkd.records.files import write_atomically
from qkd.records.record import store_of
from qkd.records.schema import Place
from qkd.spec import Stage
from qkd.spec.value import decode, encode
from qkd.training import environment
from qkd.training.begin import student_at_start
from qkd.training.checkpoint import weights_sha256
from qkd.training.runtime import Runtime
from qkd.training.step import train_step


class Trained(NamedTuple):
    """What a training leaves: where it ran, in percent how often it is right, the classes that it
    answers, uint8 (images,), and its parameters, float32 (all of them,)."""

    place: Place
    top1: float
    weights_sha256: str
    predictions: NDArray[numpy.uint8]
    weights: NDArray[numpy.float32]


def train(settings: Settings, digest: str) -> Trained:
    """Trains the cell whose history has this digest: the very steps of a launch, and its test."""
    history = next(c.history for c in cells_of(settings) if c.history.digest == digest)
    runtime = Runtime(data=str(settings.data.resolve()), device="cpu")
    device = environment.set_up(runtime)
    stage = Stage(history=history, steps=history.steps)
    split = load(history.data, settings.data)
    batches = training_batches(
        history.data, split.train, history.draws, history.recipe.batch, device
    )
    student = student_at_start(stage, store_of(settings.results), batches, device)
    for step in range(history.steps):
        train_step(
            student,
            None,
            *batches.batch(step),
            recipe=history.recipe,
            seed=history.draws,
            step=step,
        )
    student.require_finite(history.steps)
    found = answers(student.network, evaluation_batches(split.test, history.data, device))
    parameters = [p.detach().reshape(-1) for p in student.network.parameters()]
    return Trained(
        environment.place(runtime, device),
        found.accuracy.top1,
        weights_sha256(student.network.state_dict()),
        found.predictions.numpy().astype(numpy.uint8),
        torch.cat(parameters).numpy(),
    )


def keep(trained: Trained, path: Path) -> None:
    """Writes it, whole or not at all."""
    buffer = io.BytesIO()
    fields: dict[str, Any] = trained._asdict()
    numpy.savez_compressed(buffer, **fields | {"place": encode(trained.place).decode()})
    write_atomically(path, buffer.getvalue())


def kept(path: Path) -> Trained | None:
    """What an earlier run left; None where there is nothing, or it is damaged or of elsewhere."""
    try:
        with numpy.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            trained = Trained(
                decode(str(file["place"]).encode(), Place),
                float(file["top1"]),
                str(file["weights_sha256"]),
                file["predictions"],
                file["weights"],
            )
    except Exception:  # a damaged file raises what it makes zipfile, zlib and numpy raise
        return None
    return trained if _without_set(trained.place) == _here() else None


def _here() -> Place:
    runtime = Runtime(device="cpu")
    return _without_set(environment.place(runtime, torch.device("cpu")))


def _without_set(place: Place) -> Place:
    return structs.replace(place, capability="")


def main() -> None:
    """Trains one cell and keeps what came of it."""
    digest, path = sys.argv[1:]
    keep(train(from_environment(), digest), Path(path))


if __name__ == "__main__":
    main()
