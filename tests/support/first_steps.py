"""The first steps of every phase: a process of its own prints the sha256 of the weights.

python -m tests.support.first_steps [--portable] [NAME...]: a line of JSON for each of CASES.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from baselines.methods import QUANTIZERS
from qkd.data.batches import TrainingBatches
from qkd.data.readers import synthetic
from qkd.data.standard import SYNTHETIC
from qkd.models.mobilenet_cifar import mobilenet_v2
from qkd.models.resnet_cifar import resnet
from qkd.phases import CO_STUDY, PRE_TRAINING, SELF_STUDY, TUTORING
from qkd.quantizers.quantize import quantize, set_intervals
from qkd.spec import INTERVAL, Bits, Phase, Quantization, Recipe
from qkd.training.checkpoint import weights_sha256
from qkd.training.environment import set_up
from qkd.training.folding import fold
from qkd.training.runtime import Runtime
from qkd.training.step import Side, interval_floors, optimiser_of, train_step

CPU = torch.device("cpu")
STEPS = 2
# Small rates: what is not finite would tell nothing.
RECIPE = Recipe(
    horizon=60,
    log_every=5,
    learning_rate=1e-3,
    weight_interval_learning_rate=1e-5,
    activation_interval_learning_rate=1e-5,
)
EVERY = {"interval": INTERVAL, **QUANTIZERS}


class Case(NamedTuple):
    """Student and teacher, on images (channels, height, width); no ``shape``: synthetic ones."""

    student: Any
    teacher: Any
    quantizer: str
    bits: int = 2
    batch: int = 16
    shape: tuple[int, int, int] | None = None


def small_resnet(depth: int, width: int) -> Any:
    return lambda: resnet(depth, width, 1)


CASES = {
    **{
        f"resnet, {name}": Case(small_resnet(8, 4), small_resnet(8, 6), path)
        for name, path in EVERY.items()
    },
    **{
        f"mobilenetv2, {name}": Case(
            lambda: mobilenet_v2(0.25, 1), small_resnet(8, 6), path, bits=4, batch=8
        )
        for name, path in EVERY.items()
    },
    # Of the sizes that are trained, but for the batch: an emulated processor is slow.
    "the laptop's": Case(small_resnet(8, 8), small_resnet(20, 8), INTERVAL, 2, 16, (1, 28, 28)),
    "cifar's": Case(lambda: resnet(20), lambda: resnet(20), QUANTIZERS["lsq"], 4, 4, (3, 32, 32)),
}


class Noise:
    """Batches of noise, drawn as integers: the same on every machine."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        shape = (self._case.batch, *self._case.shape)
        pixels = torch.randint(256, shape, generator=generator)
        labels = torch.randint(10, shape[:1], generator=generator)
        return pixels.float().div(64).sub(2), labels


class Steps:
    """A case at work: each phase goes on from the one before."""

    def __init__(self, case: Case) -> None:
        self.recipe = RECIPE
        self.done = 0
        if case.shape is None:
            images = synthetic.read(Path()).train
            self.batches: Any = TrainingBatches(SYNTHETIC, images, 0, case.batch, CPU)
        else:
            self.batches = Noise(case)

    def train(self, student: Side, teacher: Side | None) -> None:
        for _ in range(STEPS):
            batch = self.batches.batch(self.done)
            train_step(student, teacher, *batch, recipe=self.recipe, seed=0, step=self.done)
            self.done += 1
        student.require_finite(self.done)

    def learner(self, name: str, network: nn.Module, phase: Phase) -> Side:
        terms, factor = phase.student, 1.0
        if name == "teacher":
            terms, factor = phase.teacher, phase.teacher_learning_rate
        optimiser = optimiser_of(network, self.recipe)
        return Side(name, network, optimiser, terms, factor, floors=interval_floors(network))


def begin(make: Any, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = make().to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.9  # statistics that two steps suffice for
    return network


def first_steps(case: Case) -> dict[str, str]:
    """The weights' sha256 after each phase, and that of what the student then answers."""
    steps, found = Steps(case), {}
    student, teacher = begin(case.student, 0), begin(case.teacher, 1)
    for name, network in (("student", student), ("teacher", teacher)):
        steps.train(steps.learner("student", network, PRE_TRAINING), None)
        found[f"{name} pre-trained"] = weights_sha256(network.state_dict())
    quantization = Quantization(
        bits=Bits(weight=case.bits, activation=case.bits), quantizer=case.quantizer
    )
    student = quantize(student, quantization).to(memory_format=torch.channels_last)
    set_intervals(student, steps.batches.batch(0)[0], quantization)
    found["calibrated"] = weights_sha256(student.state_dict())
    learner = steps.learner("student", student, SELF_STUDY)
    steps.train(learner, None)
    found["self-study"] = weights_sha256(student.state_dict())
    learner.terms = CO_STUDY.student
    steps.train(learner, steps.learner("teacher", teacher, CO_STUDY))
    found["co-study"] = weights_sha256(student.state_dict())
    found["co-study, teacher"] = weights_sha256(teacher.state_dict())
    learner.terms = TUTORING.student
    frozen = Side("teacher", fold(teacher).to(memory_format=torch.channels_last))
    steps.train(learner, frozen)
    found["tutoring"] = weights_sha256(student.state_dict())
    student.eval()
    with torch.no_grad():
        logits = student(steps.batches.batch(0)[0])
    found["logits"] = weights_sha256({"logits": logits})
    return found


def main() -> None:
    names = [one for one in sys.argv[1:] if one != "--portable"] or list(CASES)
    set_up(Runtime(portable="--portable" in sys.argv, device="cpu"))
    for name in names:
        print(json.dumps({name: first_steps(CASES[name])}), flush=True)


if __name__ == "__main__":
    main()
