"""The measurements of `make speed`, each a group of figures."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import numpy as np
import torch

from benchmarks.speed.figures import Figure, judged
from benchmarks.speed.peers import peers
from benchmarks.speed.steps import (
    CASES,
    GOALS,
    LAPTOP,
    TEACHER,
    Case,
    Step,
    kept_bytes,
    lean,
    network_of,
    quantized,
    side_of,
    step_of,
)
from benchmarks.speed.timing import first_step, in_turn
from qkd.data.batches import TrainingBatches
from qkd.data.images import Images
from qkd.data.standard import FASHION_MNIST
from qkd.phases import CO_STUDY, TUTORING
from qkd.spec import INTERVAL, Data, Phase
from qkd.training.folding import fold
from qkd.training.step import Side

QUANTIZERS = {"interval": INTERVAL, "LSQ": "baselines.lsq:LSQ"}
COMPILED_GOAL = PHASE_GOAL = MEMORY_GOAL = 1.05
PIPELINE_GOAL = 20.0


def quantized_steps(device: torch.device) -> Iterator[Figure]:
    """A quantized training step against the float step of the same network, eager."""
    for case in CASES:
        for name, quantizer in QUANTIZERS.items():
            base = step_of(network_of(case, device), case, device)
            other = step_of(quantized(case, device, quantizer), case, device)
            times = in_turn(base, other)
            yield times.figure("quantized step", f"{case.name}, {name}", GOALS[case.name])


def lean_steps(device: torch.device) -> Iterator[Figure]:
    """LEAN=1: what is kept for the backward pass, and the time that this costs."""
    for case in CASES:
        kept = kept_bytes(network_of(case, device), case, device)
        for name, network, goal in (
            ("kept", quantized(case, device), None),
            ("LEAN=1", lean(quantized(case, device)), MEMORY_GOAL),
        ):
            number = kept_bytes(network, case, device)
            yield judged(
                Figure(
                    group="memory for the backward pass",
                    name=f"{case.name}, {name}",
                    ratio=number / kept,
                    goal=goal,
                    note=f"{number / 2**20:.0f} MiB for {kept / 2**20:.0f}",
                )
            )
        base = step_of(network_of(case, device), case, device)
        other = step_of(lean(quantized(case, device)), case, device)
        yield in_turn(base, other).figure("quantized step", f"{case.name}, interval, LEAN=1")


def compiled_steps(device: torch.device) -> Iterator[Figure]:
    """COMPILE=1: the quantized step against the float step, both compiled."""
    for case in CASES:
        base = step_of(network_of(case, device), case, device)
        other = step_of(quantized(case, device), case, device)
        eager = step_of(quantized(case, device), case, device)
        base.student.compile()
        other.student.compile()
        base()
        note = first_step(other)
        yield in_turn(base, other).figure("compiled step", case.name, COMPILED_GOAL, note)
        yield in_turn(eager, other).figure(
            "compiled step", f"{case.name}, against the eager quantized step"
        )


def phases(device: torch.device) -> Iterator[Figure]:
    """Tutoring and co-studying against the float steps that they cannot do without."""
    student = CASES[0]
    images = student.batch(device)[0]
    for phase in (TUTORING, CO_STUDY):
        trained = phase.trains_teacher
        base = step_of(network_of(student, device), student, device)
        if trained:
            other_base: Callable[[], object] = step_of(network_of(TEACHER, device), TEACHER, device)
        else:
            other_base = _forward(network_of(TEACHER, device).eval(), images)
        step = _with_teacher(student, phase, device)

        def both(one: Step = base, two: Callable[[], object] = other_base) -> None:
            one()
            two()

        name = f"{phase.name}, {student.name} <- {TEACHER.name}"
        yield in_turn(both, step).figure("phases", name, PHASE_GOAL)


def _forward(network: torch.nn.Module, images: torch.Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return network(images)

    return run


def _with_teacher(case: Case, phase: Phase, device: torch.device) -> Step:
    network = network_of(TEACHER, device)
    if phase.trains_teacher:
        teacher = side_of(network, phase, "teacher")
    else:
        teacher = Side("teacher", fold(network).to(memory_format=torch.channels_last))
    return Step(side_of(quantized(case, device), phase), teacher, case.batch(device))


def pipeline(device: torch.device) -> Iterator[Figure]:
    """Images a second of reading and augmenting, against those of the training step."""
    sets = {
        "Fashion-MNIST, ResNet-8 of width 8": (FASHION_MNIST, LAPTOP),
        "CIFAR's shape, ResNet-20": (_cifar_like(), CASES[0]),
    }
    for name, (data, case) in sets.items():
        batches = TrainingBatches(data, _noise(data, case), 0, case.shape[0], device)
        step = step_of(quantized(case, device), case, device)
        times = in_turn(partial(_next_batch, batches, count()), step)
        note = "times as many images a second as training"
        yield times.figure("data", name, PIPELINE_GOAL, note, better="higher")


def _next_batch(batches: TrainingBatches, steps: Iterator[int]) -> object:
    return batches.batch(next(steps))


def _cifar_like() -> Data:
    return Data(
        name="noise",
        reader="qkd.data.synthetic:read",
        train_images=50_000,
        classes=10,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )


def _noise(data: Data, case: Case) -> Images:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (data.train_images, *case.shape[1:]), dtype=np.uint8)
    return Images(images, generator.integers(0, data.classes, data.train_images))


def peer_steps(device: torch.device, skipped: dict[str, str]) -> Iterator[Figure]:
    """Other libraries' quantized steps against the float step, for comparison.

    What a library cannot do goes into ``skipped``, with its reason.
    """
    for case in CASES:
        for peer in peers()[0]:
            try:
                network = peer.prepare(network_of(case, device), case.batch(device)[0])
                other = step_of(network, case, device)
                times = in_turn(step_of(network_of(case, device), case, device), other)
            except Exception as error:  # a library's own limits: said, not hidden
                skipped[f"{case.name}, {peer.name}"] = f"{type(error).__name__}: {error}"[:300]
                continue
            yield times.figure("peers", f"{case.name}, {peer.name}")
