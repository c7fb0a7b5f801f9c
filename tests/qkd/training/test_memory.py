"""What a training step takes of a device's memory, and whether a GPU has that much."""

import pytest
import torch
from torch import nn

from benchmarks.imagenet_networks import imagenet
from benchmarks.speed import steps
from qkd.spec import Bits, Learner, Quantization, Recipe
from qkd.training.begin import build
from qkd.training.memory import Need, kept_bytes, needs, of_network
from slurm.doctor.memory import memory, micro_batches
from tests.support import small

RECIPE = Recipe(horizon=1, log_every=1, batch=8)
W4A4 = Quantization(bits=Bits(weight=4, activation=4))
GIB = 2**30


def small_network():
    """On 1 x 8 x 8: 4 channels of 3 x 3, so 36 numbers; 36 + 4, 8 and 72 + 2 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(36, 2),
    )


def test_a_small_network_by_hand():
    # Kept of an image: what the batch norm reads, what ReLU gives, and its copy that the linear
    # layer reads (channels come last, and are flattened first), 36 numbers each. Of the batch: the
    # batch norm's mean and deviation of 4 channels.
    kept = [4 * (2 * 4 + images * 3 * 36) for images in (1, 2, 5)]
    assert [kept_bytes(small_network(), RECIPE, n, (1, 8, 8)) for n in (1, 2, 5)] == kept
    # 122 parameters with gradient and momentum; the batch norm's 8 statistics and its counter.
    fixed = 4 * (3 * 122 + 8) + 8 + 4 * 2 * 4
    assert of_network(small_network(), RECIPE, (1, 8, 8)) == Need(fixed, 4 * 3 * 36)


def test_what_does_not_train_has_neither_gradient_nor_momentum():
    network = small_network()
    network[0].weight.requires_grad_(False)
    whole = of_network(small_network(), RECIPE, (1, 8, 8))
    assert whole.fixed - of_network(network, RECIPE, (1, 8, 8)).fixed == 2 * 4 * 36


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("quantization", [None, W4A4], ids=["float", "w4a4"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_what_is_kept_grows_by_the_same_for_each_image(name, quantization, precision):
    learner = Learner(network=imagenet(name, 10, 64).network, quantization=quantization)
    network = build(learner, 0, "weights", torch.device("cpu"))
    recipe = Recipe(horizon=1, log_every=1, precision=precision)
    kept = [kept_bytes(network, recipe, images, (3, 64, 64)) for images in (1, 2, 7)]
    assert kept[1] > kept[0]
    assert kept[2] - kept[1] == 5 * (kept[1] - kept[0])


def test_it_is_within_what_torchs_allocator_counts():
    """The allocator also counts what is no tensor of the graph, a little."""

    network = imagenet("resnet18", 10, 64).network
    case = steps.Case("ResNet-18", lambda: None, (4, 3, 64, 64), 10)
    module = build(Learner(network=network), 0, "weights", torch.device("cpu"))
    found = kept_bytes(module, RECIPE, 4, (3, 64, 64))
    assert found <= steps.kept_bytes(module, case, torch.device("cpu")) < 1.05 * found


def test_a_co_study_needs_more_than_tutoring_and_that_more_than_a_self_study():
    own = small.stages()
    of_each = needs([(one, (1, 16, 16)) for one in own])
    found = {stage.label: need for stage, need in zip(own, of_each, strict=True)}
    self_study, co_study, tutoring = (
        found[name] for name in ("self-study", "co-study", "tutoring")
    )
    assert tutoring.image == self_study.image < co_study.image
    assert self_study.fixed < tutoring.fixed < co_study.fixed


def test_the_images_and_both_networks_add_up():
    co_study = next(one for one in small.stages() if one.label == "co-study")
    history, shape = co_study.history, (1, 16, 16)
    parts = [
        of_network(build(learner, 0, "weights", torch.device("cpu")), history.recipe, shape)
        for learner in (history.student, history.teacher)
    ]
    (found,) = needs([(co_study, shape)])
    assert found == Need(parts[0].fixed + parts[1].fixed, sum(p.image for p in parts) + 4 * 256)
    assert found.at(10) == found.fixed + 10 * found.image


def findings(*gpus, parts=1):
    return list(memory(small.stages(), {"synthetic": (1, 16, 16)}, gpus, parts))


def test_without_a_gpu_only_the_need_is_told():
    (found,) = findings()
    assert found.what == "memory of a GPU"
    assert found.found.startswith("co-study of resnet8-width4 <- resnet8-width6 takes ")
    assert " MiB at its batch of 16 " in found.found
    assert "a lower bound" in found.found
    assert found.mend == ""


def test_a_gpu_that_is_too_small_is_told_how_many_micro_batches_fit():
    own = small.stages()
    co_study = next(one for one in own if one.label == "co-study")
    (need,) = needs([(co_study, (1, 16, 16))])
    batch = co_study.history.recipe.batch
    large, half, tiny = findings(need.at(batch), need.at(batch) - 1, need.fixed)
    assert (large.what, large.mend) == ("memory of GPU 0", "")
    assert half.mend.startswith("MICROBATCHES=2 ")
    assert "or 2 GPUs for each stage" in half.mend
    assert tiny.mend.startswith("no number of micro-batches fits")


def test_with_the_micro_batches_that_are_asked_for_it_may_fit():
    co_study = next(one for one in small.stages() if one.label == "co-study")
    (need,) = needs([(co_study, (1, 16, 16))])
    batch = co_study.history.recipe.batch
    (found,) = findings(need.at(batch // 2), parts=2)
    assert found.mend == ""
    assert f"at its batch of {batch} in 2 parts" in found.found


def test_micro_batches_are_equal_parts():
    need = Need(100, 10)
    assert [micro_batches(need, 12, total) for total in (220, 219, 159, 139, 110, 109)] == [
        1,
        2,
        3,
        4,
        12,
        None,
    ]


def test_a_network_that_cannot_be_tried_is_no_reason_to_mend_anything():
    (found,) = memory(small.stages(), {"synthetic": (5, 16, 16)}, (GIB,))
    assert found.found.startswith("could not be estimated: RuntimeError: ")
    assert found.mend == ""
