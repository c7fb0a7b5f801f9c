"""A step on a batch in parts, and batch norms over all ranks."""

import pytest
import torch
from torch import nn

from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.quantizers.quantize import quantized_layers
from qkd.training.step import Side, optimiser_of, train_step
from tests.qkd.training.test_step import RECIPE, batch_of, student_of
from tests.support import small


def test_the_batch_norms_of_a_synchronised_side_are_synchronised_in_training_only():
    student = student_of(SELF_STUDY)
    names = [name for name, m in student.network.named_modules() if type(m) is nn.BatchNorm2d]
    for _, layer in quantized_layers(student.network):
        layer.rounds_again = True
    student.synchronise()
    in_training = dict(student._call.named_modules())
    assert len(names) == 7
    for name in names:
        twin, own = in_training[name], student.network.get_submodule(name)
        assert (type(twin), type(own)) == (nn.SyncBatchNorm, nn.BatchNorm2d)
        assert (twin.eps, twin.momentum) == (own.eps, own.momentum)
        assert twin.weight is own.weight
        assert twin.running_mean is own.running_mean
    layers = list(quantized_layers(student._call))
    assert len(layers) == 8
    assert all(layer.rounds_again for _, layer in layers)
    # Alone, where there is nobody to synchronise with, they compute what batch norms do.
    plain, images = student_of(SELF_STUDY), batch_of(0)[0]
    assert torch.equal(student.forward(images, 0, 0), plain.forward(images, 0, 0))
    assert small.same(dict(student.network.state_dict()), dict(plain.network.state_dict()))


@pytest.mark.parametrize("phase", [SELF_STUDY, CO_STUDY, TUTORING])
def test_micro_batches_give_the_gradients_of_the_whole_batch(phase):
    # Without batch norms, which see a part at a time.
    ends = []
    for parts in (1, 4):
        sides = [side_of(name, phase) for name in ("student", "teacher")]
        images, labels = batch_of(0)
        values = train_step(
            *sides, images, labels, recipe=RECIPE, seed=0, step=0, micro_batches=parts
        )
        ends.append(({k: v.item() for k, v in values.items()}, sides))
    (values, whole), (means, in_parts) = ends
    assert means == pytest.approx(values, rel=1e-5)
    for one, other in zip(whole, in_parts, strict=True):
        for name, parameter in one.network.named_parameters():
            torch.testing.assert_close(
                dict(other.network.named_parameters())[name], parameter, rtol=1e-5, atol=1e-7
            )


def side_of(name, phase):
    torch.manual_seed(len(name) * (name == "student"))
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.ReLU(), nn.Linear(8, 10))
    terms = phase.student if name == "student" else phase.teacher
    return Side(name, network, optimiser_of(network, RECIPE) if terms else None, terms)
