"""Features: which layer's input they are, what a term sees of them, and who cannot have them."""

import copy

import pytest
import torch
from msgspec.structs import replace
from torch import nn
from torch.nn import functional

from baselines.qfd import quantized_features
from qkd.library import loss
from qkd.models.mobilenet_cifar import mobilenet_v2
from qkd.models.resnet_cifar import resnet
from qkd.phases import CROSS_ENTROPY, TUTORING
from qkd.quantizers.quantize import quantize
from qkd.records.logits import FOLDER, source_of
from qkd.spec import Learner, Phase, Recipe, Stage, Term
from qkd.spec.history import grown, parents
from qkd.spec.value import digest, validated
from qkd.train import StageFailed, run_stage
from qkd.training.features import Features, compared, features_of, require_seen, seen
from qkd.training.kept import kept_teacher
from qkd.training.step import Side, train_step
from tests.support import small

SHAPE = (1, 16, 16)
QFD = Term(loss="baselines.qfd:quantized_features", target="features")
PHASE = Phase(name="by-features", student=(CROSS_ENTROPY, QFD))
SELF = Learner(network=small.PAIR.student, start=small.PAIR.student_start)


def stage_of(phase=PHASE, teacher=SELF, steps=5):
    history = grown(small.history(), phase, steps, teacher)
    return Stage(history=history, steps=steps)


def quantized():
    torch.manual_seed(0)
    return quantize(resnet(8, 4, 1, 10), small.W2A2)


class Headed(nn.Module):
    """Two linear layers after one another; ``ends`` says what becomes of the logits."""

    def __init__(self, ends="plain"):
        super().__init__()
        self.hidden, self.head, self.ends = nn.Linear(256, 12), nn.Linear(12, 10), ends

    def forward(self, images):
        hidden = functional.relu(self.hidden(images.flatten(1)))
        if self.ends == "twice":
            hidden = hidden + 0 * self.head(hidden).sum()
        logits = self.head(hidden)
        return logits.log_softmax(1) if self.ends == "softmax" else logits


@pytest.mark.parametrize(
    ("make", "layer", "width"),
    [
        (lambda: resnet(8, 4, 1, 10), "linear", 16),
        (quantized, "linear", 16),
        (lambda: mobilenet_v2(0.1, 1, 10), "classifier.1", 1280),
        (Headed, "head", 12),
    ],
)
def test_features_are_by_default_what_goes_into_the_layer_that_gives_the_logits(make, layer, width):
    network = make().train()
    before = copy.deepcopy(network.state_dict())
    assert features_of(network, "", SHAPE) == Features(layer, (width,))
    assert network.training
    assert small.same(dict(network.state_dict()), dict(before))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_a_layer_may_be_named_of_any_kind():
    network = resnet(8, 4, 1, 10)
    assert features_of(network, "layer2.0.conv1", SHAPE) == Features("layer2.0.conv1", (4, 16, 16))
    assert features_of(network, "pool", SHAPE) == Features("pool", (16, 4, 4))


@pytest.mark.parametrize(
    ("network", "name", "says"),
    [
        (Headed("softmax"), "", "has 0 linear layers that give its logits"),
        (nn.Sequential(nn.Flatten(), nn.Unflatten(1, (256,))), "", "has 0 linear layers"),
        (Headed("twice"), "head", "calls head 2 times"),
        (Headed(), "tail", "calls tail 0 times"),
    ],
)
def test_what_is_not_one_layer_called_once_is_refused(network, name, says):
    with pytest.raises(ValueError, match=says) as error:
        features_of(network, name, SHAPE)
    assert "\n" not in str(error.value)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_networks_of_other_widths_are_refused_with_their_layers():
    terms = (CROSS_ENTROPY, QFD)
    same, wider = (resnet(8, width, 1, 10) for width in (4, 6))
    assert compared(terms, quantized(), same, SHAPE) == ({"": "linear"}, {"": "linear"})
    assert compared((CROSS_ENTROPY,), same, wider, SHAPE) == ({}, {})
    with pytest.raises(
        ValueError, match=r"\(16,\) into linear and \(24,\) into linear of the othe"
    ):
        compared(terms, same, wider, SHAPE)
    named = replace(QFD, inputs_of=("conv1", "conv1"))
    assert compared((named,), same, wider, SHAPE) == ({"conv1": "conv1"}, {"conv1": "conv1"})


def test_nothing_stays_hooked_where_a_network_fails():
    network = Headed()
    with pytest.raises(RuntimeError), seen(network, ["head"]):
        network(torch.zeros(2, 1, 3, 3))
    assert not any(m._forward_pre_hooks for m in network.modules())


def before_pool(network, images):
    out = network.relu(network.bn1(network.conv1(images)))
    return network.pool(network.layer3(network.layer2(network.layer1(out)))).flatten(1)


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_a_term_sees_the_features_of_both_and_the_gradient_reaches_the_student_alone(micro_batches):
    torch.manual_seed(0)
    network, teaching = resnet(8, 4, 1, 10).eval(), resnet(14, 4, 1, 10).eval()
    images, labels = torch.randn(8, *SHAPE), torch.arange(8)
    recipe = Recipe(horizon=10, log_every=1, batch=8)
    twin = copy.deepcopy(network)
    wanted = [
        quantized_features(before_pool(twin, part), before_pool(teaching, part).detach())
        for part in images.chunk(micro_batches)
    ]
    torch.stack(wanted).mean().backward()
    student = Side("student", network, torch.optim.SGD(network.parameters(), lr=1.0), (QFD,))
    network.eval()  # batch norms as in evaluation: the parts of a batch are then those of the whole
    teacher = Side("teacher", teaching)
    student.watched, teacher.watched = compared((QFD,), network, teaching, SHAPE)
    begun = {name: one.detach().clone() for name, one in network.named_parameters()}
    for group in student.optimiser.param_groups:
        group["initial_lr"] = 1.0
    values = train_step(
        student,
        teacher,
        images,
        labels,
        recipe=recipe,
        seed=0,
        step=0,
        micro_batches=micro_batches,
    )
    found = values["student_quantized_features"].item()
    assert found == pytest.approx(torch.stack(wanted).mean().item(), rel=1e-5)
    for name, parameter in twin.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        moved = begun[name] - dict(network.named_parameters())[name].detach()
        torch.testing.assert_close(moved, gradient, rtol=1e-3, atol=1e-5)
    assert all(one.grad is None for one in teaching.parameters())


def test_a_teacher_that_learns_sees_the_students_features():
    torch.manual_seed(0)
    network, teaching = resnet(8, 4, 1, 10), resnet(8, 4, 1, 10)
    sides = [
        Side(name, one, torch.optim.SGD([{"params": one.parameters(), "initial_lr": 0.1}]), (QFD,))
        for name, one in (("student", network), ("teacher", teaching))
    ]
    for side in sides:
        side.watched = {"": "linear"}
    recipe = Recipe(horizon=10, log_every=1, batch=8)
    images, labels = torch.randn(8, *SHAPE), torch.arange(8)
    values = train_step(*sides, images, labels, recipe=recipe, seed=0, step=0)
    own, others = (side.features[""].detach() for side in sides)
    assert values["student_quantized_features"].item() == quantized_features(own, others).item()
    assert values["teacher_quantized_features"].item() == quantized_features(others, own).item()


def test_without_features_of_both_a_term_says_so():
    network = resnet(8, 4, 1, 10)
    side = Side("student", network, torch.optim.SGD(network.parameters()), (QFD,))
    logits = side.forward(torch.zeros(2, *SHAPE), 0, 0)
    with pytest.raises(ValueError, match="the student needs features of both networks"):
        side.learn(logits, torch.tensor([0, 1]), None)
    with pytest.raises(ValueError, match="is of features: call it with both networks'"):
        loss((QFD,), logits, torch.tensor([0, 1]), logits)


def test_a_stage_by_features_asks_the_teacher_itself(trained, runtime, tmp_path):
    stage, by_logits = stage_of(), stage_of(TUTORING)
    assert source_of(by_logits) is not None
    assert source_of(stage) is None
    keeping = replace(runtime, kept_logits=(stage.history.digest,))
    teacher = Side("teacher", resnet(8, 4, 1, 10))
    assert kept_teacher(teacher, stage, trained, keeping, batches=None, say=print) is teacher
    store = small.beginning(trained, tmp_path / "stages", *parents(stage))
    run_stage(stage, store, keeping)
    store.refresh()
    record = store.record(stage.history)
    assert "logits_read" not in record.read_json(record.result_file)
    assert not (tmp_path / FOLDER).exists()
    (line,) = small.written(record)
    assert line["losses"]["student_quantized_features"] > 0


def test_networks_whose_widths_differ_stop_a_stage_at_its_begin(trained, runtime, tmp_path):
    stage = stage_of(teacher=small.TEACHER)
    store = small.beginning(trained, tmp_path, *parents(stage))
    with pytest.raises(StageFailed, match="there is no projection between them"):
        run_stage(stage, store, runtime)


def test_compiled_steps_and_several_ranks_are_refused_before_a_record_is_there(
    trained, runtime, tmp_path
):
    stage = stage_of()
    store = small.beginning(trained, tmp_path, *parents(stage))
    with pytest.raises(ValueError, match="by-features compares features, which compiled steps"):
        run_stage(stage, store, replace(runtime, compile=True))
    assert not store.record(stage.history).path.exists()
    with pytest.raises(ValueError, match="several ranks do not show"):
        require_seen(stage, compiled=False, ranks=2)
    require_seen(stage, compiled=False, ranks=1)
    require_seen(stage_of(TUTORING), compiled=True, ranks=2)


def test_layers_are_named_by_two_and_the_id_of_a_term_without_them_is_what_it_was():
    assert digest(replace(QFD, inputs_of=())) == digest(QFD)
    assert validated(replace(QFD, inputs_of=("a", "b"))).inputs_of == ("a", "b")
    for target, names in (("features", ("a",)), ("peer", ("a", "b"))):
        with pytest.raises(ValueError, match="names two layers, of a term of features"):
            replace(QFD, target=target, inputs_of=names)
    assert PHASE.needs_teacher
    assert PHASE.compares_features
    assert not TUTORING.compares_features
