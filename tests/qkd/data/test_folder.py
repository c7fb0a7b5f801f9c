import numpy as np
import pytest
from PIL import Image

from qkd.data.cache import load
from qkd.data.images import DataError, content_digest
from qkd.data.readers import folder as module
from qkd.data.readers.folder import read, read_tree
from qkd.spec import Data
from tests.support.trees import pictures, write_tree

NAMES = ["ape", "bee"]
IMAGES = {"train": pictures(1, 6, 4, 5, 3), "test": pictures(2, 4, 4, 5, 3)}
LABELS = {"train": [1, 0, 1, 1, 0, 0], "test": [0, 1, 1, 0]}


@pytest.fixture
def tree(tmp_path):
    parts = {part: (IMAGES[part], LABELS[part]) for part in IMAGES}
    return write_tree(tmp_path / "mine", parts, NAMES)


def test_images_and_labels_are_those_of_the_files(tree):
    for part, found in zip(("train", "test"), read(tree), strict=True):
        order = sorted(range(len(LABELS[part])), key=lambda i, p=part: (LABELS[p][i], i))
        assert found.labels.tolist() == sorted(LABELS[part])
        assert found.labels.dtype == np.int64
        np.testing.assert_array_equal(found.images, IMAGES[part][order].transpose(0, 3, 1, 2))


def test_grey_images_have_one_channel(tmp_path):
    grey = {part: (images[..., 0], LABELS[part]) for part, images in IMAGES.items()}
    train, test = read(write_tree(tmp_path, grey, NAMES))
    assert train.images.shape == (6, 1, 4, 5)
    assert test.images.shape == (4, 1, 4, 5)


def test_labels_follow_the_names_and_not_the_order_on_disk(tmp_path):
    images, labels = pictures(3, 3, 2, 2, 3), [0, 1, 2]
    names = ["b", "a", "B"]  # by their bytes: B, a, b
    split = read(write_tree(tmp_path, {"train": (images, labels), "test": (images, labels)}, names))
    np.testing.assert_array_equal(split.train.images, images[[2, 1, 0]].transpose(0, 3, 1, 2))


def test_the_digest_does_not_depend_on_the_names_of_files(tree, tmp_path):
    before = content_digest(read(tree))
    (tree / "train" / "ape" / "00001.png").rename(tree / "train" / "ape" / "zebra.PNG")
    assert content_digest(read(tree)) == before


def test_many_images_are_decoded_by_several_processes_to_the_same_pixels(tree, monkeypatch):
    alone = read(tree)
    monkeypatch.setattr(module, "CHUNK", 2)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    began = []

    class Pool(module.ProcessPoolExecutor):
        def __init__(self, workers, **arguments):
            began.append(workers)
            super().__init__(workers, **arguments)

    monkeypatch.setattr(module, "ProcessPoolExecutor", Pool)
    together = read(tree)
    assert began == [2, 2]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.images, other.images)


def test_an_error_in_another_process_names_the_file_too(tree, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    broken = tree / "train" / "bee" / "00003.png"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=f"{broken} cannot be read as an image"):
        read(tree)


def test_progress_is_told(tree, monkeypatch, capsys):
    monkeypatch.setattr(module, "CHUNK", 1)
    monkeypatch.setattr(module, "TOLD", 3)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {0}, raising=False)
    read(tree)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        f"reading {tree / 'train'}: 3 of 6 images",
        f"reading {tree / 'train'}: 6 of 6 images",
    ]


def cut(path):
    path.write_bytes(path.read_bytes()[:50])


DAMAGES = {
    "cut short": (cut, "{file} cannot be read as an image"),
    "empty": (lambda path: path.write_bytes(b""), "{file} cannot be read as an image"),
    "another size": (
        lambda path: Image.fromarray(pictures(4, 4, 6, 3)).save(path),
        "{file} has 6x4 pixels in 3 channels, where {first} has 5x4 pixels in 3 channels",
    ),
    "grey among coloured": (
        lambda path: Image.fromarray(pictures(4, 4, 5)).save(path),
        "{file} has 5x4 pixels in 1 channel, where {first} has 5x4 pixels in 3 channels",
    ),
    "with alpha": (
        lambda path: Image.fromarray(pictures(4, 4, 5, 4)).save(path),
        "{file} is an image of mode RGBA: convert it",
    ),
    "16 bits": (
        lambda path: Image.fromarray(pictures(4, 4, 5).astype(np.uint16)).save(path),
        "{file} is an image of mode I;16: convert it",
    ),
    "another suffix": (
        lambda path: path.rename(path.with_suffix(".webp")),
        "{stem}.webp is neither a .png nor a .jpg file",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_does_not_fit_is_named(tree, damage):
    change, message = DAMAGES[damage]
    file, first = tree / "test" / "bee" / "00002.png", tree / "train" / "ape" / "00001.png"
    change(file)
    with pytest.raises(DataError) as caught:
        read(tree)
    expected = message.format(file=file, first=first, stem=file.with_suffix(""))
    assert str(caught.value).startswith(expected)


def emptied(folder):
    for file in folder.iterdir():
        file.unlink()


def removed(folder):
    emptied(folder)
    folder.rmdir()


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        (removed, "test/bee", "class 'bee' is in {root}/train, but not in {root}/test"),
        (removed, "train/bee", "class 'bee' is in {root}/test, but not in {root}/train"),
        (emptied, "test/bee", "class 'bee' has no images in {root}/test"),
    ],
)
def test_a_class_that_is_not_in_both_parts_is_named(tree, change, where, message):
    change(tree / where)
    with pytest.raises(DataError) as caught:
        read(tree)
    assert str(caught.value).startswith(message.format(root=tree))


def test_a_folder_without_a_tree_says_what_a_tree_is(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*train: a tree of images is"):
        read(tmp_path)
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match=r"train has no class folders"):
        read(tmp_path)


def test_what_begins_with_a_dot_is_passed_over(tree):
    (tree / "train" / ".cache").mkdir()
    (tree / "test" / "ape" / ".DS_Store").write_bytes(b"?")
    assert len(read(tree).train.labels) == 6


def test_a_tree_is_a_data_set_of_ones_own(tree):
    data = Data(
        name="mine",
        reader="qkd.data.folder:read",
        train_images=6,
        classes=2,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
    )
    assert content_digest(load(data, tree)) == content_digest(read_tree(tree))
    assert sorted(path.name for path in tree.iterdir()) == ["cache", "test", "train"]
    assert len(load(data, tree).test.labels) == 4


def test_a_jpeg_is_read_like_its_decoder_gives_it(tree):
    for part, names in (("train", NAMES), ("test", NAMES)):
        for name in names:
            for file in (tree / part / name).iterdir():
                with Image.open(file) as image:
                    image.save(file.with_suffix(".JPG"), quality=90)
                file.unlink()
    train = read(tree).train
    with Image.open(tree / "train" / "ape" / "00001.JPG") as image:
        expected = np.asarray(image).transpose(2, 0, 1)
    np.testing.assert_array_equal(train.images[0], expected)
