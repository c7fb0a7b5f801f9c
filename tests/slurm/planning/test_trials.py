"""Every network of a plan is tried before anything is trained."""

import pytest

from benchmarks.matrix import Grid, Label, Matrix
from benchmarks.pairs import Priced, pretrained_pair
from benchmarks.plan import plan
from benchmarks.settings import from_environment
from qkd.data.standard import SYNTHETIC
from qkd.imports import load_file
from qkd.phases import CROSS_ENTROPY, RUN_EPOCHS, qkd
from qkd.records.record import Store
from qkd.spec import Bits, Hook, Method, Network, Phase, Recipe, Share, Term
from slurm.planning.trials import try_networks
from slurm.planning.work import Work

NETWORKS = """
import torch
from torch import nn

def wider(width):
    return [] if width == 2 else [nn.Linear(2, width), nn.ReLU()]

class Net(nn.Sequential):
    def __init__(self, kind="", classes=10, width=2):
        super().__init__(
            nn.Conv2d(1, 2, 3, 8, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 2),
            nn.BatchNorm2d(2), nn.Flatten(), *wider(width), nn.Linear(width, classes),
        )
        self.kind = kind

    def forward(self, x):
        logits = super().forward(x)
        if self.kind == "tuple" and self.training:
            return logits, logits
        return logits
"""


def work_of(runtime, folder, student, teacher=None, micro_batches=1, method=None, **given):
    """A plan of QKD, or a method, with these arguments of the networks and variables."""
    networks = (
        Network(name=name, factory="tried_networks:Net", arguments=arguments)
        for name, arguments in (("small", student), ("large", teacher or {}))
    )
    pair = pretrained_pair(
        *(Priced(one, 100) for one in networks), SYNTHETIC, steps=20, log_every=20, batch=32
    )
    grid = Grid(
        pair=pair,
        bits=(Bits(weight=2, activation=2),),
        methods=(method or qkd(),),
        seeds=(0,),
        recipe=Recipe(horizon=20, log_every=20, batch=32),
    )
    matrix = Matrix(name="tried", scale="smoke", label=Label(title="t"), grids=(grid,), numerics=2)
    planned = plan(matrix.cells())
    named = {"QKD_DATA": runtime.data, "QKD_MICROBATCHES": str(micro_batches), **given}
    settings = from_environment(named)
    return Work(settings, matrix, planned, planned, Store(folder))


@pytest.fixture
def networks(user_file):
    load_file(user_file("tried_networks.py", NETWORKS))


def test_networks_that_fit_pass(networks, runtime, tmp_path):
    try_networks(work_of(runtime, tmp_path, {}))


@pytest.mark.parametrize(
    ("student", "teacher", "parts", "says"),
    [
        ({"kind": "tuple"}, {}, 1, "the network small: in training it gives a tuple"),
        ({}, {"kind": "tuple"}, 1, "the network large: in training it gives a tuple"),
        ({"classes": 7}, {}, 1, "the network small: it tells 7 classes apart, where the data have"),
        ({"classes": 12}, {}, 1, "small tells 12 classes apart, its teacher large 10"),
        ({}, {}, 32, r"in training \(a part of a batch is 1 image\) it raises ValueError: Expect"),
    ],
)
def test_a_network_that_would_stop_hours_later_is_named(
    student, teacher, parts, says, networks, runtime, tmp_path
):
    with pytest.raises(ValueError, match=says) as error:
        try_networks(work_of(runtime, tmp_path, student, teacher, parts))
    assert "\n" not in str(error.value)


QFD = Term(loss="baselines.qfd:quantized_features", target="features")
NONE = Hook(hook="baselines.freezing:IterativeFreezing", options={"max_bits": 1})


def method_of(*terms, after_step=()):
    phase = Phase(name="p", student=(CROSS_ENTROPY, *terms), after_step=after_step)
    return Method(name="m", shares=(Share(phase=phase, epochs=RUN_EPOCHS),))


@pytest.mark.parametrize(
    ("method", "teacher", "given", "says"),
    [
        (method_of(QFD), {"width": 5}, {}, "the phase p of small: .* there is no projection"),
        (method_of(QFD), {}, {"QKD_COMPILE": "1"}, "compiled steps and several ranks do not show"),
        (method_of(after_step=(NONE,)), {}, {}, "the phase p of small: freezing is of weights of"),
    ],
)
def test_a_phase_whose_features_or_hooks_are_not_there_is_named(
    method, teacher, given, says, networks, runtime, tmp_path
):
    with pytest.raises(ValueError, match=says) as error:
        try_networks(work_of(runtime, tmp_path, {}, teacher, method=method, **given))
    assert "\n" not in str(error.value)


def test_a_phase_whose_features_and_hooks_are_there_passes(networks, runtime, tmp_path):
    fits = Hook(hook="baselines.freezing:IterativeFreezing")
    work = work_of(runtime, tmp_path, {}, method=method_of(QFD, after_step=(fits,)))
    try_networks(work)
    with pytest.raises(ValueError, match="several ranks do not show"):
        try_networks(work, ranks=2)
