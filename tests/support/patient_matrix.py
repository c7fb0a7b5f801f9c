"""A user's matrix whose stages take seconds, on synthetic images: time enough to disturb them."""

import os
import time

import torch

from benchmarks.matrix import Grid, Label, Matrix, Pair
from qkd.data.standard import SYNTHETIC
from qkd.losses import cross_entropy
from qkd.spec import Bits, Method, Network, Phase, Recipe, Share, Term


def net(width):
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, width, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(width, width, 1),
        torch.nn.Flatten(),
        torch.nn.Linear(49 * width, 10),
    )


def patient(logits, labels):
    time.sleep(float(os.environ.get("PATIENT_SECONDS", "0.4")))
    return cross_entropy(logits, labels)


def deadly(logits, labels):
    os._exit(3)


def method(name, first, second):
    """A phase of 20 steps with the first loss, which tests disturb, and one of 5 with the other."""
    shares = (
        Share(
            phase=Phase(name=f"{name}-{number}", student=(Term(loss=f"patient_matrix:{loss}"),)),
            epochs=epochs,
        )
        for number, (loss, epochs) in enumerate([(first, 160), (second, 40)])
    )
    return Method(name=name, shares=tuple(shares))


def matrix(scale, seeds):
    student, teacher = (
        Network(name=f"net{width}", factory="patient_matrix:net", arguments={"width": width})
        for width in (4, 8)
    )
    grid = Grid(
        pair=Pair(data=SYNTHETIC, student=student, teacher=teacher),
        bits=(Bits(weight=4, activation=4),),
        methods=(method("chain", "patient", "patient"), method("deadly", "deadly", "patient")),
        seeds=seeds,
        recipe=Recipe(horizon=25, log_every=5, batch=32),
    )
    return Matrix(name="patient", scale=scale, label=Label(title="Patient"), grids=(grid,))
