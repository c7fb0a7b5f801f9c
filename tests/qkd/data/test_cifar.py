import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from qkd.data.images import DataError, Images, Split, content_digest
from qkd.data.readers import cifar
from qkd.data.standard import CIFAR10, CIFAR100
from tests.support.trees import pictures, real_cifar, write_tree

# As the official batches.meta lists them, in the order of their labels.
CIFAR10_NAMES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
CIFAR100_NAMES = [
    "apple",
    "aquarium_fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn_mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple_tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak_tree",
    "orange",
    "orchid",
    "otter",
    "palm_tree",
    "pear",
    "pickup_truck",
    "pine_tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet_pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow_tree",
    "wolf",
    "woman",
    "worm",
]
SETS = {
    "cifar10": (datasets.CIFAR10, CIFAR10_NAMES, "labels", 3, 2),
    "cifar100": (datasets.CIFAR100, CIFAR100_NAMES, "fine_labels", 2, 1),
}


def test_the_official_labels_count_the_names_in_alphabetical_order():
    for names, count in ((CIFAR10_NAMES, 10), (CIFAR100_NAMES, 100)):
        assert names == sorted(names)
        assert len(set(names)) == count


def write_official(folder, name, parts, monkeypatch):
    """The official files of (images (N, 32, 32, 3), labels) by part; their md5s are these files'.

    The images keep the order in which they are given, as the official ones have an order of theirs.
    """
    official, names, key, _, _ = SETS[name]
    place = folder / official.base_folder
    place.mkdir(parents=True)

    def dump(file, content):
        data = pickle.dumps(content, protocol=2)
        (place / file).write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    for listed, part in (("train_list", "train"), ("test_list", "test")):
        files = [file for file, _ in getattr(official, listed)]
        images, labels = (np.array_split(column, len(files)) for column in parts[part])
        entries = [
            [
                file,
                dump(
                    file,
                    {"data": rows.transpose(0, 3, 1, 2).reshape(len(rows), -1), key: some.tolist()},
                ),
            ]
            for file, rows, some in zip(files, images, labels, strict=True)
        ]
        monkeypatch.setattr(official, listed, entries)
    meta = {**official.meta}
    meta["md5"] = dump(meta["filename"], {meta["key"]: names})
    monkeypatch.setattr(official, "meta", meta)
    return place


def shuffled(seed, per_class, classes):
    labels = np.repeat(np.arange(classes), per_class)
    np.random.Generator(np.random.PCG64(seed)).shuffle(labels)
    return pictures(seed, len(labels), 32, 32, 3), labels


@pytest.fixture(params=SETS)
def name(request):
    return request.param


@pytest.fixture
def small(name, monkeypatch):
    """A set like CIFAR with a few images for each class, and its parts."""
    _, names, _, train, test = SETS[name]
    kind = getattr(cifar, name.upper())
    few = kind._replace(train_of_class=train, test_of_class=test)
    monkeypatch.setattr(cifar, name.upper(), few)
    return {"train": shuffled(5, train, len(names)), "test": shuffled(6, test, len(names))}


def read(folder, name):
    return getattr(cifar, name)(folder)


def test_the_same_images_have_the_same_digest_whichever_way_they_came(
    name, small, tmp_path, monkeypatch
):
    names = SETS[name][1]
    write_official(tmp_path / "official", name, small, monkeypatch)
    write_tree(tmp_path / "tree" / name, small, names)
    write_tree(tmp_path / "bare", small, names)
    expected = Split(
        *(Images(images.transpose(0, 3, 1, 2), labels) for images, labels in small.values())
    )
    for way in ("official", "tree", "bare"):
        split = read(tmp_path / way, name)
        assert content_digest(split) == content_digest(expected), way
    train = read(tmp_path / "official", name).train
    np.testing.assert_array_equal(train.images, expected.train.images)
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)


def test_an_official_file_with_another_md5_is_named(name, small, tmp_path, monkeypatch):
    place = write_official(tmp_path, name, small, monkeypatch)
    file = place / SETS[name][0].test_list[0][0]
    file.write_bytes(file.read_bytes() + b"?")
    with pytest.raises(DataError) as caught:
        read(tmp_path, name)
    assert str(caught.value).startswith(f"{file} has another md5 than the official file")
    file.unlink()
    with pytest.raises(DataError) as caught:
        read(tmp_path, name)
    assert str(caught.value).startswith(f"{file} is missing")
    assert "remove the folder" in str(caught.value)


def test_a_class_with_too_few_images_is_named(name, small, tmp_path):
    names = SETS[name][1]
    tree = write_tree(tmp_path / name, small, names)
    next((tree / "train" / names[7]).iterdir()).unlink()
    count = SETS[name][3]
    with pytest.raises(DataError) as caught:
        read(tmp_path, name)
    expected = f"class {names[7]!r} has {count - 1} images in {tree / 'train'}, not {count}"
    assert str(caught.value).startswith(expected)


def test_a_tree_of_another_number_of_classes_is_refused(name, small, tmp_path):
    write_tree(tmp_path / name, {p: (i[:1], [0]) for p, (i, _) in small.items()}, ["only"])
    with pytest.raises(DataError, match=rf"{name} has 1 classes, not"):
        read(tmp_path, name)


def test_what_is_nowhere_is_fetched_by_torchvision_and_appears_whole(
    name, small, tmp_path, monkeypatch
):
    official = SETS[name][0]
    away = write_official(tmp_path / "away", name, small, monkeypatch)

    def download(self):
        away.rename(Path(self.root) / official.base_folder)

    monkeypatch.setattr(official, "download", download)
    folder = tmp_path / "data"
    folder.mkdir()
    assert len(read(folder, name).train.labels) == len(small["train"][1])
    assert [path.name for path in folder.iterdir()] == [official.base_folder]


def test_what_cannot_be_fetched_says_where_it_was_looked_for(name, tmp_path, monkeypatch):
    def download(self):
        raise RuntimeError("Error downloading x.tar.gz")

    monkeypatch.setattr(SETS[name][0], "download", download)
    with pytest.raises(DataError) as caught:
        read(tmp_path, name)
    for word in (f"{tmp_path / name}", SETS[name][0].base_folder, "Error downloading x.tar.gz"):
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("data", [CIFAR10, CIFAR100], ids=lambda data: data.name)
def test_the_real_images_have_the_digest_of_the_standard_set(data, tmp_path, monkeypatch):
    found = real_cifar(data.name)
    if found is None:
        pytest.skip(f"the real {data.name} is not on this machine")
    parts, names = found
    kind = {"cifar10": cifar.CIFAR10, "cifar100": cifar.CIFAR100}[data.name]
    assert names == SETS[data.name][1]
    write_official(tmp_path, data.name, parts, monkeypatch)
    split = read(tmp_path, data.name)
    assert content_digest(split) == data.digest
    assert split.train.images.shape == (data.train_images, 3, 32, 32)
    assert np.bincount(split.train.labels).tolist() == [kind.train_of_class] * data.classes
    assert np.bincount(split.test.labels).tolist() == [kind.test_of_class] * data.classes
