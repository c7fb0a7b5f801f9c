"""Iterative freezing against its definition, a weight at a time in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import qkd
from baselines.freezing import IterativeFreezing
from baselines.methods import QUANTIZERS
from baselines.today import QUANTIZERS as OF_TODAY
from baselines.today import frozen
from qkd.models.resnet_cifar import resnet
from qkd.quantizers.quantize import quantize, quantized_layers
from qkd.spec import INTERVAL, Bits, Quantization, Recipe
from qkd.training.hooks import hooks_of
from qkd.training.step import Side, interval_floors, optimiser_of, train_step
from tests.qkd.test_losses import seeds

LAYERS = [f"layer{group}.0.conv{number}" for group in (1, 2, 3) for number in (1, 2)]


def images():
    return torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(1)).double()


def student_of(quantizer=INTERVAL, bits=2):
    torch.manual_seed(0)
    network = qkd.quantize(resnet(8, 4, 1, 10), bits, bits, quantizer=quantizer).double()
    qkd.calibrate(network, images())
    return network


def small_of(bits=2):
    """Two edges and the layer "2" of 36 weights between them."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3, bias=False), nn.ReLU())
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 10))
    network = quantize(network, Quantization(bits=Bits(weight=bits, activation=bits))).double()
    network[2].weight_quantizer.initialise(network[2].weight, "mse")
    return network


class Weight:
    """One weight as the definition has it, in Python's floats."""

    def __init__(self, code):
        self.code = self.average = code
        self.direction, self.frequency, self.frozen = 0, 0.0, None

    def after_step(self, code, threshold, m):
        code = code if self.frozen is None else self.frozen
        change = code - self.code
        direction = (change > 0) - (change < 0)
        oscillated = direction != 0 and direction == -self.direction
        self.frequency = m * oscillated + (1 - m) * self.frequency
        before, self.average = self.average, m * code + (1 - m) * self.average
        self.direction, self.code = direction or self.direction, code
        if self.frozen is None and self.frequency > threshold:
            self.frozen = self.code = round(before)


@given(seeds, st.sampled_from([2, 3, 4]), st.floats(0.05, 0.5), st.floats(0.05, 0.6))
def test_it_is_its_definition(seed, bits, m, threshold):
    """Weights drawn anew at each step, and an interval that moves."""
    network, final = small_of(bits), threshold / 3
    layer = network[2]
    rounds, generator = layer.weight_quantizer, torch.Generator().manual_seed(seed)
    hook = IterativeFreezing(network, threshold, final, m)
    begun = (layer.weight / rounds.interval * rounds.steps).clamp(-rounds.steps, rounds.steps)
    known = [Weight(int(code)) for code in begun.round().flatten().tolist()]
    steps = 12
    for step in range(1, steps + 1):
        with torch.no_grad():
            rounds.interval.mul_(0.97 if step % 2 else 1.02)
            noise = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
            layer.weight.copy_(noise * rounds.interval / 2)
        unit = rounds.interval.item() / rounds.steps
        drawn = (layer.weight.detach() / unit).clamp(-rounds.steps, rounds.steps)
        before = layer.weight.detach().flatten().tolist()
        hook(step / steps)
        now = final + (threshold - final) * (1 + math.cos(math.pi * step / steps)) / 2
        for one, code in zip(known, drawn.round().flatten().tolist(), strict=True):
            one.after_step(int(code), now, m)
        wanted = [
            was if one.frozen is None else one.frozen * unit
            for was, one in zip(before, known, strict=True)
        ]
        assert layer.weight.detach().flatten().tolist() == pytest.approx(wanted, rel=1e-12)
    assert hook.frozen()["2"].flatten().tolist() == [one.frozen is not None for one in known]
    seen = hook.state_dict()
    for quantity in ("frequency", "average", "direction", "code"):
        found = seen[f"2.{quantity}"].flatten().tolist()
        assert found == pytest.approx([getattr(one, quantity) for one in known], abs=1e-12)


def test_a_weight_is_frozen_by_hand():
    """0, 1, 0, 1: the second and third change oscillate; of m = 0.5 the frequency is 0.5, 0.75."""
    network = small_of()
    layer = network[2]
    unit = layer.weight_quantizer.interval.item()  # of 2 bits: -1, 0, 1

    def at(place):
        with torch.no_grad():
            layer.weight.zero_()
            layer.weight[0, 0, 0, 0] = place * unit

    at(0)
    hook = IterativeFreezing(network, 0.6, 0.6, 0.5)
    frozen_after = []
    for place in (0.9, 0.1, 0.9, 0.2):
        at(place)
        hook(0.5)
        frozen_after.append(bool(hook.frozen()["2"][0, 0, 0, 0]))
    assert frozen_after == [False, False, True, True]
    # Averages: 0, 0.5, 0.25: it was frozen to 0, where its code was 1.
    assert layer.weight[0, 0, 0, 0].item() == 0


def trained(hooks, steps, recipe=None):
    recipe = recipe or Recipe(horizon=steps, log_every=1, batch=8, learning_rate=0.3)
    network = student_of()
    (share,) = frozen().shares
    side = Side(
        "student",
        network,
        optimiser_of(network, recipe),
        share.phase.student,
        floors=interval_floors(network),
        hooks=hooks(network),
    )
    for step in range(steps):
        train_step(side, None, images(), torch.arange(8), recipe=recipe, seed=0, step=step)
        yield side


def test_what_is_frozen_stays_on_its_level_against_gradient_and_momentum():
    early = None
    for side in trained(lambda network: [IterativeFreezing(network, 0.15, 0.05, 0.1)], 40):
        (hook,) = side.hooks
        seen = hook.state_dict()
        for name in LAYERS:
            layer = side.network.get_submodule(name)
            is_frozen = seen[f"{name}.frozen"]
            quantizer = layer.weight_quantizer
            wanted = seen[f"{name}.code"][is_frozen] * (quantizer.interval / quantizer.steps)
            torch.testing.assert_close(layer.weight[is_frozen], wanted, rtol=1e-14, atol=0)
            assert torch.equal(quantizer(layer.weight)[is_frozen], layer.weight[is_frozen])
        if early is None and any(one.any() for one in hook.frozen().values()):
            early = {name: one.clone() for name, one in seen.items()}
            momentum = side.optimiser.state
    assert early is not None
    for name in LAYERS:
        was = early[f"{name}.frozen"]
        assert seen[f"{name}.frozen"][was].all()
        assert torch.equal(seen[f"{name}.code"][was], early[f"{name}.code"][was])
        moved = momentum[side.network.get_submodule(name).weight]["momentum_buffer"]
        assert not was.any() or moved[was].abs().max() > 0


def test_without_oscillations_nothing_is_changed_and_the_edges_are_left_alone():
    (phase,) = (share.phase for share in frozen().shares)
    *_, plain = trained(lambda network: [], 6)
    *_, hooked = trained(lambda network: [IterativeFreezing(network, 1.0, 1.0)], 6)
    *_, named = trained(lambda network: hooks_of(phase, network), 6)
    assert list(named.hooks[0].frozen()) == LAYERS
    for name, tensor in plain.network.state_dict().items():
        assert torch.equal(tensor, hooked.network.state_dict()[name])


def test_its_state_goes_on_elsewhere_to_the_same_bits():
    *_, side = trained(lambda network: [IterativeFreezing(network, 0.15, 0.05, 0.1)], 20)
    (hook,) = side.hooks
    other = IterativeFreezing(student_of(), 0.15, 0.05, 0.1)
    other.load_state_dict({name: one.clone() for name, one in hook.state_dict().items()})
    for name, tensor in hook.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    with pytest.raises(ValueError, match="of other layers"):
        other.load_state_dict({})


@pytest.mark.parametrize(
    ("quantizer", "says"),
    [
        (QUANTIZERS["dorefa"], "in another unit than its weights"),
        (OF_TODAY["pact-zero"], "follow its weights"),
        (QUANTIZERS["pact"], "follow its weights"),
    ],
)
def test_levels_that_move_or_lie_elsewhere_are_refused(quantizer, says):
    with pytest.raises(ValueError, match=says):
        IterativeFreezing(student_of(quantizer))


@pytest.mark.parametrize("name", ["lsq", "lsq-plus", "tqt"])
def test_quantizers_whose_levels_are_learned_alone_are_taken(name):
    network = student_of(QUANTIZERS[name])
    hook = IterativeFreezing(network)
    hook(0.0)
    assert not any(one.any() for one in hook.frozen().values())


def test_float_networks_more_bits_and_odd_values_are_refused():
    with pytest.raises(ValueError, match="of 4 bits or fewer: there are none"):
        IterativeFreezing(student_of(bits=5))
    with pytest.raises(ValueError, match="there are none"):
        IterativeFreezing(resnet(8, 4, 1, 10))
    for odd in ({"threshold": 0.0}, {"final": -1.0}, {"momentum": 0.0}, {"momentum": 1.5}):
        with pytest.raises(ValueError, match="must be positive"):
            IterativeFreezing(student_of(), **odd)
    assert sum(1 for _ in quantized_layers(student_of())) == len(LAYERS) + 2
