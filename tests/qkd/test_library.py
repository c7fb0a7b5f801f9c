"""The method in a loop of one's own: the README's example, names that stay, the trainer's bits."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from torch import nn

import qkd
from qkd.models.resnet_cifar import resnet
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.quantizers.packed import read
from qkd.quantizers.quantize import quantized_layers
from qkd.spec import INTERVAL, Recipe
from qkd.training.step import Side, interval_floors, optimiser_of, train_step

README = (Path(qkd.__file__).parent / "README.md").read_text()
RECIPE = Recipe(horizon=10**9, log_every=1, batch=8)  # a schedule that stands still


def network_of(seed=0, channels=3):
    torch.manual_seed(seed)
    return resnet(8, 4, channels, 10).to(memory_format=torch.channels_last)


def batch(step, channels=3):
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(8, channels, 32, 32, generator=generator)
    labels = torch.randint(10, (8,), generator=generator)
    return images.to(memory_format=torch.channels_last), labels


def test_the_readmes_example_runs_as_it_stands():
    pytest.importorskip("onnxscript")
    (example,) = (
        text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "qkd.loss" in text
    )
    network, teacher = network_of(), network_of(1).eval()
    before = {name: value.clone() for name, value in network.named_parameters()}
    batches = [batch(step) for step in range(2)]
    names = {"network": network, "teacher": teacher, "batches": batches, "images": batches[0][0]}
    exec(example, names)  # noqa: S102 (our own README)
    student = names["student"]
    assert student is network
    assert all(not torch.equal(value, student.get_parameter(n)) for n, value in before.items())
    assert len(names["layers"]) == len(list(quantized_layers(student)))
    assert names["layers"][1].weights.bits == 4
    assert names["file"][:1] == b"\x08"  # the protocol buffer's first field, the version
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) <= 16


@pytest.mark.parametrize("phase", [SELF_STUDY, CO_STUDY, TUTORING], ids=lambda one: one.name)
def test_a_loop_of_ones_own_gives_the_trainers_bits(phase):
    """Both networks of each phase, three steps: the losses, groups and floors are the trainer's."""

    def begun():
        student, teacher = qkd.quantize(network_of(), 2, 2), network_of(1)
        student.to(memory_format=torch.channels_last)
        qkd.calibrate(student, batch(0)[0])
        return student, teacher

    student, teacher = begun()
    floors = interval_floors(student)
    sides = (
        Side("student", student, optimiser_of(student, RECIPE), phase.student, floors=floors),
        Side(
            "teacher",
            teacher,
            optimiser_of(teacher, RECIPE) if phase.trains_teacher else None,
            phase.teacher,
        )
        if phase.needs_teacher
        else None,
    )
    for step in range(3):
        train_step(*sides, *batch(step), recipe=RECIPE, seed=0, step=0)

    own, peer = begun()
    learners = [own.train()]
    if phase.trains_teacher:
        learners.append(peer.train())
    else:
        peer.eval()
    optimisers = [
        torch.optim.SGD(qkd.parameter_groups(one), momentum=0.9, foreach=True) for one in learners
    ]
    keep_positive = qkd.positive_intervals(own)
    for step in range(3):
        images, labels = batch(step)
        logits, taught = own(images), peer(images) if phase.needs_teacher else None
        qkd.loss(phase, logits, labels, taught).backward()
        if phase.trains_teacher:
            qkd.loss(phase.teacher, taught, labels, logits).backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        keep_positive()
    for name, value in student.state_dict().items():
        assert torch.equal(value, own.state_dict()[name]), name
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, peer.state_dict()[name]), name


def test_the_names_and_their_arguments_stay():
    """A line here is never taken away or changed; more may come."""
    arguments = {
        name: list(inspect.signature(getattr(qkd, name)).parameters)
        for name in qkd.__all__
        if name.islower()
    }
    assert arguments == {
        "audit": ["network", "images"],
        "calibrate": ["network", "images", "rule"],
        "loss": ["of", "logits", "labels", "peer"],
        "onnx_bytes": ["network", "shape"],
        "packed_bytes": ["network"],
        "parameter_groups": [
            "network",
            "learning_rate",
            "weight_interval_learning_rate",
            "activation_interval_learning_rate",
            "weight_decay",
        ],
        "positive_intervals": ["network"],
        "quantize": [
            "network",
            "weight_bits",
            "activation_bits",
            "edge_bits",
            "depthwise_bits",
            "quantizer",
        ],
    }
    assert (qkd.SELF_STUDY, qkd.CO_STUDY, qkd.TUTORING) == (SELF_STUDY, CO_STUDY, TUTORING)
    with pytest.raises(AttributeError, match="no attribute 'quantise': it has CO_STUDY"):
        _ = qkd.quantise


def test_asking_for_the_package_alone_imports_no_torch():
    code = "import sys, qkd; qkd.SELF_STUDY; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_intervals_stay_above_a_hundredth_of_where_they_began():
    student = qkd.quantize(network_of(), 4, 4)
    qkd.calibrate(student, batch(0)[0])
    keep_positive = qkd.positive_intervals(student)
    intervals = {n: p for n, p in student.named_parameters() if n.endswith(".interval")}
    before = {name: value.item() for name, value in intervals.items()}
    for value in intervals.values():
        value.data.fill_(-1.0)
    keep_positive()
    for name, value in intervals.items():
        assert value.item() == pytest.approx(before[name] / 100)


def test_the_packed_bytes_are_the_networks_own_codes(tmp_path):
    student = qkd.quantize(network_of(), 4, 4, quantizer="baselines.lsq:LSQ")
    qkd.calibrate(student, batch(0)[0], rule="minmax")
    file = tmp_path / "student"
    file.write_bytes(qkd.packed_bytes(student))
    values = read(file).values()
    for name, layer in quantized_layers(student):
        assert torch.equal(values[f"{name}.weight"], layer.weight_quantizer(layer.weight))


@pytest.mark.parametrize("quantizer", [INTERVAL, "baselines.n2uq:N2UQ", "baselines.tqt:TQT"])
def test_what_was_never_calibrated_is_refused(quantizer):
    student = qkd.quantize(network_of(), 4, 4, quantizer=quantizer)
    with pytest.raises(ValueError, match=r"as they were made: qkd\.calibrate the network first"):
        qkd.positive_intervals(student)
    calibrated = qkd.quantize(network_of(), 4, 4, quantizer=quantizer)
    qkd.calibrate(calibrated, batch(0)[0])
    qkd.positive_intervals(calibrated)()
    student.load_state_dict(calibrated.state_dict())
    qkd.positive_intervals(student)()
    with pytest.raises(ValueError, match=r"ResNet has no quantized layer: qkd\.quantize it first"):
        qkd.calibrate(network_of(), batch(0)[0])


def test_quantizers_that_learn_nothing_need_no_calibration():
    student = qkd.quantize(network_of(), 4, 4, quantizer="baselines.dorefa:DoReFa")
    qkd.positive_intervals(student)()


@pytest.mark.parametrize("quantizer", [INTERVAL, "baselines.ewgs:EWGS"])
def test_quantizers_are_made_where_the_network_is(quantizer):
    student = qkd.quantize(network_of().to("meta"), 4, 4, quantizer=quantizer)
    assert {value.device.type for value in student.state_dict().values()} == {"meta"}


def test_a_term_that_grows_is_refused_rather_than_taken_at_its_height():
    growing = replace(TUTORING.student[1], ramp=100)
    with pytest.raises(ValueError, match="grows over 100 steps: give a term without a ramp"):
        qkd.loss([growing], torch.zeros(2, 3), torch.tensor([0, 1]), torch.ones(2, 3))


def test_what_cannot_be_is_refused_in_a_line():
    with pytest.raises(ValueError, match=r"Expected `int` <= 8 .*weight"):
        qkd.quantize(network_of(), 9, 4)
    with pytest.raises(ValueError, match="needs the other network's logits: give peer="):
        qkd.loss(TUTORING, torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="initial interval 'best' is none of"):
        qkd.calibrate(qkd.quantize(network_of(), 4, 4), batch(0)[0], rule="best")
    with pytest.raises(ValueError, match="a first and a last one are needed"):
        qkd.quantize(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), 4, 4)
