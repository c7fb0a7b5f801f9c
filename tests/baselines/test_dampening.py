"""Oscillation dampening: its formula, its gradient, and as a term beside cross-entropy."""

import pytest
import torch

import qkd
from baselines.dampening import dampening
from baselines.methods import QUANTIZERS
from qkd.models.resnet_cifar import resnet
from qkd.phases import CROSS_ENTROPY
from qkd.quantizers.quantize import quantized_layers
from qkd.spec import INTERVAL, Phase, Recipe, Term
from qkd.training.step import Side, optimiser_of, train_step

DAMPENED = Phase(
    name="dampened",
    student=(
        CROSS_ENTROPY,
        Term(loss="baselines.dampening:dampening", target="weights", weight=0.1),
    ),
)


def student_of(quantizer=INTERVAL):
    torch.manual_seed(0)
    network = qkd.quantize(resnet(8, 4, 1, 10), 3, 3, quantizer=quantizer).double()
    qkd.calibrate(network, images())
    return network


def images():
    return torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("quantizer", [INTERVAL, QUANTIZERS["lsq"]])
def test_it_is_its_formula_and_pulls_weights_to_their_levels(quantizer):
    network = student_of(quantizer)
    found = dampening(network)
    found.backward()
    wanted = 0.0
    for _, layer in quantized_layers(network):
        rounds = layer.weight_quantizer
        step = rounds.interval.item() / (1 if quantizer != INTERVAL else rounds.steps)
        low, high = (
            (rounds.lowest, rounds.highest)
            if quantizer != INTERVAL
            else (-rounds.steps, rounds.steps)
        )
        weight = layer.weight.detach()
        clipped = weight.clamp(low * step, high * step)
        away = clipped - (weight / step).clamp(low, high).round() * step
        wanted += away.square().sum().item()
        # Beyond the outermost levels clip() is flat.
        inside = (weight > low * step) & (weight < high * step)
        near = torch.where(inside, 2 * away, torch.zeros_like(away))
        torch.testing.assert_close(layer.weight.grad, near, rtol=1e-9, atol=1e-6)
        assert rounds.interval.grad is None
    assert found.item() == pytest.approx(wanted, rel=1e-6)


def test_as_a_term_it_needs_no_teacher_and_brings_weights_nearer_to_their_levels():
    assert not DAMPENED.needs_teacher
    recipe = Recipe(horizon=10**6, log_every=1, batch=8, learning_rate=1e-3)
    labels = torch.arange(8)
    ends = []
    for terms in (DAMPENED.student[:1], DAMPENED.student):
        network = student_of()
        side = Side("student", network, optimiser_of(network, recipe), terms)
        for step in range(5):
            values = train_step(side, None, images(), labels, recipe=recipe, seed=0, step=step)
        ends.append(dampening(network).item())
    assert values["student_dampening"].item() > 0
    assert ends[1] < ends[0]


def test_over_parts_of_a_batch_it_is_the_same_once():
    found = []
    for parts in (1, 2):
        network = student_of()
        recipe = Recipe(horizon=10**6, log_every=1, batch=8, learning_rate=0.0 + 1e-12)
        side = Side("student", network, optimiser_of(network, recipe), DAMPENED.student[1:])
        values = train_step(
            side,
            None,
            images(),
            torch.arange(8),
            recipe=recipe,
            seed=0,
            step=0,
            micro_batches=parts,
        )
        found.append(values["student_dampening"].item())
    assert found[0] == pytest.approx(found[1])


def test_levels_in_another_unit_and_float_networks_are_refused():
    with pytest.raises(ValueError, match="in another unit than its weights"):
        dampening(student_of(QUANTIZERS["dorefa"]))
    with pytest.raises(ValueError, match="the network has none"):
        dampening(resnet(8, 4, 1, 10))
    with pytest.raises(ValueError, match="is of the weights: call it with the network"):
        qkd.loss(DAMPENED, torch.zeros(2, 3), torch.tensor([0, 1]))
