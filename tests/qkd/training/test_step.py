import copy
import math

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from qkd.imports import load_file
from qkd.models.resnet_cifar import resnet
from qkd.phases import CO_STUDY, CROSS_ENTROPY, SELF_STUDY, TUTORING, distillation
from qkd.quantizers.quantize import interval_parameters, quantize, set_intervals
from qkd.schedules import cosine
from qkd.spec import Recipe, Term
from qkd.training.step import Side, interval_floors, optimiser_of, train_step
from qkd.training.window import NotFinite
from tests.support import small

RECIPE = Recipe(horizon=100, log_every=1, batch=16)


def batch_of(step, count=16):
    generator = torch.Generator().manual_seed(1000 + step)
    images = torch.randn(count, 1, 16, 16, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)


def student_of(phase, recipe=RECIPE):
    torch.manual_seed(0)
    network = quantize(resnet(8, 4, 1, 10), small.W2A2).to(memory_format=torch.channels_last)
    set_intervals(network, batch_of(0)[0], small.W2A2)
    optimiser = optimiser_of(network, recipe)
    return Side("student", network, optimiser, phase.student, floors=interval_floors(network))


def teacher_of(phase, recipe=RECIPE):
    torch.manual_seed(1)
    network = resnet(8, 6, 1, 10).to(memory_format=torch.channels_last)
    optimiser = optimiser_of(network, recipe) if phase.trains_teacher else None
    return Side(
        "teacher",
        network,
        optimiser,
        phase.teacher,
        learning_rate_factor=phase.teacher_learning_rate,
    )


def train(student, teacher, steps, recipe=RECIPE, seed=0):
    return [
        train_step(student, teacher, *batch_of(step), recipe=recipe, seed=seed, step=step)
        for step in range(steps)
    ]


def state_of(side):
    return {"network": dict(side.network.state_dict()), "optimiser": side.optimiser.state_dict()}


def test_distillation_of_weight_0_is_plain_qat_bit_for_bit():
    off = replace(TUTORING, student=(CROSS_ENTROPY, distillation(weight=0)))
    plain, distilled = student_of(SELF_STUDY), student_of(off)
    train(plain, None, 4)
    values = train(distilled, teacher_of(off), 4)
    assert small.same(state_of(distilled), state_of(plain))
    assert all(v["student_distillation"] > 0 for v in values)


def test_a_co_studied_student_is_a_tutored_one_where_the_teacher_learns_nothing():
    idle = replace(CO_STUDY, teacher_learning_rate=0.0)
    co_studied = student_of(idle)
    train(co_studied, teacher_of(idle), 1)
    # Of the first step only: a learning teacher's batch norms move even so.
    tutored = student_of(TUTORING)
    teacher = teacher_of(TUTORING)
    teacher.network.train()
    train(tutored, teacher, 1)
    assert small.same(state_of(co_studied), state_of(tutored))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def formula(own, other, labels, temperature=2.0):
    """dL/dz = (q - y) / B + T (q_T - p_T) / B, in float64."""
    own, other = own.double().numpy(), other.double().numpy()
    difference = softmax(own) - np.eye(10)[labels.numpy()]
    softened = softmax(own / temperature) - softmax(other / temperature)
    return torch.from_numpy((difference + temperature * softened) / len(own))


def test_in_co_study_each_side_gets_the_gradient_of_its_own_loss_and_no_other():
    student, teacher = student_of(CO_STUDY), teacher_of(CO_STUDY)
    images, labels = batch_of(0)
    images = images.to(memory_format=torch.channels_last)
    expected = {}
    networks = {"student": student.network, "teacher": teacher.network}
    copies = {name: copy.deepcopy(network) for name, network in networks.items()}
    logits = {name: network(images) for name, network in copies.items()}
    for name, other in (("student", "teacher"), ("teacher", "student")):
        gradient = formula(logits[name].detach(), logits[other].detach(), labels)
        logits[name].backward(gradient.float())
        expected[name] = {n: p.grad for n, p in copies[name].named_parameters()}
    before = {name: dict(copy.deepcopy(n).named_parameters()) for name, n in networks.items()}
    train_step(student, teacher, images, labels, recipe=RECIPE, seed=0, step=0)
    for side in (student, teacher):
        rates = {
            id(p): (group["lr"], group["weight_decay"])
            for group in side.optimiser.param_groups
            for p in group["params"]
        }
        for name, parameter in side.network.named_parameters():
            rate, decay = rates[id(parameter)]
            old = before[side.name][name]
            wanted = old - rate * (expected[side.name][name] + decay * old)
            torch.testing.assert_close(parameter, wanted, rtol=1e-4, atol=1e-7, msg=name)


PULL = """
def pull(own, other):
    assert own.requires_grad and not other.requires_grad
    return (own - other).square().mean()
"""


def test_the_other_sides_logits_are_detached_whatever_the_loss(user_file):
    load_file(user_file("pulling_loss.py", PULL))
    pull = Term(loss="pulling_loss:pull", target="peer")
    phase = replace(CO_STUDY, student=(pull,), teacher=(pull,))
    (values,) = train(student_of(phase), teacher_of(phase), 1)
    assert values["student_pull"] == values["teacher_pull"] > 0


@pytest.mark.parametrize("phase", [TUTORING, CO_STUDY])
def test_the_values_of_a_step_are_named_by_side_and_term(phase):
    (values,) = train(student_of(phase), teacher_of(phase), 1)
    names = {"student_cross_entropy", "student_distillation"}
    if phase == CO_STUDY:
        names |= {"teacher_cross_entropy", "teacher_distillation"}
    assert set(values) == names
    assert all(value.shape == () and not value.requires_grad for value in values.values())


def test_a_frozen_teacher_changes_in_nothing():
    teacher = teacher_of(TUTORING)
    before = copy.deepcopy(teacher.network.state_dict())
    train(student_of(TUTORING), teacher, 3)
    assert small.same(dict(teacher.network.state_dict()), dict(before))
    assert not any(module.training for module in teacher.network.modules())
    assert all(p.grad is None for p in teacher.network.parameters())


def test_the_learning_rates_and_the_weight_decay_of_each_parameter():
    recipe = replace(
        RECIPE,
        learning_rate=0.3,
        weight_interval_learning_rate=0.02,
        activation_interval_learning_rate=0.001,
        weight_decay=0.05,
        momentum=0.8,
    )
    network = student_of(SELF_STUDY).network
    optimiser = optimiser_of(network, recipe)
    names = {id(p): name for name, p in network.named_parameters()}
    found = {
        names[id(p)]: (group["initial_lr"], group["weight_decay"], group["momentum"])
        for group in optimiser.param_groups
        for p in group["params"]
    }
    assert set(found) == set(names.values())
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(found)
    for name, setting in found.items():
        expected = (0.3, 0.05, 0.8)  # weights, biases and batch norms
        if "weight_quantizer" in name:
            expected = (0.02, 0.0, 0.8)
        elif "input_quantizer" in name:
            expected = (0.001, 0.0, 0.8)
        assert setting == expected, name
    assert not any(g["nesterov"] or g["dampening"] for g in optimiser.param_groups)


class Scalar(nn.Module):
    """One weight w; the logits (w, 0) of every image."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def forward(self, x):
        return torch.stack([self.w, self.w * 0]).expand(len(x), 2)


def test_two_steps_of_sgd_by_hand():
    recipe = replace(RECIPE, horizon=2, learning_rate=0.1, weight_decay=0.5, momentum=0.9)
    network = Scalar()
    side = Side("student", network, optimiser_of(network, recipe), SELF_STUDY.student)
    images, labels = torch.zeros(3, 1, 1, 1), torch.zeros(3, dtype=torch.int64)
    w, velocity = 2.0, 0.0
    for step, factor in enumerate((1.0, 0.5)):  # (1 + cos 0) / 2, (1 + cos pi/2) / 2
        train_step(side, None, images, labels, recipe=recipe, seed=0, step=step)
        # d/dw -ln sigmoid(w) = sigmoid(w) - 1, and weight decay 0.5 w
        velocity = 0.9 * velocity + (1 / (1 + math.exp(-w)) - 1 + 0.5 * w)
        w -= 0.1 * factor * velocity
        assert network.w.item() == pytest.approx(w, rel=1e-12)
    # By hand: g1 = 0.880797 - 1 + 1 = 0.880797, w = 1.911920; g2 = 0.871247 - 1 + 0.955960
    # = 0.827207, v = 0.9 * 0.880797 + 0.827207 = 1.619924, w = 1.911920 - 0.05 * 1.619924
    assert network.w.item() == pytest.approx(1.830924, abs=2e-6)


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, 1.0), (25, (2 + math.sqrt(2)) / 4), (50, 0.5), (100, 0.0), (200, 0.0)],
)
def test_the_cosine_by_hand(step, factor):
    assert cosine(step, 100) == pytest.approx(factor, abs=1e-12)


def test_every_learning_rate_follows_the_cosine_and_the_teachers_its_factor():
    phase = replace(CO_STUDY, teacher_learning_rate=0.1)
    student, teacher = student_of(phase), teacher_of(phase)
    train_step(student, teacher, *batch_of(0), recipe=RECIPE, seed=0, step=50)
    assert [g["lr"] for g in student.optimiser.param_groups] == pytest.approx([5e-3, 5e-5, 5e-3])
    assert teacher.optimiser.param_groups[0]["lr"] == pytest.approx(5e-4)


def test_an_interval_below_its_floor_is_raised_and_counted():
    student = student_of(SELF_STUDY)
    weights, activations = interval_parameters(student.network)
    names = list(weights | activations)
    floors = {name: parameter.item() / 100 for name, parameter in (weights | activations).items()}
    assert {n: f.item() for n, f in student.floors.items()} == pytest.approx(floors)
    with torch.no_grad():
        (weights | activations)[names[0]].fill_(-3.0)
        (weights | activations)[names[-1]].fill_(floors[names[-1]] / 2)
    for parameter in student.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    student.step(1.0)
    after = weights | activations
    assert int(student.floor_hits) == 2
    for name in (names[0], names[-1]):
        assert after[name].item() == pytest.approx(floors[name])
    student.step(1.0)
    assert int(student.floor_hits) == 2


def test_without_quantizers_there_are_no_floors():
    assert interval_floors(resnet(8, 4, 1, 10)) == {}


def dropping():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 10))


def test_dropout_depends_on_seed_step_and_side_and_not_on_the_other_network():
    images = batch_of(0)[0]
    student = Side("student", dropping(), optimiser_of(dropping(), RECIPE), SELF_STUDY.student)
    teacher = Side("teacher", dropping(), optimiser_of(dropping(), RECIPE), CO_STUDY.teacher)
    alone = student.forward(images, seed=3, step=7)
    other = teacher.forward(images, seed=3, step=7)
    torch.manual_seed(99)
    assert torch.equal(student.forward(images, seed=3, step=7), alone)
    assert not torch.equal(other, alone)
    assert not torch.equal(student.forward(images, seed=3, step=8), alone)
    assert not torch.equal(student.forward(images, seed=4, step=7), alone)


def test_a_teacher_beside_it_leaves_the_students_dropout_alone():
    states = []
    for phase in (SELF_STUDY, replace(CO_STUDY, student=SELF_STUDY.student)):
        network = dropping()
        student = Side("student", network, optimiser_of(network, RECIPE), phase.student)
        teacher = None
        if phase.trains_teacher:
            network = dropping()
            teacher = Side("teacher", network, optimiser_of(network, RECIPE), phase.teacher)
        train(student, teacher, 3)
        states.append(state_of(student))
    assert small.same(*states)


def test_in_bfloat16_the_weights_and_the_losses_stay_float32():
    recipe = replace(RECIPE, precision="bfloat16")
    student = student_of(CO_STUDY)
    values = train(student, teacher_of(CO_STUDY), 2, recipe)
    assert {p.dtype for p in student.network.parameters()} == {torch.float32}
    assert {v.dtype for step in values for v in step.values()} == {torch.float32}


def test_a_term_that_needs_the_other_network_says_so():
    with pytest.raises(ValueError, match="a loss term of the student needs the other network"):
        train(student_of(TUTORING), None, 1)


def test_a_network_with_a_number_that_is_none_is_named():
    student = student_of(SELF_STUDY)
    student.require_finite(0)
    student.network.layer1[0].bn1.running_var[1] = math.nan
    with pytest.raises(NotFinite, match=r"layer1\.0\.bn1\.running_var of the student"):
        student.require_finite(3)
