"""A stage in every form, tried by every consumer, written to ``results/export/<record>/``."""

import hashlib
import secrets
import shutil
from pathlib import Path

import numpy as np
import torch

from qkd.data.batches import evaluation_batches
from qkd.data.cache import load
from qkd.data.photos.files import Part
from qkd.export.choice import (
    CONSUMERS,
    ONNX_FILES,
    PACKED_FILE,
    STUDENT_FILE,
    TEACHER_FILE,
    graphs,
)
from qkd.export.compare import Compared, compare
from qkd.export.consumers import qonnx_executor
from qkd.export.consumers.session import first_line
from qkd.export.forms import tensors
from qkd.export.graph.layers import OPSET
from qkd.export.stage import Trained, trained
from qkd.export.told import FILE, FOLDER, Form, Told, Trial, Verdict
from qkd.measures.cost import cost
from qkd.records.files import write_atomically
from qkd.records.record import store_of
from qkd.spec.value import encode, validated

MOST_IMAGES = 10_000
# Of a batch, at most 100 images of CIFAR's size: every session keeps memory for one.
MOST_PIXELS = 100 * 3 * 32 * 32
COST = "qonnx's cost analysis"


def export(
    results: Path, named: str, data: Path, matrix_file: Path | None = None
) -> tuple[Told, Path]:
    """Writes a stage's export; returns what its export.json says, and the folder.

    The student in each form of a graph that it has (`qkd.export.choice`), which the installed
    consumers run on the test images; ``student.packed.safetensors`` of a quantized student;
    ``student.safetensors``, its float weights and its quantizers' parameters;
    ``teacher.safetensors`` where the stage trained one. A form that it cannot have, or that a
    consumer computes wrongly, leaves the others, and export.json says why.

    Args:
        results: the results folder.
        named: the stage's digest, or its record's name or folder.
        data: the folder of the data sets.
        matrix_file: a user's matrix that the stage names, loaded.

    Raises ExportError, BadRecord, BadCheckpoint and DataError, before anything is written.
    """
    subject = trained(store_of(results), named, matrix_file)
    test = _some(load(subject.history.data, data).test)
    channels, height, width = test.shape
    shape = (channels, height, width)
    made = graphs(subject.student, shape)
    compared = Compared(0, 0.0, 0.0, ())
    if made.files:
        batch = min(100, max(1, MOST_PIXELS // (channels * height * width)))
        batches = evaluation_batches(test, subject.history.data, torch.device("cpu"), batch)
        compared = compare(subject.student, made.files, CONSUMERS, batches)
    trials = compared.trials
    if "qonnx" in made.files:
        trials += _counted(subject, made.files["qonnx"], shape)
    bad = {trial.form: trial.note for trial in trials if trial.is_failure}
    files = {ONNX_FILES[name]: file for name, file in made.files.items() if name not in bad}
    forms = [
        _form(name, file, files.get(file), bad.get(name, made.refused.get(name, "")))
        for name, file in ONNX_FILES.items()
    ]
    for name, file, content in _of_tensors(subject):
        files[file] = content
        forms.append(_form(name, file, content, ""))
    told = validated(
        Told(
            stage=subject.history.digest,
            record=subject.record.path.name,
            opset=OPSET,
            images=compared.images,
            top1=compared.top1,
            rounding=compared.rounding,
            forms=tuple(forms),
            trials=trials,
        )
    )
    folder = results / FOLDER / subject.record.path.name
    _write(folder, files, told)
    return told, folder


def _form(name: str, file: str, content: bytes | None, refused: str) -> Form:
    if content is None:
        return Form(name=name, refused=refused)
    sha256 = hashlib.sha256(content).hexdigest()
    return Form(name=name, file=file, bytes=len(content), sha256=sha256)


def _of_tensors(subject: Trained) -> list[tuple[str, str, bytes]]:
    """Name, file and content of the forms that are files of tensors."""
    found = []
    if subject.history.student.quantization is not None:
        found.append(("packed", PACKED_FILE, tensors.packed(subject.student)))
    state = subject.student.state_dict()
    found.append(("safetensors", STUDENT_FILE, tensors.safetensors(state)))
    if subject.teacher is not None:
        found.append(("teacher", TEACHER_FILE, tensors.safetensors(subject.teacher)))
    return found


def _counted(subject: Trained, content: bytes, shape: tuple[int, int, int]) -> tuple[Trial, ...]:
    """Whether qonnx counts the multiply-accumulates and bits that the record does."""
    try:
        version, found = qonnx_executor.version(), qonnx_executor.counted(content)
    except ImportError:
        return ()  # its executor's trial says so
    except Exception as error:  # the library's: any
        return (Trial(form="qonnx", consumer=COST, verdict="refused", note=first_line(error)),)
    own = cost(subject.student, shape)
    same = (found.macs, found.bit_operations) == (own.macs, own.bit_operations)
    says = f"{found.macs:,} multiply-accumulates, {found.bit_operations:,} bit operations"
    note = says if same else f"{says}: they are {own.macs:,} and {own.bit_operations:,}"
    verdict: Verdict = "agrees" if same else "wrong"
    return (Trial(form="qonnx", consumer=COST, version=version, verdict=verdict, note=note),)


def _write(folder: Path, files: dict[str, bytes], told: Told) -> None:
    """The folder with these files, in the place of an earlier one: whole or not at all."""
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    beside.mkdir(parents=True)
    try:
        for name, content in {**files, FILE: encode(told)}.items():
            write_atomically(beside / name, content)
        away = beside.with_suffix(".old")
        if folder.exists():
            folder.rename(away)
        beside.rename(folder)
        shutil.rmtree(away, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _some(images: Part) -> Part:
    """At most MOST_IMAGES of the images, evenly spread and then mixed: they lie in the order of
    their labels, and a slow consumer sees the first ones only."""
    count = len(images.labels)
    chosen = np.linspace(0, count - 1, min(count, MOST_IMAGES)).round().astype(np.int64)
    return images.part(np.random.default_rng(0).permutation(chosen))
