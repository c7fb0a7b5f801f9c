"""The doctor sees what photos are, by some of them and by networks of known accuracy."""

import hashlib
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from scipy.stats import binom
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.transforms._presets import ImageClassification

from benchmarks.imagenet_networks import WEIGHTS
from benchmarks.pairs import cifar_resnet, from_file
from qkd.imports import FACTORIES, resolve
from qkd.spec import Stage
from qkd.weights.published import FILES, torchvision
from slurm.doctor import photos as doctor_photos
from slurm.doctor.photos import (
    LOOK_AT,
    band,
    known_accuracies,
    known_accuracy,
    known_top1,
    sampled_classes,
)
from tests.slurm.planning.test_matrices import settings
from tests.support.jpegs import described, write_photos

NAME = "Tiny_Weights.IMAGENET1K_V1"
VAL = 60  # of each of three classes
OWN = cifar_resnet(8, width=16, channels=3, classes=3, size=16).network


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), train=4, val=VAL)


@pytest.fixture(scope="module")
def network(tree: Path) -> nn.Module:
    """A network that knows the classes of every second test image by heart."""
    torch.manual_seed(0)
    found: nn.Module = resolve(OWN.factory, FACTORIES)(**OWN.arguments).eval()
    (name, last) = list(found.named_children())[-1]
    assert isinstance(last, nn.Linear)
    images, labels = torchvisions(tree)
    found.set_submodule(name, nn.Identity())
    with torch.no_grad():
        features = nn.functional.pad(found(images), (0, 1), value=1.0)
        wanted = nn.functional.one_hot(labels, 3).float()
        solved = torch.linalg.lstsq(features[::2], wanted[::2]).solution.T
        last.weight.copy_(solved[:, :-1])
        last.bias.copy_(solved[:, -1])
    found.set_submodule(name, last)
    return found


def torchvisions(tree: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The test images as torchvision reads, labels and cuts them, by code of its own."""
    cut = ImageClassification(crop_size=16, resize_size=20, antialias=True)
    images, labels = zip(*ImageFolder(str(tree / "val"), cut), strict=True)
    return torch.stack(images), torch.tensor(labels)


@pytest.fixture(scope="module")
def top1(network: nn.Module, tree: Path) -> float:
    """Its accuracy as torchvision's own code has it: between chance and certainty, so that the band
    is on both sides of it."""
    images, labels = torchvisions(tree)
    with torch.no_grad():
        found = 100 * float((network(images).argmax(1) == labels).double().mean())
    assert 55 < found < 90
    return found


@pytest.fixture
def history(network, tree, tmp_path, monkeypatch):
    """The network's weights as a published file in the data folder, which links to the photos."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    path = tmp_path / "tiny.pth"
    torch.save(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    file = path.rename(tmp_path / f"tiny-{digest}.pth")
    monkeypatch.setitem(FILES, NAME, file.name)
    for part in ("train", "val"):
        (tmp_path / part).symlink_to(tree / part, target_is_directory=True)
    return from_file(OWN, described(), torchvision(NAME))


def test_a_network_is_as_good_as_it_is_known_to_be(top1, history, tmp_path):
    found = known_accuracy(history, top1, tmp_path, images=120)
    assert found.mend == ""
    assert found.what == f"accuracy of resnet8-width16 (torchvision:{NAME})"
    assert found.found.startswith(f"known top-1 {top1:.2f} %; on 120 test images ")


def test_on_all_images_it_is_right_where_torchvision_says_so(top1, history, tmp_path):
    found = known_accuracy(history, top1, tmp_path, images=10**6)
    assert f"on {3 * VAL} test images {top1:.2f} %, where" in found.found


def test_another_order_of_the_classes_is_found_out(top1, tree, history, tmp_path):
    for part in ("train", "val"):
        (tmp_path / part).unlink()
        (tmp_path / part).mkdir()
        for own, other in (("n01", "n02"), ("n02", "n03"), ("n03", "n01")):
            (tmp_path / part / own).symlink_to(tree / part / other, target_is_directory=True)
    found = known_accuracy(history, top1, tmp_path, images=120)
    assert found.mend == LOOK_AT


def test_another_preprocessing_is_found_out(top1, history, tmp_path):
    wrong = replace(history, data=replace(history.data, mean=(0.0, 0.0, 0.0), std=(9.0, 9.0, 9.0)))
    assert known_accuracy(wrong, top1, tmp_path).mend == LOOK_AT


def test_weights_and_photos_that_cannot_be_used_are_named(history, tmp_path):
    file = tmp_path / FILES[NAME]
    file.write_bytes(file.read_bytes()[:-1])
    found = known_accuracy(history, 70.0, tmp_path)
    assert found.found == "could not be tested"
    assert f"{file} is another file" in found.mend


@pytest.mark.parametrize(("top1", "images"), [(69.758, 500), (99.9, 500), (100.0, 40), (0.0, 7)])
def test_the_band_is_left_once_in_a_thousand_and_could_not_be_narrower(top1, images):
    chances = binom(images, top1 / 100).pmf(range(images + 1))
    low, high = band(top1, images)
    below, above = chances[:low].sum(), chances[high + 1 :].sum()
    assert below <= 5e-4 >= above
    assert below + chances[low] > 5e-4 < above + chances[high]


def test_the_known_accuracies_are_torchvisions():
    found = {name: known_top1(weights.name) for name, weights in WEIGHTS.items()}
    assert found == {
        "resnet18": 69.758,
        "resnet34": 73.314,
        "resnet50": 76.13,
        "resnet101": 77.374,
        "mobilenet_v2": 71.878,
        "efficientnet_b0": 77.692,
    }


def stages_of(history, classes):
    many = replace(history.data, classes=classes)
    return [Stage(history=replace(history, data=many), steps=0)]


def test_who_has_no_file_yet_is_told_that_the_first_run_fetches_it(history, tmp_path):
    (tmp_path / FILES[NAME]).unlink()
    given = settings(DATA=str(tmp_path), SCALE="paper")
    (found,) = known_accuracies(stages_of(history, 1000), given)
    assert found.found == "their file is not there yet: the first run fetches it"
    assert found.mend == ""


def test_who_has_the_file_is_tried_against_what_is_known_of_it(history, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor_photos, "CLASSES", 3)
    monkeypatch.setattr(doctor_photos, "known_top1", {NAME: 99.5}.__getitem__)
    given = settings(DATA=str(tmp_path), SCALE="paper")
    (found,) = known_accuracies(stages_of(history, 3), given)
    assert found.found.startswith("known top-1 99.50 %; on 180 test images ")
    assert found.mend == LOOK_AT


@pytest.mark.parametrize(("scale", "classes"), [("smoke", 1000), ("paper", 3)])
def test_nothing_is_tried_at_smoke_scale_or_on_other_classes(history, tmp_path, scale, classes):
    given = settings(DATA=str(tmp_path), SCALE=scale)
    assert list(known_accuracies(stages_of(history, classes), given)) == []


def test_photos_of_the_classes_are_decoded_and_a_broken_one_is_named(tmp_path: Path) -> None:
    tree = write_photos(tmp_path / "photos")
    found = sampled_classes(described(), tree)
    assert found.mend == ""
    assert found.found == "3 classes in the order n01 ... n03; 3 classes' first photos decoded"
    (tree / "train" / "n02" / "n02_0.JPEG").write_bytes(b"")
    found = sampled_classes(described(), tree)
    assert "n02_0.JPEG: the file is empty" in found.found
    assert found.mend == "unpack it again"
