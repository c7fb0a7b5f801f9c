"""What a step draws, and which tensors of a network may be infinite."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from qkd.phases import SELF_STUDY
from qkd.training.step import Side, optimiser_of
from qkd.training.window import NotFinite
from tests.qkd.training.test_step import RECIPE, batch_of, dropping


class Drawing(nn.Module):
    """Adds what one of the generators draws."""

    def __init__(self, draw):
        super().__init__()
        self.linear, self.draw = nn.Linear(256, 10), draw

    def forward(self, x):
        return self.linear(x.flatten(1)) + self.draw()


@pytest.mark.parametrize("draw", [random.random, np.random.rand])
def test_what_python_and_numpy_draw_hangs_on_seed_step_side_and_part_alone(draw):
    torch.manual_seed(0)
    network, images = Drawing(draw), batch_of(0)[0]
    student, teacher = (
        Side(name, network, optimiser_of(network, RECIPE), SELF_STUDY.student)
        for name in ("student", "teacher")
    )

    def drawn(side, *where):
        before = draw()
        random.seed(before)
        np.random.seed(int(before * 1000))
        expected = draw()
        random.seed(before)
        np.random.seed(int(before * 1000))
        logits = side.forward(images, *where)
        assert draw() == expected  # it took nothing from anybody else
        return float(logits.detach().sum())

    assert drawn(student, 3, 7) == drawn(student, 3, 7)
    others = [drawn(student, 3, 8), drawn(student, 4, 7), drawn(student, 3, 7, 1)]
    assert len({drawn(student, 3, 7), drawn(teacher, 3, 7), *others}) == 5


def test_a_mask_of_infinities_is_no_news_and_what_becomes_of_other_tensors_is():
    network = dropping()
    network.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    network.register_buffer("mean", torch.zeros(2))
    student = Side("student", network, optimiser_of(network, RECIPE), SELF_STUDY.student)
    student.require_finite(1)
    network.mean[0] = torch.inf
    with pytest.raises(NotFinite, match="mean of the student is not finite after step 2"):
        student.require_finite(2)
    network.mean[0] = 0
    network.mask[0] = torch.nan
    with pytest.raises(NotFinite, match="mask of the student"):
        student.require_finite(3)
