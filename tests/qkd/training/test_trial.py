"""A network is tried in both modes: what would stop it later is said in a line."""

import pytest
import torch
from torch import nn

from qkd.models.layout import format_of, lay_out
from qkd.models.resnet_cifar import resnet
from qkd.training.trial import Unfit, try_out

SHAPE, CLASSES = (1, 8, 8), 10


class Head(nn.Module):
    """A batch norm and a linear layer, and what is made of their output."""

    def __init__(self, made=lambda logits, net: logits, classes=CLASSES):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.linear, self.made = nn.Linear(64, classes), made

    def forward(self, x):
        return self.made(self.linear(self.norm(x).flatten(1)), self)


def in_training(value):
    return lambda logits, net: value(logits) if net.training else logits


def add_in_place(logits, net):
    net.linear.weight.add_(1)
    return logits


UNFIT = {
    "tuple": (lambda x, n: (x, x), "in evaluation it gives a tuple, where one tensor"),
    "tuple in training": (in_training(lambda x: (x, x)), "in training it gives a tuple"),
    "dictionary": (lambda x, n: {"logits": x}, "in evaluation it gives a dict"),
    "map": (lambda x, n: x[..., None, None], r"of shape \(2, 10, 1, 1\) for 2 image"),
    "one image": (lambda x, n: x[:1], r"of shape \(1, 10\) for 2 image"),
    "loss": (in_training(lambda x: x.sum()), r"in training it gives torch.float32 of shape \(\)"),
    "answers": (lambda x, n: x.argmax(1, keepdim=True), "in evaluation it gives torch.int64"),
    "fewer in training": (in_training(lambda x: x[:, :5]), "10 classes apart in evaluation, and 5"),
    "no gradient": (lambda x, n: x.detach(), "in training it raises RuntimeError: .*grad"),
    "in place": (add_in_place, "in training it raises RuntimeError: .*in-place"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_is_no_logits_of_each_image_is_refused_in_a_line(kind):
    made, says = UNFIT[kind]
    with pytest.raises(Unfit, match=says) as error:
        try_out(Head(made), SHAPE, CLASSES, 4)
    assert "\n" not in str(error.value)


def test_too_few_classes_are_refused_and_too_many_are_not():
    with pytest.raises(Unfit, match="it tells 9 classes apart, where the data have 10"):
        try_out(Head(classes=9), SHAPE, CLASSES, 4)
    assert try_out(Head(classes=12), SHAPE, CLASSES, 4) == 12


class Narrow(nn.Sequential):
    """Its batch norm sees one number of a channel and an image."""

    def __init__(self):
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(1, 10))


def test_a_batch_norm_that_would_see_one_number_is_refused_where_a_part_is_one_image():
    says = (
        r"in training \(a part of a batch is 1 image\) it raises ValueError: Expected more than 1"
    )
    with pytest.raises(Unfit, match=says):
        try_out(Narrow(), SHAPE, CLASSES, 1)
    try_out(Narrow(), SHAPE, CLASSES, 2)
    try_out(Narrow(), SHAPE, CLASSES, 0)  # it does not train


def test_a_frozen_teacher_is_asked_for_evaluation_alone():
    assert try_out(Head(in_training(lambda x: (x, x))), SHAPE, CLASSES, 0) == CLASSES


def test_a_network_that_fits_learns_nothing_and_draws_nothing():
    network = nn.Sequential(resnet(8, 4, 1), nn.Dropout(0.5))
    before = {name: one.clone() for name, one in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert try_out(network, SHAPE, CLASSES, 4) == 10
    assert torch.equal(torch.rand(1), expected)
    for name, one in network.state_dict().items():
        assert torch.equal(one, before[name]), name


class Viewed(nn.Module):
    """LeNet's way to flatten: breaks channels last, where the channels stand innermost."""

    def __init__(self, features=2):
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4 * 36, 10)
        self.features = features

    def forward(self, x):
        x = self.first(x)
        return self.head(x.view(x.size(0), -1))


def test_a_network_that_channels_last_breaks_computes_in_torchs_own_format():
    network = lay_out(Viewed(), SHAPE)
    assert format_of(network) == torch.contiguous_format
    assert network.first.weight.is_contiguous()
    assert try_out(network, SHAPE, CLASSES, 4) == 10
    assert format_of(lay_out(resnet(8, 4, 1), SHAPE)) == torch.channels_last


def test_a_network_that_neither_format_mends_stays_as_it_was():
    network = lay_out(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(9, 2)), SHAPE)
    assert format_of(network) == torch.channels_last
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)


class Volumes(nn.Module):
    """A parameter of five dimensions, which channels last does not know."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Conv3d(1, 2, 1), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.layer(x[:, None]).flatten(1))


def test_parameters_of_five_dimensions_stay_as_they_are():
    network = lay_out(Volumes(), SHAPE)
    assert format_of(network) == torch.channels_last
    assert try_out(network, SHAPE, CLASSES, 4) == 10
