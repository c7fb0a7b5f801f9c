import os
import shutil

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.io import savemat
from torchvision.datasets import imagenet as torchvisions

from qkd.data.cache import identify, load
from qkd.data.images import DataError
from qkd.data.readers import imagenet
from tests.support.jpegs import described, write_photos

WNIDS = ("n01", "n02", "n03")
NUMBERS = {"n03": 1, "n01": 2, "n02": 3, "n00": 4}  # as the kit counts; n00 is no leaf


def write_kit(root, truth):
    """The two files of the development kit that labels are read from, as the official ones are."""
    kit = root / imagenet.DEVKIT / "data"
    kit.mkdir(parents=True)
    (kit / imagenet.GROUND_TRUTH).write_text("".join(f"{number}\n" for number in truth))
    kinds = [
        ("ILSVRC2012_ID", "O"),
        ("WNID", "O"),
        ("words", "O"),
        ("gloss", "O"),
        ("num_children", "O"),
    ]
    synsets = np.array(
        [(n, w, f"{w}, so called", "", int(w == "n00")) for w, n in NUMBERS.items()], kinds
    )
    savemat(kit / "meta.mat", {"synsets": synsets[:, None]})
    return kit


def flattened(tree):
    """The tree with its validation images in one folder, and the kit that says their classes."""
    val = tree / "val"
    files = sorted(val.glob("*/*"), key=lambda file: file.name)
    for file in files:
        file.rename(val / file.name)
    for folder in [entry for entry in val.iterdir() if entry.is_dir()]:
        folder.rmdir()
    return write_kit(tree, [NUMBERS[file.parent.name] for file in files])


@pytest.fixture
def tree(tmp_path):
    """Validation files whose names do not follow their classes, as the official ones."""
    root = write_photos(tmp_path / "ilsvrc")
    files = sorted((root / "val").glob("*/*"))
    for number, file in zip((3, 1, 5, 2, 6, 4), files, strict=True):
        file.rename(file.with_name(f"ILSVRC2012_val_{number:08d}.JPEG"))
    return root


def labels_by_name(files):
    names = [name.rpartition(b"/")[2] for name in files.names.tolist()]
    return dict(zip(names, files.labels.tolist(), strict=True))


def test_a_flat_folder_with_the_kit_is_the_same_data_as_a_tree(tree):
    data = identify(described(), tree)
    before = labels_by_name(load(data, tree).test)
    flattened(tree)
    assert labels_by_name(load(data, tree).test) == before
    assert len(set(before.values())) == 3


def test_the_kit_is_read_as_torchvision_reads_it(tree, tmp_path, monkeypatch):
    kit = flattened(tree)
    found = labels_by_name(load(described(), tree).test)
    # torchvision reads the kit from its archive, whose md5 only the official one has.
    archive = shutil.make_archive(str(tmp_path / "kit"), "gztar", tree, imagenet.DEVKIT)
    monkeypatch.setattr(torchvisions, "_verify_archive", lambda *_: None)
    torchvisions.parse_devkit_archive(tmp_path, archive)
    _, wnids = torchvisions.load_meta_file(tmp_path)
    names = sorted(os.fsencode(file.name) for file in (tree / "val").iterdir())
    assert found == {name: WNIDS.index(wnid) for name, wnid in zip(names, wnids, strict=True)}
    assert kit.is_dir()


def test_another_ground_truth_is_other_data(tree):
    kit = flattened(tree)
    before = identify(described(), tree).digest
    truth = (kit / imagenet.GROUND_TRUTH).read_text().split()
    (kit / imagenet.GROUND_TRUTH).write_text("\n".join(reversed(truth)))
    assert identify(described(), tree).digest != before


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda kit: (kit / "meta.mat").unlink(), "val has no class folders: unpack"),
        (lambda kit: cut(kit / "meta.mat"), "meta.mat cannot be read"),
        (lambda kit: (kit / imagenet.GROUND_TRUTH).write_text("1\n2\n"), "6 images, .* 2 lines"),
        (lambda kit: (kit / imagenet.GROUND_TRUTH).write_text("one"), "is no list of numbers"),
        (lambda kit: (kit / imagenet.GROUND_TRUTH).write_text("4\n" * 6), "names class 4"),
    ],
)
def test_a_kit_that_does_not_fit_is_an_error_that_names_it(tree, change, message):
    change(flattened(tree))
    with pytest.raises(DataError, match=message):
        load(described(), tree)


def test_the_tree_may_lie_within_the_data_folder_as_imagenet(tree, tmp_path):
    tree.rename(tmp_path / "imagenet")
    assert load(described(), tmp_path).train.root == tmp_path / "imagenet"


def test_where_there_is_nothing_the_message_says_what_is_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"there is no train/<wnid>/\*\.JPEG in"):
        load(described(), tmp_path)
    (tmp_path / "train" / "n01").mkdir(parents=True)
    with pytest.raises(DataError, match=r"there is no folder .*val"):
        load(described(), tmp_path)


FEW = {"reader": "qkd.data.imagenet:read_few", "train_images": 600, "classes": 10}


def few(tree, **change):
    """What `read_few` finds there, as a data set of its own."""
    return load(replace(described(), **{**FEW, **change}), tree)


@pytest.fixture
def larger(tmp_path):
    """More than is taken: twelve classes, 61 training and 11 validation images of each."""
    wnids = [f"n{number:02d}" for number in range(12)]
    root = tmp_path / "larger"
    for part, count in (("train", 61), ("val", 11)):
        for wnid in wnids:
            (root / part / wnid).mkdir(parents=True)
            for number in range(count):
                (root / part / wnid / f"{wnid}_{number:02d}.JPEG").write_bytes(b"never decoded")
    return root


def test_few_are_the_first_of_the_first_classes(larger):
    split = few(larger)
    for part, folder, count in ((split.train, "train", 60), (split.test, "val", 10)):
        assert part.names.tolist() == [
            f"{folder}/n{label:02d}/n{label:02d}_{number:02d}.JPEG".encode()
            for label in range(10)
            for number in range(count)
        ]
        assert part.labels.tolist() == [label for label in range(10) for _ in range(count)]


def test_few_of_a_flat_folder_are_of_the_same_classes(tree):
    found = {"train_images": 12, "classes": 3}
    before = labels_by_name(few(tree, **found).test)
    flattened(tree)
    assert labels_by_name(few(tree, **found).test) == before


def test_few_have_the_digest_of_what_is_taken(larger):
    data = replace(described(), **FEW)
    before = identify(data, larger).digest
    (larger / "train" / "n11" / "n11_00.JPEG").write_bytes(b"of a class that is not taken")
    assert identify(data, larger).digest == before
    (larger / "val" / "n09" / "n09_09.JPEG").write_bytes(b"of one that is")
    assert identify(data, larger).digest != before


def test_too_few_are_an_error(tree):
    with pytest.raises(DataError, match="has 12 training images, not 600"):
        few(tree)
