"""A file of ready weights fills a network, or says why it does not."""

import argparse
import hashlib
import shutil

import pytest
import safetensors.torch
import torch
from msgspec.structs import replace

from qkd.models.resnet_cifar import resnet
from qkd.spec import Weights
from qkd.spec.value import canonical, validated
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
    with pytest.raises(BadWeights, match=r"holds more than tensors by name: x\."):
        fill(network(2), saved(tmp_path, {"x": Evil()}), tmp_path)
    assert (tmp_path / "kept").is_dir()


def test_safetensors_is_read_as_it_is(tmp_path):
    state = network(1).state_dict()
    data = safetensors.torch.save(state, metadata={"format": "pt"})
    target = network(2)
    fill(target, written(tmp_path, data, "model.safetensors"), tmp_path)
    assert_same_state(network(1), target)
    fill(network(2), written(tmp_path, data, "no_ending"), tmp_path)
    for damaged in (data[:-5], data[:60], data[:8] + b"{" * 40, data[:8] + b"{"):
        with pytest.raises(
            BadWeights, match=r"model\.safetensors cannot be read as weights: it is"
        ):
            fill(network(2), written(tmp_path, damaged, "model.safetensors"), tmp_path)


def written(folder, data, name="ready.pt", **fields):
    """A file of these bytes, its sha256 known."""
    (folder / name).write_bytes(data)
    return Weights(source=f"file:{name}", sha256=hashlib.sha256(data).hexdigest(), **fields)


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        (lambda state: {"ema": {"module": state, "decay": 0.99}}, "ema.module"),
        (lambda state: {"a": {"b": {"c": state}}}, "a.b.c"),
        (lambda state: {"ema.module": state}, "ema.module"),
        (lambda state: {"a.b": {"c": state}, "a": {"x": 1}}, "a.b.c"),
        (lambda state: {"a": {}, "a.b": {"c": state}}, "a.b.c"),
    ],
)
def test_an_entry_may_lie_within_another(tmp_path, content, entry):
    target = network(2)
    fill(target, saved(tmp_path, content(network(1).state_dict()), entry=entry), tmp_path)
    assert_same_state(network(1), target)


def test_where_tensors_are_is_said_where_the_entry_is_not(tmp_path):
    state = network(1).state_dict()
    content = {"epoch": 3, "state_dict": state, "ema": {"module": state, "steps": 5}}
    for fields in ({}, {"entry": "ema.modul"}):
        with pytest.raises(BadWeights, match=r"\(tensors by name are in state_dict, ema\.module\)"):
            fill(network(2), saved(tmp_path, content, **fields), tmp_path)
    with pytest.raises(BadWeights, match=r"more than tensors by name: module, steps\."):
        fill(network(2), saved(tmp_path, content, entry="ema"), tmp_path)
    with pytest.raises(BadWeights, match=r"holds an object of argparse\.Namespace, where tensors"):
        fill(network(2), saved(tmp_path, argparse.Namespace(state=state)), tmp_path)


def test_what_is_no_weight_is_dropped_by_its_name(tmp_path):
    state = network(1).state_dict()
    more = {"n_averaged": torch.tensor(5), "conv1.total_ops": torch.zeros(1), "total_ops": 7,
            "criterion.weight": torch.ones(2), "criterion.inner.scale": "a text"}  # fmt: skip
    target = network(2)
    drop = ("n_averaged", "total_ops", "criterion.")
    fill(target, saved(tmp_path, state | more, drop=drop), tmp_path)
    assert_same_state(network(1), target)
    del more["total_ops"]
    less = saved(tmp_path, state | more, drop=("n_averaged", "criterion."))
    with pytest.raises(BadWeights, match=r"unexpected: conv1\.total_ops"):
        fill(network(2), less, tmp_path)
    for misspelt in ("averaged", "otal_ops", "criterio.", "riterion."):
        with pytest.raises(BadWeights, match=f"drop='{misspelt}' fits no name in it"):
            fill(network(2), saved(tmp_path, state | more, drop=(misspelt,)), tmp_path)
    with pytest.raises(BadWeights, match=r"missing: conv1\.weight"):
        fill(network(2), saved(tmp_path, state, drop=("weight",)), tmp_path)


def test_a_drop_is_part_of_the_id_and_none_changes_no_id():
    assert canonical(Weights(source="file:x", sha256="0" * 64)) == {"sha256": "0" * 64}
    assert canonical(Weights(source="file:x", drop=("a",))) == {"drop": ["a"]}
    with pytest.raises(ValueError, match="drop"):
        validated(Weights(source="file:x", drop=("",)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "pointer of Git LFS",
        ),
        (b"\n <!DOCTYPE html>\n<title>Sign in</title>", "a web page"),
        (b"<HTML><body>", "a web page"),
        (b"", "empty"),
    ],
)
def test_what_lies_in_the_place_of_weights_is_called_what_it_is(tmp_path, data, says):
    weights = written(tmp_path, data)
    with pytest.raises(BadWeights, match=rf"ready\.pt is .*{says}|is {says}"):
        fill(network(2), weights, tmp_path)
    with pytest.raises(BadWeights, match=says):  # before any plan has an id of it
        sha256_of(weights, tmp_path)


def test_names_of_a_file_are_told_in_one_line(tmp_path):
    state = {"a\nb\x1b[2J": torch.zeros(1)}
    with pytest.raises(BadWeights) as caught:
        fill(network(2), saved(tmp_path, state), tmp_path)
    assert str(caught.value).isprintable()


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
