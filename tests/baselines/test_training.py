"""Every rival's quantizer trains: plain QAT, KD and QKD on a tiny network."""

import pytest
import torch

from baselines import methods, today
from qkd.models.resnet_cifar import resnet
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.quantizers.quantize import interval_parameters, quantize, quantized_layers, set_intervals
from qkd.spec import Bits, Quantization, Recipe
from qkd.training.step import Side, interval_floors, optimiser_of, train_step

QUANTIZERS = methods.QUANTIZERS | today.QUANTIZERS
RECIPE = Recipe(horizon=100, log_every=1, batch=16, weight_interval_learning_rate=0.01)
METHODS = {
    "qat": (SELF_STUDY, SELF_STUDY, SELF_STUDY),
    "kd": (TUTORING, TUTORING, TUTORING),
    "qkd": (SELF_STUDY, CO_STUDY, TUTORING),
}


def batch_of(step):
    generator = torch.Generator().manual_seed(1000 + step)
    images = torch.randn(16, 1, 16, 16, generator=generator)
    return images, torch.randint(10, (16,), generator=generator)


def student_of(quantizer):
    torch.manual_seed(0)
    quantization = Quantization(bits=Bits(weight=2, activation=2), quantizer=quantizer)
    network = quantize(resnet(8, 4, 1, 10), quantization).to(memory_format=torch.channels_last)
    set_intervals(network, batch_of(0)[0], quantization)
    return network


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", QUANTIZERS)
def test_three_steps_move_every_parameter_and_all_stays_finite(name, method):
    network = student_of(QUANTIZERS[name])
    optimiser, floors = optimiser_of(network, RECIPE), interval_floors(network)
    student = Side("student", network, optimiser, floors=floors)
    torch.manual_seed(1)
    teacher_network = resnet(8, 6, 1, 10).to(memory_format=torch.channels_last)
    learner = optimiser_of(teacher_network, RECIPE)
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    quantizers = {k for part in interval_parameters(network) for k in part}
    moved = set()
    for step, phase in enumerate(METHODS[method]):
        student.terms = phase.student
        teacher = None
        if phase.needs_teacher:
            own = learner if phase.trains_teacher else None
            teacher = Side("teacher", teacher_network, own, phase.teacher)
        values = train_step(student, teacher, *batch_of(step), recipe=RECIPE, seed=0, step=step)
        assert all(value.isfinite() for value in values.values())
        student.require_finite(step)
        moved |= {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    # A threshold or alpha beyond which nothing lies has no gradient.
    assert {n for n in before if n not in quantizers} <= moved
    assert len(quantizers & moved) >= 0.5 * len(quantizers)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_layer_sees_no_more_values_than_its_quantizers_declare(name):
    network = student_of(QUANTIZERS[name])
    seen = {}
    for layer_name, layer in quantized_layers(network):
        layer.weight_quantizer.register_forward_hook(
            lambda module, _, output, key=f"{layer_name} weight": seen.update(
                {key: (module, output)}
            )
        )
        layer.input_quantizer.register_forward_hook(
            lambda module, _, output, key=f"{layer_name} input": seen.update(
                {key: (module, output)}
            )
        )
    with torch.no_grad():  # in training a layer rounds both at once, past the hooks
        network.eval()(batch_of(1)[0])
    checked = [(m.levels, len(o.unique())) for m, o in seen.values() if hasattr(m, "levels")]
    assert len(checked) == 2 * len(list(quantized_layers(network))) - 1
    assert all(1 < count <= levels for levels, count in checked)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_layers_weights_and_inputs_have_each_their_own_class(name):
    for _, layer in quantized_layers(student_of(QUANTIZERS[name])):
        weights, inputs = layer.weight_quantizer, layer.input_quantizer
        assert isinstance(inputs, torch.nn.Identity) or type(weights) is type(inputs).weights
