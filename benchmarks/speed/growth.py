"""How the cost of a step grows with width, depth, bits and batch; that of a matrix with cells."""

from collections.abc import Iterator

import torch
from msgspec.structs import replace

from benchmarks import ablation
from benchmarks.matrix import Matrix
from benchmarks.plan import plan
from benchmarks.speed.figures import Point
from benchmarks.speed.steps import Case, Step, quantized, step_of
from benchmarks.speed.timing import in_turn
from qkd.models.resnet_cifar import resnet
from qkd.spec import Bits, Method

ROUNDS = 7
DEPTH, WIDTH, BATCH, BITS = 14, 8, 64, 4
AXES: dict[str, tuple[int, ...]] = {
    "width": (4, 8, 16, 32),
    "depth": (8, 14, 20, 32),
    "batch": (32, 64, 128, 256),
    "bits": (2, 4, 8),
}


def growth(device: torch.device) -> Iterator[Point]:
    """Seconds of a quantized step on 28 x 28 images, as a ratio to ResNet-14 of width 8, W4A4,
    batch 64: one axis at a time.
    """
    base = _step(device)
    for axis, values in AXES.items():
        for value in values:
            times = in_turn(base, _step(device, **{axis: value}), ROUNDS)
            yield Point(axis=axis, value=str(value), ratio=sorted(times.ratios)[ROUNDS // 2])
    yield from _cells()


def _step(
    device: torch.device,
    *,
    width: int = WIDTH,
    depth: int = DEPTH,
    batch: int = BATCH,
    bits: int = BITS,
) -> Step:
    case = Case("ResNet", lambda: resnet(depth, width, 1), (batch, 1, 28, 28), 10)
    network = quantized(case, device, bits=Bits(weight=bits, activation=bits))
    return step_of(network, case, device)


def _cells() -> Iterator[Point]:
    """The planned cost of the ablation's first methods, with and without sharing, in runs of plain
    QAT: counted, not timed.
    """
    matrix = ablation.matrix("paper", (0,))
    grid = matrix.grids[0]
    quantized_methods = [m for m in grid.methods if m.quantizer is not None]
    unit = _cost(replace(matrix, grids=(replace(grid, methods=_named(grid.methods, "qat")),)))[0]
    for count in range(1, len(quantized_methods) + 1):
        methods = tuple(quantized_methods[:count])
        shared, alone = _cost(replace(matrix, grids=(replace(grid, methods=methods),)))
        yield Point(axis="cells, shared", value=str(count), ratio=shared / unit)
        yield Point(axis="cells, each alone", value=str(count), ratio=alone / unit)


def _named(methods: tuple[Method, ...], name: str) -> tuple[Method, ...]:
    return tuple(method for method in methods if method.name == name)


def _cost(matrix: Matrix) -> tuple[int, int]:
    """Multiply-accumulates of the union and of the sum, pre-training aside."""
    found = plan(matrix.cells())
    before = sum(p.macs for p in found.stages.values() if not p.parents)
    return found.macs - before, found.unshared_macs - before
