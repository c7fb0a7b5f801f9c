"""A file of ready weights fills a network, or says why it does not."""

import shutil

import pytest
import torch
from msgspec.structs import replace

from qkd.models.resnet_cifar import resnet
from qkd.spec import Weights
from qkd.weights.files import BadWeights, sha256_of
from qkd.weights.reading import fill


def network(seed=0, width=2):
    torch.manual_seed(seed)
    return resnet(8, width=width, channels=1, classes=3)


def saved(folder, content, **fields):
    """The file of ``content`` in ``folder``, its sha256 known."""
    torch.save(content, folder / "ready.pt")
    weights = Weights(source="file:ready.pt", **fields)
    return replace(weights, sha256=sha256_of(weights, folder))


def assert_same_state(one, other):
    assert list(one.state_dict()) == list(other.state_dict())
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_a_file_of_the_networks_own_names_fills_it(tmp_path):
    source, target = network(1), network(2)
    fill(target, saved(tmp_path, source.state_dict()), tmp_path)
    assert_same_state(source, target)


def test_an_entry_and_other_names_are_found_by_what_the_value_says(tmp_path):
    source, target = network(1), network(2)
    state = {
        f"module.{name.replace('linear.', 'fc.')}": value
        for name, value in source.state_dict().items()
    }
    content = {"epoch": 200, "state_dict": state}
    weights = saved(
        tmp_path, content, entry="state_dict", rename={"module.": "", "module.fc.": "linear."}
    )
    fill(target, weights, tmp_path)
    assert_same_state(source, target)


def test_an_absolute_path_needs_no_data_folder(tmp_path):
    weights = saved(tmp_path, network(1).state_dict())
    target = network(2)
    fill(target, replace(weights, source=f"file:{tmp_path / 'ready.pt'}"), tmp_path / "elsewhere")
    assert_same_state(network(1), target)


def test_old_files_without_counts_of_batches_are_welcome(tmp_path):
    state = {k: v for k, v in network(1).state_dict().items() if "num_batches" not in k}
    target = network(2)
    fill(target, saved(tmp_path, state), tmp_path)
    assert_same_state(network(1), target)


def test_half_precision_becomes_float32(tmp_path):
    state = {
        k: v.half() if v.is_floating_point() else v for k, v in network(1).state_dict().items()
    }
    target = network(2)
    fill(target, saved(tmp_path, state), tmp_path)
    assert target.linear.weight.dtype == torch.float32
    assert torch.equal(target.linear.weight, network(1).linear.weight.half().float())


def test_all_that_does_not_fit_is_listed_and_nothing_is_loaded(tmp_path):
    state = network(1).state_dict()
    del state["bn1.bias"]
    state["extra.weight"] = torch.zeros(2)
    state["linear.weight"] = torch.zeros(7, 8)
    target = network(2)
    with pytest.raises(BadWeights) as caught:
        fill(target, saved(tmp_path, state), tmp_path)
    for words in (
        "ready.pt does not fit ResNet",
        "missing: bn1.bias;",
        "unexpected: extra.weight;",
        "of another shape: linear.weight (7, 8) for (3, 8)",
        "rename={...}",
    ):
        assert words in str(caught.value)
    assert_same_state(network(2), target)


def test_a_long_list_is_cut(tmp_path):
    state = {f"module.{name}": value for name, value in network(1).state_dict().items()}
    with pytest.raises(BadWeights, match=r"unexpected: module\.conv1\.weight, .* and \d+ more"):
        fill(network(2), saved(tmp_path, state), tmp_path)


def test_a_file_of_more_than_weights_says_which_entries_it_has(tmp_path):
    content = {"epoch": 3, "state_dict": network(1).state_dict()}
    with pytest.raises(BadWeights, match=r"by name: epoch, state_dict\. Say by"):
        fill(network(2), saved(tmp_path, content), tmp_path)
    with pytest.raises(BadWeights, match="has no entry 'model', but epoch, state_dict"):
        fill(network(2), saved(tmp_path, content, entry="model"), tmp_path)
    with pytest.raises(BadWeights, match="holds int, where tensors by name are needed"):
        fill(network(2), saved(tmp_path, content, entry="epoch"), tmp_path)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, number):
    state = network(1).state_dict()
    state["bn1.bias"][1] = number
    with pytest.raises(BadWeights, match=r"not finite in bn1\.bias"):
        fill(network(2), saved(tmp_path, state), tmp_path)


def test_two_names_that_become_one_are_refused(tmp_path):
    state = {"a.weight": torch.zeros(1), "b.weight": torch.zeros(1)}
    with pytest.raises(BadWeights, match=r"gives two tensors the name 'linear\.weight'"):
        fill(
            network(2), saved(tmp_path, state, rename={"a.": "linear.", "b.": "linear."}), tmp_path
        )


def test_another_file_than_the_one_meant_is_refused(tmp_path):
    weights = saved(tmp_path, network(1).state_dict())
    other = saved(tmp_path, network(3).state_dict())
    with pytest.raises(BadWeights) as caught:
        fill(network(2), weights, tmp_path)
    assert f"its sha256 is {other.sha256}, not {weights.sha256}" in str(caught.value)
    with pytest.raises(BadWeights, match="not known yet"):
        fill(network(2), replace(weights, sha256=""), tmp_path)


def test_a_file_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(
        BadWeights, match=r"file:gone\.pt cannot be read from .*gone\.pt .*data fold"
    ):
        sha256_of(Weights(source="file:gone.pt"), tmp_path)


def test_nothing_in_a_file_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (shutil.rmtree, (str(tmp_path / "kept"),))

    (tmp_path / "kept").mkdir()
    with pytest.raises(BadWeights, match="no weights that torch can load safely"):
        fill(network(2), saved(tmp_path, {"x": Evil()}), tmp_path)
    assert (tmp_path / "kept").is_dir()


def test_a_mask_of_infinities_is_no_damage(tmp_path):
    def masked():
        made = network(1)
        made.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        return made

    fill(masked(), saved(tmp_path, masked().state_dict()), tmp_path)
    broken = masked()
    broken.bn1.running_mean[0] = torch.inf
    with pytest.raises(BadWeights, match=r"not finite in bn1\.running_mean"):
        fill(masked(), saved(tmp_path, broken.state_dict()), tmp_path)
