"""Training steps of the measured networks: in float, quantized, and as a peer does it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torchvision.models import mobilenet_v2, resnet18

from qkd.models.resnet_cifar import resnet
from qkd.phases import SELF_STUDY
from qkd.quantizers.quantize import quantize, quantized_layers, set_intervals
from qkd.spec import INTERVAL, Bits, Phase, Quantization, Recipe
from qkd.training.step import Side, interval_floors, optimiser_of, train_step

W4A4 = Bits(weight=4, activation=4)
# Small rates: the images are noise, and what is timed must not end in infinities.
RECIPE = Recipe(
    horizon=10_000,
    log_every=1,
    learning_rate=1e-4,
    weight_interval_learning_rate=1e-6,
    activation_interval_learning_rate=1e-6,
)


class Case(NamedTuple):
    """A network, the images of its batch (B, C, H, W), and its classes."""

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, int, int, int]
    classes: int

    def batch(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Noise, and random labels: what is timed does not depend on them."""
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(self.shape, generator=generator)
        labels = torch.randint(self.classes, self.shape[:1], generator=generator)
        return images.to(device, memory_format=torch.channels_last), labels.to(device)


CASES = (
    Case("ResNet-20", lambda: resnet(20), (64, 3, 32, 32), 10),
    Case("ResNet-18", resnet18, (8, 3, 112, 112), 1000),
    Case("MobileNetV2", mobilenet_v2, (8, 3, 112, 112), 1000),
)
LAPTOP = Case("ResNet-8 of width 8", lambda: resnet(8, 8, 1), (128, 1, 28, 28), 10)
TEACHER = Case("ResNet-56", lambda: resnet(56), (64, 3, 32, 32), 10)
GOALS = {"ResNet-20": 1.10, "ResNet-18": 1.10, "MobileNetV2": 1.28}


class Step:
    """One training step, which may be called again and again."""

    def __init__(self, student: Side, teacher: Side | None, batch: tuple[Tensor, Tensor]) -> None:
        self.student, self.teacher, self.batch = student, teacher, batch
        self._count = 0

    def __call__(self) -> None:
        """A step: forward, losses, backward, the optimiser, and the intervals' floors."""
        train_step(self.student, self.teacher, *self.batch, recipe=RECIPE, seed=0, step=self._count)
        self._count += 1


def network_of(case: Case, device: torch.device) -> nn.Module:
    """The case's network with random weights, as training holds it."""
    torch.manual_seed(0)
    return case.make().to(device).to(memory_format=torch.channels_last)


def side_of(network: nn.Module, phase: Phase = SELF_STUDY, name: str = "student") -> Side:
    """A side that learns by the phase's terms."""
    terms = phase.student if name == "student" else phase.teacher
    floors = interval_floors(network)
    return Side(name, network, optimiser_of(network, RECIPE), terms, floors=floors)


def quantized(
    case: Case, device: torch.device, quantizer: str = INTERVAL, bits: Bits = W4A4
) -> nn.Module:
    """The case's network quantized, its intervals set."""
    quantization = Quantization(bits=bits, quantizer=quantizer)
    network = quantize(network_of(case, device), quantization)
    network = network.to(device).to(memory_format=torch.channels_last)
    set_intervals(network, case.batch(device)[0], quantization)
    return network


def step_of(network: nn.Module, case: Case, device: torch.device) -> Step:
    """The step of a network that learns alone."""
    return Step(side_of(network), None, case.batch(device))


def lean(network: nn.Module) -> nn.Module:
    """The network, rounding again in its backward pass."""
    for _, layer in quantized_layers(network):
        layer.rounds_again = True
    return network


def kept_bytes(network: nn.Module, case: Case, device: torch.device) -> int:
    """Bytes that a training forward pass leaves allocated for its backward pass, weights aside.

    Counted by torch's allocator: whatever holds the memory, a graph or a function's closure.
    """
    images, labels = case.batch(device)
    network.train()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        loss = functional.cross_entropy(network(images), labels)
    del loss
    on_cpu = device.type == "cpu"
    return sum(
        event.self_cpu_memory_usage if on_cpu else event.self_device_memory_usage
        for event in profiled.key_averages()
    )
