"""A trained stage, found by name, with its networks."""

import difflib
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qkd.export.graph.tracing import in_one_line
from qkd.records.code import changes, in_words
from qkd.records.record import BadRecord, Record, Store
from qkd.spec import History
from qkd.training.begin import ParentMissing, build, parent_checkpoint


class ExportError(ValueError):
    """A stage that cannot be exported; the message says why."""


class Trained(NamedTuple):
    """A done stage: its student in eval mode, and its teacher's state where it trained one."""

    record: Record
    history: History
    student: nn.Module
    teacher: dict[str, Tensor] | None


def find(store: Store, named: str) -> Record:
    """The record of that digest, name or folder. Raises ExportError, which lists what is close."""
    records = store.records()
    for record in records:
        same_folder = named and Path(named).resolve() == record.path.resolve()
        if named in (record.digest, record.path.name) or same_folder:
            return record
    names = [record.path.name for record in records]
    digests = [record.digest for record in records]
    close = difflib.get_close_matches(Path(named).name, names + digests, cutoff=0.4)
    known = ", ".join(close or names[:3]) or "no stage at all"
    raise ExportError(
        f"STAGE={named} is no stage of {store.root}: it is a digest, or the name or folder of a "
        f"record, such as {known}"
    )


def trained(store: Store, named: str, matrix_file: Path | None = None) -> Trained:
    """The networks of a done stage, its checkpoint's sha256 verified.

    Raises ExportError where it is not done, its weights are gone, or it was trained with other
    code of the user's than there is now; BadRecord, BadCheckpoint.
    """
    record = find(store, named)
    changed = changes([record], matrix_file)
    if changed:
        raise ExportError(f"{in_words(changed)} with make status MATRIX=...")
    history = record.stage().history
    if history.digest != record.digest:
        raise BadRecord(f"{record.stage_file} is of the stage {history.digest}")
    try:
        content = parent_checkpoint(store, history)
    except ParentMissing as error:
        raise ExportError(f"only a done stage with its weights can be exported: {error}") from error
    try:
        network = build(history.student, history.seed, "weights", torch.device("cpu"))
        network.load_state_dict(content["student"]["network"])
    except Exception as error:  # the network may be anybody's
        raise ExportError(
            f"{record.path.name} cannot be built as it was trained: {in_one_line(error)}"
        ) from error
    network = network.eval().to(memory_format=torch.contiguous_format)
    teacher = content["teacher"]
    return Trained(record, history, network, teacher and teacher["network"])
