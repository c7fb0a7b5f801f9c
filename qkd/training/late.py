"""The integer proof of a stage that was trained without one, and its diagnostic."""

from pathlib import Path

import msgspec

from qkd.data.batches import evaluation_batches, training_batches
from qkd.data.cache import load
from qkd.measures.batch_norms import parts_of, reestimated
from qkd.measures.evaluate import answers
from qkd.measures.evidence import proven
from qkd.models.layout import lay_out
from qkd.records.code import require_imported
from qkd.records.lock import Hold
from qkd.records.record import Record
from qkd.records.schema import Environment, Result
from qkd.spec import Stage
from qkd.training import checkpoint, environment
from qkd.training.begin import build
from qkd.training.recorder import log
from qkd.training.runtime import Runtime


def prove_late(stage: Stage, record: Record, runtime: Runtime, lock: Hold) -> None:
    """Proves the student of the record's checkpoint, and adds that to its result alone, with what
    else is measured where a cell ends.

    Raises BadRecord, BadCheckpoint, CodeChanged or DataError.
    """
    history = stage.history
    result = record.read(record.result_file, Result)
    saved = checkpoint.load(record.checkpoint_file, history.digest, result.checkpoint_sha256)
    device = environment.set_up(runtime)
    require_imported([record])
    network = build(history.student, history.seed, "weights", device)
    network.load_state_dict(saved["student"]["network"])
    split = load(history.data, Path(runtime.data), runtime.loaders)
    lay_out(network, split.test.shape)
    tested = answers(network, evaluation_batches(split.test, history.data, device))
    proof = proven(network, split.test, history.data, tested)
    batches = training_batches(
        history.data, split.train, history.draws, history.recipe.batch, device
    )
    known = record.read(record.environment_file, Environment)
    parts = parts_of(history.recipe, known.ranks, known.micro_batches)
    again = reestimated(network, batches, history.steps, split.test, history.data, parts=parts)
    log(record, "proven from its checkpoint")
    lock.check()
    whole = msgspec.structs.replace(result, reestimated_training=again, **proof)
    record.write(record.result_file, whole)
    record.failed_file.unlink(missing_ok=True)
