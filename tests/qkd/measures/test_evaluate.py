import math

import msgspec
import pytest
import torch
from torch import nn

from qkd.measures import evaluate as evaluation
from qkd.measures.evaluate import answers, evaluate
from qkd.records.schema import Accuracy
from qkd.training.window import NotFinite, Window
from tests.support.quantized import batches_of as batches_of_images
from tests.support.quantized import network_of


class Table(nn.Module):
    """The logits are what the pixels say."""

    def forward(self, images):
        assert not self.training
        assert not torch.is_autocast_enabled("cpu")
        return images.flatten(1)


def batches_of(logits, labels, size):
    images = torch.tensor(logits).float()[:, :, None, None]
    return zip(images.split(size), torch.tensor(labels).split(size), strict=True)


LOGITS = [[9, 8, 7, 6, 5, 4], [9, 8, 7, 6, 5, 4], [0, 1, 2, 3, 4, 5], [9, 8, 7, 6, 5, 4]]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_counts_by_hand_whatever_the_batch(size):
    # Ranks of the labels: first, fifth, first, sixth.
    accuracy = evaluate(Table(), batches_of(LOGITS, [0, 4, 5, 5], size))
    assert (accuracy.correct1, accuracy.correct5, accuracy.images) == (2, 3, 4)
    assert (accuracy.top1, accuracy.top5) == (50.0, 75.0)
    # -ln softmax: 0, 4, 0 and 5 above that of the largest, ln sum e^-k for k = 0 .. 5.
    largest = math.log(sum(math.exp(-k) for k in range(6)))
    assert accuracy.loss == pytest.approx((0 + 4 + 0 + 5) / 4 + largest, rel=1e-6)


def test_with_fewer_than_five_classes_every_one_is_among_the_first_five():
    accuracy = evaluate(Table(), batches_of([[1, 2, 3], [3, 2, 1]], [0, 0], 2))
    assert (accuracy.correct1, accuracy.correct5, accuracy.images) == (1, 2, 2)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_left_as_it_was(training):
    network = Table().train(training)
    with torch.autocast("cpu", torch.bfloat16):
        evaluate(network, batches_of(LOGITS, [0, 0, 0, 0], 4))
    assert network.training == training
    with pytest.raises(IndexError):
        evaluate(network, batches_of(LOGITS, [0, 0, 0, 99], 4))
    assert network.training == training


def test_no_images_are_an_error():
    with pytest.raises(ValueError, match="no images to evaluate on"):
        evaluate(Table(), [])


def test_an_accuracy_as_a_record_holds_it():
    accuracy = Accuracy(correct1=1, correct5=2, images=4, top1=25.0, top5=50.0, loss=0.5)
    assert msgspec.to_builtins(accuracy) == {
        "correct1": 1,
        "correct5": 2,
        "images": 4,
        "loss": 0.5,
        "top1": 25.0,
        "top5": 50.0,
    }


def test_a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(FloatingPointError, match="became nan"):
        evaluate(Table(), batches_of([[math.nan, 1.0, 2.0]], [0], 1))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_answers_of_each_image_by_hand_whatever_the_batch(size):
    found = answers(Table(), batches_of(LOGITS, [0, 4, 5, 5], size))
    assert found.predictions.tolist() == [0, 0, 5, 0]
    assert found.correct.tolist() == [True, False, True, False]
    # The first image is the highest bit of the first byte: 1010 0000 is "oA==" in base64.
    assert msgspec.to_builtins(found.scored)["correct"] == "oA=="
    assert msgspec.structs.replace(found.scored, correct=None) == found.accuracy
    assert found.accuracy == evaluate(Table(), batches_of(LOGITS, [0, 4, 5, 5], size))


def values(**numbers):
    return {name: torch.tensor(number) for name, number in numbers.items()}


def test_a_window_averages_each_term_over_the_steps_that_had_it():
    window = Window()
    window.add(values(a=1.0))
    window.add(values(a=2.0, b=5.0))
    window.add(values(a=6.0, b=7.0))
    assert window.means() == {"a": 3.0, "b": 6.0}
    assert window.steps == 3


def test_a_window_goes_on_from_its_state():
    whole, first = Window(), Window()
    for number in (0.1, 0.2, 0.3):
        whole.add(values(a=number))
    first.add(values(a=0.1))
    second = Window(first.state())
    for number in (0.2, 0.3):
        second.add(values(a=number))
    assert second.means() == whole.means()
    assert first.means() == {"a": pytest.approx(0.1)}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_window_names_the_term_that_is_not_finite(number):
    window = Window()
    window.require_finite(0)
    window.add(values(a=1.0, b=number))
    window.add(values(a=1.0, b=1.0))
    with pytest.raises(NotFinite, match=r"term b became .* in the 2 steps up to step 7"):
        window.require_finite(7)


def seen_by(network, batches):
    """How many images the network is given at a time."""
    sizes = []
    hook = network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    answers(network, batches)
    hook.remove()
    return sizes


@pytest.mark.parametrize("kind", ["resnet", "mobilenet", "unusual"])
@pytest.mark.parametrize("count", [500, 201])
def test_a_batch_in_parts_gives_the_bits_of_the_whole(monkeypatch, kind, count):
    network, batches = network_of(kind), batches_of_images(count, 500)
    in_parts = answers(network, batches)
    logits = evaluation._logits(network, batches[0][0])
    in_one = count == 201 or kind == "unusual"  # which has a batch norm of each batch's own
    assert seen_by(network, batches) == ([count] if in_one else [100] * 5)
    monkeypatch.setattr(evaluation, "PART", count)
    whole = answers(network, batches)
    assert in_parts.accuracy == whole.accuracy
    assert torch.equal(in_parts.predictions, whole.predictions)
    assert torch.equal(logits, evaluation._logits(network, batches[0][0]))
