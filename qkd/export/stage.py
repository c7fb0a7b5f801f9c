"""Writes a trained stage's networks in forms that others read, and checks what it wrote.

By itself: ``python -m qkd.export.stage STAGE``.
"""

import difflib
import hashlib
import json
import secrets
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from qkd.data.batches import evaluation_batches
from qkd.data.cache import load
from qkd.data.photos.files import Part
from qkd.export.onnx_graph import (
    INPUT,
    INSTALL,
    OPSET,
    NotExportable,
    in_one_line,
    onnx_bytes,
)
from qkd.measures.cost import as_packed
from qkd.quantizers.packed import Packed, encode
from qkd.records.code import changes, in_words
from qkd.records.files import printable, write_atomically
from qkd.records.record import BadRecord, Record, Store, store_of
from qkd.spec import History
from qkd.training.begin import ParentMissing, build, parent_checkpoint

FOLDER = "export"
STUDENT, PACKED = "student.safetensors", "student.packed.safetensors"
TEACHER, ONNX = "teacher.safetensors", "student.onnx"
MOST_IMAGES = 10_000
# Two ways to sum the same products round differently: codes on an edge flip, and flips cascade.
LEAST_AGREEMENT = 0.99


class ExportError(ValueError):
    """A stage that cannot be exported; the message says why."""


class Trained(NamedTuple):
    """A done stage: its student in eval mode, and its teacher's state where it trained one."""

    record: Record
    history: History
    student: nn.Module
    teacher: dict[str, Tensor] | None


def export(
    results: Path, named: str, data: Path, matrix_file: Path | None = None
) -> dict[str, Any]:
    """Writes ``results/export/<record>/`` for a stage; returns what its export.json says.

    ``student.onnx`` (see `onnx_graph`), which onnxruntime runs on the test images beside the
    network itself; ``student.packed.safetensors`` (see `packed`) of a quantized student;
    ``student.safetensors``, its float weights and its quantizers' parameters;
    ``teacher.safetensors`` where the stage trained one. A network that ONNX cannot hold leaves
    the others, and export.json says why.

    Args:
        results: the results folder.
        named: the stage's digest, or its record's name or folder.
        data: the folder of the data sets.
        matrix_file: a user's matrix that the stage names, loaded.

    Raises ExportError, BadRecord, BadCheckpoint and DataError, before anything is written.
    """
    subject = trained(store_of(results), named, matrix_file)
    test = _some(load(subject.history.data, data).test)
    files = _tensors(subject)
    told: dict[str, Any] = {"stage": subject.history.digest, "opset": OPSET}
    try:
        files[ONNX] = onnx_bytes(subject.student, test.shape)
        batches = evaluation_batches(test, subject.history.data, torch.device("cpu"))
        told["check"] = agreement(subject.student, files[ONNX], batches)
        _require_agreement(told["check"])
    except NotExportable as error:
        files.pop(ONNX, None)
        told["no_onnx"] = str(error)
    told["files"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    }
    folder = results / FOLDER / subject.record.path.name
    text = json.dumps(told, indent=2, sort_keys=True, allow_nan=False)
    _write(folder, {**files, "export.json": text.encode() + b"\n"})
    return {**told, "folder": str(folder)}


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """The folder with these files, in the place of an earlier one: whole or not at all."""
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    beside.mkdir(parents=True)
    try:
        for name, content in files.items():
            write_atomically(beside / name, content)
        away = beside.with_suffix(".old")
        if folder.exists():
            folder.rename(away)
        beside.rename(folder)
        shutil.rmtree(away, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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
    teacher = content["teacher"]
    network.to(memory_format=torch.contiguous_format)  # which every network computes in
    return Trained(record, history, network.eval(), teacher and teacher["network"])


def _tensors(subject: Trained) -> dict[str, bytes]:
    """The files of tensors, by name. Raises ExportError where the network is of no such kind."""
    files = {STUDENT: encode(Packed({}, subject.student.state_dict()))}
    if subject.history.student.quantization is not None:
        files[PACKED] = encode(as_packed(subject.student))
    if subject.teacher is not None:
        files[TEACHER] = encode(Packed({}, subject.teacher))
    return files


def _some(images: Part) -> Part:
    """At most MOST_IMAGES of the images, evenly spread: they lie in the order of their labels."""
    count = len(images.labels)
    chosen = np.linspace(0, count - 1, min(count, MOST_IMAGES)).round().astype(int)
    return images.part(chosen)


@torch.inference_mode()
def agreement(
    network: nn.Module, model: bytes, batches: Iterable[tuple[Tensor, Tensor]]
) -> dict[str, Any]:
    """Predictions of the network and of the ONNX model on the same images.

    Returns the number of images, the share of equal predictions, both top-1s in percent, and the
    largest difference between two logits. Raises NotExportable where onnxruntime is not installed
    or refuses the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise NotExportable(f"{error}: {INSTALL}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base but this
        raise NotExportable(f"onnxruntime refuses the network: {in_one_line(error)}") from error
    images = equal = right = right_onnx = 0
    largest = 0.0
    for pixels, labels in batches:
        logits = network(pixels)
        try:
            (found,) = session.run(None, {INPUT: pixels.numpy()})
        except Exception as error:  # likewise
            raise NotExportable(f"onnxruntime cannot run it: {in_one_line(error)}") from error
        logits_onnx = torch.from_numpy(found)
        prediction, prediction_onnx = logits.argmax(1), logits_onnx.argmax(1)
        images += len(labels)
        equal += int((prediction == prediction_onnx).sum())
        right += int((prediction == labels).sum())
        right_onnx += int((prediction_onnx == labels).sum())
        largest = max(largest, float((logits - logits_onnx).abs().max()))
    return {
        "images": images,
        "agreement": equal / images,
        "top1": 100 * right / images,
        "top1_onnx": 100 * right_onnx / images,
        "largest_difference": largest,
        "onnxruntime": onnxruntime.__version__,
    }


def _require_agreement(check: dict[str, Any]) -> None:
    """Raises NotExportable where onnxruntime computes something else than the network."""
    if check["agreement"] < LEAST_AGREEMENT:
        raise NotExportable(
            f"onnxruntime computes something else: {100 * check['agreement']:.2f} % of the "
            f"predictions on {check['images']:,} test images agree, top-1 {check['top1']:.2f} % "
            f"becomes {check['top1_onnx']:.2f} %"
        )


def tell(told: dict[str, Any]) -> int:
    """Prints what was exported; returns 1 where there is no ONNX."""
    for name, file in told["files"].items():
        print(f"{Path(told['folder']) / name}: {file['bytes']:,} bytes")
    if "no_onnx" in told:
        print(f"no {ONNX}: {printable(told['no_onnx'])}", file=sys.stderr)
        return 1
    check = told["check"]
    print(
        f"on {check['images']:,} test images {100 * check['agreement']:.2f} % of the predictions "
        f"agree: top-1 {check['top1']:.2f} %, by onnxruntime {check['top1_onnx']:.2f} %"
    )
    return 0
