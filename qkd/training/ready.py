"""Takes ready weights into a record, which others start from as from any pre-training."""

from pathlib import Path

from qkd.data.batches import evaluation_batches
from qkd.data.cache import load
from qkd.data.photos.files import left_out_of
from qkd.measures.cost import cost_or_reason
from qkd.measures.evaluate import evaluate
from qkd.models.layout import lay_out
from qkd.records.code import keep_code
from qkd.records.lock import Hold
from qkd.records.record import Record
from qkd.records.schema import HeldOut, Result
from qkd.spec import Stage
from qkd.training import checkpoint, environment
from qkd.training.begin import build
from qkd.training.recorder import log
from qkd.training.runtime import Runtime
from qkd.training.step import Side
from qkd.weights.reading import fill


def take_in(stage: Stage, record: Record, runtime: Runtime, lock: Hold) -> None:
    """Loads the weights that the stage's history names, tests them and writes the record.

    Nothing is trained: no steps, no seconds, no held-out images (nobody knows whether the weights
    have seen them). Raises BadWeights or DataError.
    """
    history = stage.history
    if history.student.weights is None:
        raise ValueError("a stage of no steps takes in ready weights, and this one names none")
    device = environment.set_up(runtime)
    record.open(stage)
    record.write(record.environment_file, environment.describe(runtime, device))
    network = build(history.student, history.seed, "weights", device)
    keep_code(record, history, goes_on=False)
    fill(network, history.student.weights, Path(runtime.data))
    test = load(history.data, Path(runtime.data), runtime.loaders).test
    lay_out(network, test.shape)
    accuracy = evaluate(network, evaluation_batches(test, history.data, device))
    lock.check()
    sha256 = checkpoint.save(
        record.checkpoint_file,
        {
            "digest": history.digest,
            "step": 0,
            "student": checkpoint.side_state(Side("student", network)),
            "teacher": None,
        },
    )
    result = Result(
        steps=0,
        trained_steps=0,
        student=accuracy,
        held_out=HeldOut(top1=None),
        seconds=0.0,
        images_per_second=0.0,
        checkpoint_sha256=sha256,
        checkpoint_bytes=record.checkpoint_file.stat().st_size,
        weights_sha256=checkpoint.weights_sha256(network.state_dict()),
        left_out=left_out_of(test).counted(len(test.labels) - accuracy.images),
        **cost_or_reason(network, test.shape),
    )
    log(record, f"done: test top-1 {accuracy.top1:.2f} %")
    lock.check()
    record.write(record.result_file, result)
