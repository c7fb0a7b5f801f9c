"""DKD and DIST against their definitions, in float64, and as terms of a phase."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from baselines.dist import correlation
from baselines.dkd import decoupled
from baselines.today import distilled
from qkd.losses import distillation
from qkd.spec import Term
from qkd.training.step import Side
from tests.qkd.test_losses import logits_of, seeds, softened, temperatures


def labels_of(seed, batch=5, classes=7):
    return torch.randint(classes, (batch,), generator=torch.Generator().manual_seed(seed))


@given(seeds, temperatures, st.floats(0, 3), st.floats(0, 10))
def test_dkd_is_its_definition(seed, temperature, alpha, beta):
    student, teacher, labels = logits_of(seed), logits_of(seed + 1), labels_of(seed)
    p, q = softened(teacher, temperature), softened(student, temperature)
    total = 0.0
    for row, label in enumerate(labels.tolist()):
        a, b = p[row, label], q[row, label]
        binary = a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b))
        others = [i for i in range(7) if i != label]
        p_hat, q_hat = p[row, others] / (1 - a), q[row, others] / (1 - b)
        total += alpha * binary + beta * float((p_hat * np.log(p_hat / q_hat)).sum())
    wanted = temperature**2 * total / 5
    found = decoupled(student, teacher, labels, alpha=alpha, beta=beta, temperature=temperature)
    assert found.item() == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@given(seeds, temperatures)
def test_of_one_image_kd_is_dkd_with_the_others_weighed_by_what_the_teacher_leaves_them(
    seed, temperature
):
    student, teacher, labels = logits_of(seed, 1), logits_of(seed + 1, 1), labels_of(seed, 1)
    left = 1 - softened(teacher, temperature)[0, labels.item()]
    plain = distillation(student, teacher, temperature).item()
    found = decoupled(student, teacher, labels, alpha=1.0, beta=left, temperature=temperature)
    assert found.item() == pytest.approx(plain, rel=1e-7, abs=1e-9)


def pearson(a, b):
    return stats.pearsonr(a, b).statistic


@given(seeds, st.floats(0.5, 8), st.floats(0, 3), st.floats(0, 3))
def test_dist_is_its_definition(seed, temperature, beta, gamma):
    student, teacher = logits_of(seed), logits_of(seed + 1)
    p, q = softened(teacher, temperature), softened(student, temperature)
    images = np.mean([1 - pearson(q[i], p[i]) for i in range(5)])
    classes = np.mean([1 - pearson(q[:, j], p[:, j]) for j in range(7)])
    wanted = temperature**2 * (beta * images + gamma * classes)
    found = correlation(student, teacher, beta=beta, gamma=gamma, temperature=temperature)
    assert found.item() == pytest.approx(wanted, rel=1e-3, abs=1e-5)  # by the 1e-8 below


@pytest.mark.parametrize("loss", [correlation, lambda s, t: decoupled(s, t, labels_of(0))])
def test_equal_outputs_cost_nothing_and_no_gradient_reaches_the_teacher(loss):
    student, teacher = logits_of(3).requires_grad_(), logits_of(3).requires_grad_()
    found = loss(student, teacher)
    assert found.item() == pytest.approx(0, abs=1e-4)
    loss(logits_of(4).requires_grad_(), teacher).backward()
    assert teacher.grad is None


@given(seeds)
def test_the_gradients_are_those_of_finite_differences(seed):
    student, teacher, labels = (
        logits_of(seed, 3, 4),
        logits_of(seed + 1, 3, 4),
        labels_of(seed, 3, 4),
    )
    for loss in (
        lambda logits: decoupled(logits, teacher, labels),
        lambda logits: correlation(logits, teacher),
    ):
        logits = student.clone().requires_grad_()
        assert torch.autograd.gradcheck(loss, (logits,), atol=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1e3, 1e5])
def test_extreme_logits_stay_finite(scale):
    student = (scale * logits_of(1)).float().requires_grad_()
    teacher = (scale * logits_of(2)).float()
    for found in (decoupled(student, teacher, labels_of(0)), correlation(student, teacher)):
        student.grad = None
        found.backward()
        assert found.isfinite()
        assert student.grad.isfinite().all()


def test_what_cannot_be_is_refused():
    labels = labels_of(0)
    for call in (correlation, lambda *a, **k: decoupled(*a, labels, **k)):
        with pytest.raises(ValueError, match="temperature is 0"):
            call(logits_of(0), logits_of(1), temperature=0)
        with pytest.raises(ValueError, match="shape"):
            call(logits_of(0), logits_of(1, classes=3))
    with pytest.raises(ValueError, match="three classes or more"):
        decoupled(logits_of(0, classes=2), logits_of(1, classes=2), labels_of(0, classes=2))


def test_a_term_of_both_gets_the_peers_logits_and_the_labels():
    dkd = distilled()[0].shares[0].phase
    assert dkd.needs_teacher
    assert not dkd.trains_teacher
    (term,) = (one for one in dkd.student if one.target == "both")
    network = torch.nn.Linear(7, 7).double()
    side = Side("student", network, torch.optim.SGD(network.parameters(), lr=0.1), (term,))
    logits, peer, labels = network(logits_of(0)), logits_of(1), labels_of(0)
    values = side.learn(logits, labels, peer)
    assert values["student_decoupled"].item() == pytest.approx(
        decoupled(logits, peer, labels).item()
    )
    with pytest.raises(ValueError, match="needs the other network"):
        side.learn(network(logits_of(0)), labels, None)


def test_a_term_against_both_is_another_identity_and_the_old_ones_are_what_they_were():
    assert Term(loss="baselines.dkd:decoupled", target="both") != Term(
        loss="baselines.dkd:decoupled", target="peer"
    )
    with pytest.raises(ValueError, match="target"):
        Term(loss="qkd.losses:cross_entropy", target="none")._validated  # noqa: B018
