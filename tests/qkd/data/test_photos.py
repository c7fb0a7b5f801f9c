import os
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from torchvision.datasets import ImageFolder

from qkd.data.batches import held_out, trained_indices
from qkd.data.cache import identify, load
from qkd.data.images import DataError
from qkd.data.photos import files as photos
from qkd.data.photos import index as module
from qkd.data.photos.files import Files, digest_of, listing
from qkd.imports import load_file
from qkd.spec import Photos
from tests.support.jpegs import REAL, WNIDS, described, needs_photos, photo, write_photos


@pytest.fixture
def tree(tmp_path):
    return write_photos(tmp_path / "mine")


def paths(files):
    return [os.fsdecode(path) for path in files.paths(np.arange(len(files.labels)))]


def assert_like_image_folder(files, root):
    expected = ImageFolder(root).samples
    assert list(zip(paths(files), files.labels.tolist(), strict=True)) == expected


def test_files_and_labels_are_those_of_torchvisions_image_folder(tree):
    split = load(described(), tree)
    assert_like_image_folder(split.train, tree / "train")
    assert_like_image_folder(split.test, tree / "val")
    assert split.train.shape == (3, 16, 16)


@needs_photos
def test_the_real_photos_are_listed_like_torchvisions_image_folder(tmp_path):
    (tmp_path / "imagenet").symlink_to(REAL)
    data = described(train_images=600, classes=10)
    split = load(data, tmp_path)
    assert_like_image_folder(split.train, tmp_path / "imagenet" / "train")
    assert_like_image_folder(split.test, tmp_path / "imagenet" / "val")
    assert len(split.test.labels) == 500


def test_a_part_has_the_files_at_its_indices(tree):
    data = described(held_out=3)
    train = load(data, tree).train
    held, kept = held_out(data, train), train.part(trained_indices(data))
    assert len(held.labels) == 3
    assert sorted(paths(held) + paths(kept)) == paths(train)


def test_a_data_set_of_photos_gets_the_digest_of_its_files(tree):
    data = identify(described(), tree)
    assert data.digest == digest_of(listing(tree))
    assert load(data, tree).train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    with pytest.raises(DataError, match=r"their digest is .*, not 0{64}"):
        load(replace(data, digest="0" * 64), tree)


def touched(path: Path, content: bytes) -> None:
    """Another content, and a later time, as any program leaves it."""
    then = path.stat().st_mtime_ns if path.exists() else 0
    path.write_bytes(content)
    os.utime(path, ns=(then + 10**9, then + 10**9))


def in_place(path: Path, content: bytes) -> None:
    """Another content of the same size, and the same time."""
    then = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(then, then))


CHANGES = {
    "removed": lambda file: file.unlink(),
    "renamed": lambda file: file.rename(file.with_name("other.JPEG")),
    "moved to another class": lambda file: file.rename(file.parents[1] / "n03" / "a.JPEG"),
    "added": lambda file: touched(file.with_name("more.JPEG"), b"x"),
    "of another size": lambda file: touched(file, file.read_bytes() + b"x"),
    "of other bytes": lambda file: touched(file, file.read_bytes()[:-1] + b"x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_any_file_of_a_small_set_changes_the_digest_although_it_was_known(tree, change):
    before = identify(described(), tree).digest
    CHANGES[change](tree / "val" / "n02" / "n02_1.JPEG")
    assert module.index_of(described(), tree).digest == digest_of(listing(tree)) != before


def test_of_a_large_set_the_content_of_a_sample_is_seen(tree, monkeypatch):
    monkeypatch.setattr(photos, "SAMPLED", 3)  # of 12 training images: the first, middle, last
    before = digest_of(listing(tree))
    unseen, seen = (tree / "train" / name for name in ("n01/n01_1.JPEG", "n03/n03_3.JPEG"))
    in_place(unseen, unseen.read_bytes()[:-1] + b"x")
    assert digest_of(listing(tree)) == before
    in_place(seen, seen.read_bytes()[:-1] + b"x")
    assert digest_of(listing(tree)) != before


def test_where_the_files_lie_does_not_change_the_digest(tree, tmp_path):
    before = digest_of(listing(tree))
    tree.rename(tmp_path / "elsewhere")
    assert digest_of(listing(tmp_path / "elsewhere")) == before


def test_the_files_are_listed_once_while_nothing_changes(tree, monkeypatch, capsys):
    first = load(described(), tree)
    assert "listing the images of photos" in capsys.readouterr().err
    monkeypatch.setattr(module, "digest_of", None)  # not needed again
    again = load(described(), tree)
    assert capsys.readouterr().err == ""
    for one, other in zip(first, again, strict=True):
        assert paths(one) == paths(other)
        assert one.labels.tolist() == other.labels.tolist()


@pytest.mark.parametrize("damage", [b"", b"no index", None])
def test_a_damaged_index_is_made_anew(tree, damage):
    before = identify(described(), tree).digest
    (index,) = (tree / "cache").glob("*/index.npz")
    index.write_bytes(index.read_bytes()[:200] if damage is None else damage)
    assert identify(described(), tree).digest == before
    assert index.stat().st_size > 200


def test_the_index_of_a_folder_that_cannot_be_written_to_is_kept_elsewhere(
    tree, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tree / "cache").write_text("in the way")
    assert len(load(described(), tree).train.labels) == 12
    (index,) = (tmp_path / "home").glob("qkd/*/*/index.npz")
    told = capsys.readouterr().err
    assert f"{tree} cannot be written to" in told
    assert f"their index is kept in {index.parent}" in told
    monkeypatch.setattr(module, "digest_of", None)  # not needed again
    assert len(load(described(), tree).train.labels) == 12
    assert capsys.readouterr().err == ""


def test_where_no_index_can_be_kept_it_costs_no_more_than_time(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    for place in (tree / "cache", tmp_path / "home"):
        place.write_text("in the way")
    assert len(load(described(), tree).train.labels) == 12
    assert "no index is kept" in capsys.readouterr().err


def test_where_the_index_is_kept_is_said(tree, capsys):
    load(described(), tree)
    (index,) = (tree / "cache").glob("*/index.npz")
    assert f"their index is kept in {index.parent}" in capsys.readouterr().err


READER = """
from labels_of_mine import CLASSES
from qkd.data.photos.files import Listing, listed

def read(folder):
    return Listing(folder, CLASSES, *(listed(folder, part, CLASSES) for part in ("train", "val")))
"""


def test_an_edit_of_a_readers_labels_is_seen(tree, user_file):
    labels = "CLASSES = ('n01', 'n02', 'n03')\n"
    user_file("labels_of_mine.py", labels)
    file = user_file("photo_reader_of_mine.py", READER)
    data = replace(described(), reader="photo_reader_of_mine:read")
    load_file(file)
    before, first = load(data, tree), identify(data, tree).digest
    assert paths(load(data, tree).train) == paths(before.train)
    user_file("labels_of_mine.py", "CLASSES = ('n03', 'n02', 'n01')\n")
    for name in ("labels_of_mine", "photo_reader_of_mine"):  # in another process
        del sys.modules[name]
    load_file(file)
    after = load(data, tree)
    firsts = [paths(split.train)[0] for split in (before, after)]
    assert [Path(first).parent.name for first in firsts] == ["n01", "n03"]
    assert identify(data, tree).digest != first


def test_the_index_of_a_reader_of_mine_is_kept_while_its_code_stays(
    tree, user_file, monkeypatch, capsys
):
    user_file("labels_of_mine.py", "CLASSES = ('n01', 'n02', 'n03')\n")
    load_file(user_file("photo_reader_of_mine.py", READER))
    data = replace(described(), reader="photo_reader_of_mine:read")
    load(data, tree)
    capsys.readouterr()
    monkeypatch.setattr(module, "digest_of", None)
    load(data, tree)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": 13}, "has 12 training images, not 13"),
        ({"classes": 4}, "has 3 classes, not 4"),
        ({"mean": (0.5,)}, "3 channels, but there are 1 means and 3 standard"),
        ({"pad": 4}, "pad must be 0, not 4"),
        ({"held_out": 12}, "12 of 12 training images are held out"),
    ],
)
def test_files_that_are_not_as_described_are_an_error(tree, change, message):
    with pytest.raises(DataError, match=message):
        load(replace(described(), **change), tree)


def emptied(folder):
    for file in folder.iterdir():
        file.unlink()


def removed(folder):
    emptied(folder)
    folder.rmdir()


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        (removed, "val/n02", "class 'n02' is in {root}/train, but not in {root}/val"),
        (removed, "train/n02", "class 'n02' is in {root}/val, but not in {root}/train"),
        (emptied, "val/n02", "{root}/val/n02 has no images"),
        (lambda f: touched(f / "a.txt", b""), "val/n02", "{root}/val/n02/a.txt is not a .jpeg"),
    ],
)
def test_a_tree_that_is_not_whole_is_an_error_that_names_the_place(tree, change, where, message):
    change(tree / where)
    with pytest.raises(DataError) as caught:
        load(described(), tree)
    assert str(caught.value).startswith(message.format(root=tree))


def test_what_begins_with_a_dot_is_passed_over(tree):
    (tree / "train" / ".cache").mkdir()
    (tree / "val" / "n01" / ".DS_Store").write_bytes(b"?")
    assert len(load(described(), tree).train.labels) == 12


def test_a_reader_that_returns_something_else_is_named(tree):
    data = replace(described(), reader="qkd.data.synthetic:read")
    with pytest.raises(DataError, match=r"qkd\.data\.synthetic:read failed .* returns a Listing"):
        load(data, tree)


def test_file_names_may_be_any(tree):
    photo(7).save(tree / "val" / "n02" / "Grün <b> $x;.jpeg")
    assert_like_image_folder(load(described(), tree).test, tree / "val")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 21, "resize": 20}, "resize 20 is less than size 21"),
        ({"area": (0.5, 0.4)}, "must ascend"),
        ({"area": (0.5, 1.5)}, "must ascend"),
        ({"ratio": (2.0, 1.0)}, "must ascend"),
    ],
)
def test_cuts_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Photos(**fields)


def test_how_photos_are_cut_is_part_of_what_they_are():
    from qkd.spec.value import digest

    ids = {digest(described(**change)) for change in ({}, {"size": 15}, {"unreadable": "skip"})}
    assert len(ids) == 3
    assert "photos" in repr(described())
    assert tuple(sorted(WNIDS)) == WNIDS


def test_no_list_of_files_is_a_type_of_its_own(tree):
    assert isinstance(load(described(), tree).test, Files)
