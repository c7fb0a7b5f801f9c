"""Three forms of one set: a tree, tar shards and parquet files are the same photos."""

import io
import json
import os
import tarfile

import numpy as np
import pytest
import torch

from qkd.data.batches import evaluation_batches, training_batches
from qkd.data.cache import identify, load
from qkd.data.images import DataError
from qkd.data.photos import decoding
from qkd.data.photos import index as module
from qkd.data.photos.within import content
from qkd.data.readers import imagenet
from tests.support.jpegs import REAL, described, needs_photos, photo, write_photos
from tests.support.packed import add, write_parquet, write_shards

FORMS = ("shards", "named in json", "parquet")
CPU = torch.device("cpu")


def written(form, tree, folder):
    if form == "parquet":
        pytest.importorskip("pyarrow")
        return write_parquet(tree, folder)
    return write_shards(tree, folder, by="cls" if form == "shards" else "json")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = write_photos(tmp_path_factory.mktemp("tree") / "mine")
    for number, file in enumerate(sorted((root / "val").glob("*/*"))):
        file.rename(file.with_name(f"ILSVRC2012_val_{97 - number:08d}.JPEG"))
    return root


@pytest.fixture(params=FORMS)
def packed(request, tree, tmp_path):
    return written(request.param, tree, tmp_path / "packed")


def assert_same_set(data, packed, tree):
    """Names, labels, order, bytes and digest."""
    assert identify(data, packed).digest == identify(data, tree).digest
    for one, other in zip(load(data, packed), load(data, tree), strict=True):
        assert one.names.tolist() == other.names.tolist()
        assert one.labels.tolist() == other.labels.tolist()
        every = np.arange(len(one.labels))
        pairs = zip(one.paths(every), other.paths(every), strict=True)
        assert all(content(first) == content(second) for first, second in pairs)


def test_they_are_one_set_of_one_digest(packed, tree):
    assert_same_set(described(), packed, tree)


def crops(data, folder):
    """Three training batches and every evaluation crop."""
    split = load(data, folder)
    batches = training_batches(data, split.train, 3, 4, CPU)
    every = [*(batches.batch(step) for step in range(3))]
    every += evaluation_batches(split.test, data, CPU)
    return [torch.cat([images.flatten(), labels]) for images, labels in every]


def test_they_give_the_same_crops(packed, tree):
    for one, other in zip(crops(described(), packed), crops(described(), tree), strict=True):
        assert torch.equal(one, other)


def test_decoding_processes_read_them_too(packed, tree):
    data = described()
    split = load(data, packed, loaders=1)
    found = training_batches(data, split.train, 3, 4, CPU).batch(0)
    expected = training_batches(data, load(data, tree).train, 3, 4, CPU).batch(0)
    decoding.end_pool()
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@needs_photos
@pytest.mark.parametrize("form", FORMS)
def test_the_real_photos_are_one_set_in_each_form(form, tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "imagenet").symlink_to(REAL)
    packed = written(form, REAL, tmp_path / "packed")
    data = described(train_images=600, classes=10)
    assert_same_set(data, packed, tmp_path / "tree")
    for one, other in zip(crops(data, packed), crops(data, tmp_path / "tree"), strict=True):
        assert torch.equal(one, other)


def test_few_of_them_are_the_few_of_the_tree(tmp_path):
    wnids = [f"n{number:02d}" for number in range(11)]
    tree = write_photos(tmp_path / "tree", train=2, val=1, wnids=wnids)
    few, of_tree = (imagenet.read_few(f) for f in (write_shards(tree, tmp_path / "tar"), tree))
    assert few.classes == of_tree.classes == tuple(wnids[:10])
    for part in ("train", "test"):
        one, other = getattr(few, part), getattr(of_tree, part)
        assert one.names.tolist() == other.names.tolist()
        assert len(one.places) == len(one.names)


def test_a_tree_counts_before_what_lies_beside_it(tree, tmp_path):
    packed = write_shards(tree, tmp_path / "both")
    for part in ("train", "val"):
        (packed / part).symlink_to(tree / part)
    assert not imagenet.read(packed).containers


def test_shards_may_lie_in_folders_of_their_parts(tree, tmp_path):
    flat, sorted_ = write_shards(tree, tmp_path / "flat"), tmp_path / "sorted"
    for part in ("train", "val"):
        (sorted_ / part).mkdir(parents=True)
        for number, file in enumerate(sorted(flat.glob(f"*{part}*"))):
            file.rename(sorted_ / part / f"{number}.tar")
    assert_same_set(described(), sorted_, tree)


def test_they_are_listed_once_while_nothing_changes(packed, monkeypatch, capsys):
    first = load(described(), packed)
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(module, "digest_of", None)  # not needed again
        again = load(described(), packed)
    assert capsys.readouterr().err == ""
    every = np.arange(len(first.train.labels))
    assert first.train.paths(every) == again.train.paths(every)
    file = packed / first.train.containers[0]
    os.utime(file, ns=(1, 1))
    load(described(), packed)
    assert "listing the images" in capsys.readouterr().err


def test_a_shard_that_is_cut_while_it_is_read_fails_by_its_name(tree, tmp_path):
    packed = write_shards(tree, tmp_path / "packed")
    train = load(described(), packed).train
    for name in train.containers:
        (packed / name).write_bytes(b"")
    with pytest.raises(OSError, match=r"photos-train-000\d\.tar: train/n01/.*ends early"):
        decoding.decode(train.paths(np.array([0]))[0])


def test_a_test_part_without_labels_is_passed_over(tree, tmp_path):
    pytest.importorskip("pyarrow")
    folder = write_parquet(tree, tmp_path / "packed")
    (folder / "data" / "test-00000-of-00001.parquet").write_bytes(b"never read")
    assert_same_set(described(), folder, tree)


# What is wrong with a shard.


def shard(folder, members, name="train-0.tar"):
    """A set whose first shard has these members (name, content), beside good ones."""
    folder.mkdir(exist_ok=True)
    jpeg = io.BytesIO()
    photo(1).save(jpeg, "JPEG")
    good = [("n01/n01_0.jpg", jpeg.getvalue()), ("n01/n01_0.cls", b"0")]
    for file in ("train-0.tar", "val-0.tar"):
        with tarfile.open(folder / file, "w") as tar:
            for member, text in [*good, *(members if file == name else ())]:
                add(tar, member, text)
    return folder


BAD = {
    "climbs": ([("../n01/n01_1.jpg", b"x"), ("../n01/n01_1.cls", b"0")], "that is no <class>"),
    "is of the root": ([("/n01/n01_1.jpg", b"x"), ("/n01/n01_1.cls", b"0")], "that is no <class>"),
    "has no label": ([("n01/n01_1.jpg", b"x")], "'n01/n01_1.jpg' has no label"),
    "has no photo": ([("n01/n01_1.cls", b"0")], "'n01/n01_1' has a label and no photo"),
    "has two photos": ([("n01/n01_0.png", b"x")], "second photo of its key"),
    "has no number": ([("n01/a.jpg", b"x"), ("n01/a.cls", b"one")], "b'one', which is no number"),
    "has no json": ([("n01/a.jpg", b"x"), ("n01/a.json", b"[1")], "which is no JSON object"),
    "has a json list": ([("n01/a.jpg", b"x"), ("n01/a.json", b"[1]")], "which is no JSON object"),
    "has a text label": (
        [("n01/a.jpg", b"x"), ("n01/a.json", json.dumps({"label": "1"}).encode())],
        "no number and no text",
    ),
    "has labels that differ": (
        [("n01/n01_0.json", json.dumps({"label": 2}).encode())],
        "says label 2, another member 0",
    ),
    "has another order": ([("n02/a.jpg", b"x"), ("n02/a.cls", b"0")], "'n02' is class 1 of the 2"),
    "has no such class": ([("n01/a.jpg", b"x"), ("n01/a.cls", b"7")], "'n01' is class 0 of the 1"),
    "tells no class": ([("a.jpg", b"x"), ("a.cls", b"0")], "which tells no class"),
    "names two classes": ([("n01/n02_1.jpg", b"x"), ("n01/n02_1.cls", b"0")], "names two classes"),
    "has a photo twice": (
        [("x/n01_0.jpg", b"x"), ("x/n01_0.cls", b"0")],
        "are both train/n01/n01_0.JPEG",
    ),
    "has a long label": ([("n01/a.cls", b"0" * 2**21)], "no label is as long"),
    "lacks a class": ([("n02/a.jpg", b"x"), ("n02/a.cls", b"1")], "'n02' has no photo in val"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_shard_that_is_not_right_is_an_error_that_names_it(tmp_path, case):
    members, message = BAD[case]
    with pytest.raises(DataError, match=r"\n?") as caught:
        load(described(), shard(tmp_path / "bad", members))
    said = str(caught.value)
    assert message in said
    assert "train-0.tar" in said or case == "lacks a class"
    assert "\n" not in said
    assert {file.name for file in tmp_path.iterdir()} == {"bad"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_plain_file_is_refused(tmp_path, kind):
    folder = shard(tmp_path / "bad", [])
    with tarfile.open(folder / "train-0.tar", "a") as tar:
        member = tarfile.TarInfo("n01/n01_1.jpg")
        member.type, member.linkname = kind, "../../secret"
        tar.addfile(member)
    with pytest.raises(DataError, match=r"train-0\.tar: member 'n01/n01_1\.jpg' is no plain file"):
        load(described(), folder)


def test_a_shard_that_ends_early_anywhere_is_an_error(tmp_path):
    folder = shard(tmp_path / "bad", [("n01/n01_1.jpg", b"x" * 700), ("n01/n01_1.cls", b"0")])
    file = folder / "train-0.tar"
    with tarfile.open(file) as tar:
        end = max(member.offset_data + 512 for member in tar)
    whole = file.read_bytes()
    for length in range(0, end + 1, 256):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"train-0\.tar.* (cannot be read|ends early)"):
            load(described(), folder)


def test_a_header_that_is_damaged_is_no_end(tmp_path):
    folder = shard(tmp_path / "bad", [("n01/n01_1.jpg", b"x"), ("n01/n01_1.cls", b"0")])
    file = folder / "train-0.tar"
    with tarfile.open(file) as tar:
        begin = tar.getmembers()[2].offset
    whole = bytearray(file.read_bytes())
    whole[begin : begin + 20] = b"?" * 20
    file.write_bytes(whole)
    with pytest.raises(DataError, match=r"train-0\.tar ends early, or is damaged, after member"):
        load(described(), folder)


def test_shards_of_one_part_are_not_enough(tmp_path):
    folder = shard(tmp_path / "bad", [])
    (folder / "val-0.tar").unlink()
    with pytest.raises(DataError, match=r"has \*\.tar files, but none named val"):
        load(described(), folder)


@pytest.mark.parametrize("name", ["photos-train-val-0001.tar", "train/val-0.tar"])
def test_a_shard_that_is_named_after_both_parts_is_refused(tmp_path, name):
    """Else its photos would be trained on and tested on."""
    folder = shard(tmp_path / "bad", [("n01/n01_1.jpg", b"x"), ("n01/n01_1.cls", b"0")])
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / "train-0.tar").rename(folder / name)
    with pytest.raises(DataError, match=f"{name} is named after train and val: which part has it"):
        load(described(), folder)


def test_a_photo_whose_name_has_a_dot_is_no_photo_of_webdatasets_and_refused(tmp_path):
    """Its key would end at the dot, and the photo be passed over."""
    members = [("n01/n01.1.jpg", b"x"), ("n01/n01.1.cls", b"0")]
    folder = shard(tmp_path / "bad", members)
    with pytest.raises(DataError, match=r"member 'n01/n01\.1\.jpg' has the key 'n01/n01' and no"):
        load(described(), folder)
    beside = shard(tmp_path / "good", [("n01/n01_0.small.jpg", b"x")])
    with pytest.raises(DataError, match="has 1 training images"):  # but for that it is in order
        load(described(), beside)
