"""Plain KD once another stage has asked the same teacher: its logits come from a file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.speed.figures import Figure
from benchmarks.speed.steps import (
    CASES,
    TEACHER,
    Case,
    Step,
    network_of,
    quantized,
    side_of,
    step_of,
)
from benchmarks.speed.timing import ROUNDS, WARM_UP, in_turn
from qkd.data.batching import ALL
from qkd.data.standard import CIFAR10
from qkd.phases import TUTORING
from qkd.records.logits import LogitsFile, Source
from qkd.spec import Network
from qkd.training.folding import fold
from qkd.training.kept import KeptTeacher
from qkd.training.step import Side

GOAL = 1.10
SHA256 = "0" * 64  # of no history: the teacher's weights are random


class Same:
    """The same batch at every step, as a timed step has it."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.steps_per_epoch = 1
        self.shape = case.shape[1:]
        self._batch = case.batch(device)

    def batch(self, step: int, share: slice = ALL) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Images and labels."""
        images, labels = self._batch
        return images[share], labels[share]


def kept_logits(device: torch.device, rounds: int = ROUNDS) -> Iterator[Figure]:
    """Tutoring by logits that are there already against plain QAT, the same student."""
    student = CASES[0]
    with tempfile.TemporaryDirectory(prefix="logits-") as folder:
        steps = range(WARM_UP + rounds)
        first = _teacher(Path(folder), device, steps)
        images = student.batch(device)[0]
        for step in steps:
            first.forward(images, 0, step)
        second = _teacher(Path(folder), device, steps)
        step_by_file = Step(
            side_of(quantized(student, device), TUTORING), second, student.batch(device)
        )
        base = step_of(quantized(student, device), student, device)
        times = in_turn(base, step_by_file, rounds)
        if second.read != len(steps):
            raise RuntimeError(f"{second.read} of {len(steps)} steps took logits from the file")
    name = f"plain KD from a teacher's second use on, {student.name} <- {TEACHER.name}"
    yield times.figure("phases", name, GOAL, "against plain QAT")


def _teacher(folder: Path, device: torch.device, steps: range) -> KeptTeacher:
    case = CASES[0]
    source = Source(
        network=Network(name=TEACHER.name, factory="qkd.models.resnet_cifar:resnet"),
        start=SHA256,
        data=CIFAR10,
        draws=0,
        batch=case.shape[0],
    )
    network = fold(network_of(TEACHER, device)).to(memory_format=torch.channels_last)
    return KeptTeacher(
        Side("teacher", network),
        LogitsFile(folder, source, "of this very process"),
        Same(case, device),
        source=source,
        steps=steps,
        say=print,
    )
