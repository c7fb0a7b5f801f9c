import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from qkd.data import places
from qkd.data.cache import identify, load
from qkd.data.images import DataError, Images, Split, content_digest
from qkd.data.readers import synthetic
from qkd.data.standard import SYNTHETIC


def cached_files(folder):
    return sorted(folder.glob("cache/*/*.npy"))


@pytest.fixture
def unread(monkeypatch):
    """From now on the reader must not be asked."""

    def forbid():
        def read(folder):
            raise AssertionError("the images were read again")

        replace_reader(monkeypatch, read)

    return forbid


def replace_reader(monkeypatch, read):
    """Another reader under the synthetic images' name, as if it stood in their module."""
    read.__module__ = synthetic.__name__
    monkeypatch.setattr(synthetic, "read", read)


def returning(monkeypatch, split):
    replace_reader(monkeypatch, lambda folder: split)


def test_loading_gives_the_readers_images_in_canonical_order(tmp_path):
    split = load(SYNTHETIC, tmp_path)
    assert content_digest(split) == SYNTHETIC.digest
    keys = [
        (label, image.tobytes())
        for label, image in zip(split.train.labels.tolist(), split.train.images, strict=True)
    ]
    assert keys == sorted(keys)


def test_a_second_load_is_memory_mapped_and_asks_no_reader(tmp_path, unread):
    first = load(SYNTHETIC, tmp_path)
    unread()
    second = load(SYNTHETIC, tmp_path)
    for part, same in zip(first, second, strict=True):
        np.testing.assert_array_equal(part.images, same.images)
        np.testing.assert_array_equal(part.labels, same.labels)
    assert isinstance(second.train.images, np.memmap)
    assert not second.train.images.flags.writeable


def test_a_load_leaves_four_files_and_nothing_else(tmp_path):
    load(SYNTHETIC, tmp_path)
    place = tmp_path / "cache" / SYNTHETIC.digest
    names = ["test-images.npy", "test-labels.npy", "train-images.npy", "train-labels.npy"]
    everything = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert everything == [place / name for name in names]
    assert list((tmp_path / "cache").iterdir()) == [place]


def test_the_order_in_which_a_reader_finds_images_does_not_matter(tmp_path, monkeypatch):
    order = np.random.default_rng(0).permutation(640)
    train, test = synthetic.read(tmp_path)
    returning(monkeypatch, Split(Images(train.images[order], train.labels[order]), test))
    assert content_digest(load(SYNTHETIC, tmp_path)) == SYNTHETIC.digest


def cut(file):
    file.write_bytes(file.read_bytes()[:-5])


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(content)


def spoil_the_header(file):
    file.write_bytes(file.read_bytes().replace(b"'shape'", b"'shap('"))


def empty(file):
    file.write_bytes(b"")


def delete(file):
    file.unlink()


@pytest.mark.parametrize("damage", [cut, flip_a_bit, spoil_the_header, empty, delete])
@pytest.mark.parametrize("number", range(4))
def test_a_damaged_cache_is_built_anew(tmp_path, damage, number):
    load(SYNTHETIC, tmp_path)
    damage(cached_files(tmp_path)[number])
    assert content_digest(load(SYNTHETIC, tmp_path)) == SYNTHETIC.digest
    assert len(cached_files(tmp_path)) == 4
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [SYNTHETIC.digest]


def test_a_file_in_the_place_of_a_cache_is_replaced(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / SYNTHETIC.digest).write_text("in the way")
    load(SYNTHETIC, tmp_path)
    assert len(cached_files(tmp_path)) == 4


def test_several_processes_at_once_get_the_same_images(tmp_path):
    code = (
        "import sys; from pathlib import Path; from qkd.data.cache import load;"
        "from qkd.data.standard import SYNTHETIC;"
        "print(int(load(SYNTHETIC, Path(sys.argv[1])).train.images.sum()))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    expected = f"{int(synthetic.read(tmp_path).train.images.sum())}\n"
    assert [process.communicate()[0] for process in running] == [expected] * 4
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [SYNTHETIC.digest]


def test_identify_fills_in_the_digest_and_caches(tmp_path, unread):
    assert identify(replace(SYNTHETIC, digest=""), tmp_path) == SYNTHETIC
    unread()
    load(SYNTHETIC, tmp_path)


def test_identify_reads_nothing_where_there_is_a_digest(tmp_path, unread):
    unread()
    assert identify(SYNTHETIC, tmp_path) == SYNTHETIC
    assert list(tmp_path.iterdir()) == []


def test_images_with_another_digest_are_an_error_and_not_cached(tmp_path):
    other = replace(SYNTHETIC, digest="0" * 64)
    with pytest.raises(DataError) as caught:
        load(other, tmp_path)
    for word in (str(tmp_path), SYNTHETIC.digest, other.digest, other.reader):
        assert word in str(caught.value)
    assert cached_files(tmp_path) == []


def test_a_missing_data_folder_is_made_where_its_parent_exists(tmp_path):
    load(SYNTHETIC, tmp_path / "data")
    assert len(cached_files(tmp_path / "data")) == 4


def test_a_data_folder_without_a_parent_is_an_error_that_names_it(tmp_path):
    folder = tmp_path / "not-mounted" / "data"
    with pytest.raises(DataError, match=f"the data folder {folder} does not exist") as caught:
        load(SYNTHETIC, folder)
    assert "create it, or name another" in str(caught.value)


def test_a_data_folder_that_is_a_file_is_an_error_before_anything_is_read(tmp_path, unread):
    unread()
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(DataError, match=r"the data folder .*data is a file: name another"):
        load(SYNTHETIC, tmp_path / "data")
    with pytest.raises(DataError, match="does not exist, nor does"):
        load(SYNTHETIC, tmp_path / "data" / "within")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The user's cache folder."""
    places._say.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def closed_by_a_file(folder, _monkeypatch):
    (folder / "cache").write_text("in the way")


def closed_by_rights(folder, monkeypatch):
    """Also for root, whom rights do not stop: of the system's calls, the one that would write."""
    make = Path.mkdir

    def mkdir(path, *arguments, **options):
        if path.parent.is_relative_to(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        make(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)


@pytest.mark.parametrize("close", [closed_by_a_file, closed_by_rights])
def test_what_is_read_of_a_folder_that_cannot_be_written_to_is_kept_elsewhere_and_it_is_said(
    tmp_path, monkeypatch, elsewhere, unread, capsys, close
):
    folder = tmp_path / "data"
    folder.mkdir()
    close(folder, monkeypatch)
    before = sorted(folder.rglob("*"))
    split = load(SYNTHETIC, folder)
    assert content_digest(split) == SYNTHETIC.digest
    (place,) = elsewhere.glob(f"qkd/*/{SYNTHETIC.digest}")
    assert Path(split.train.images.filename).parent == place
    told = capsys.readouterr().err
    assert f"{folder} cannot be written to" in told
    assert f"is kept in {place.parent}" in told
    unread()  # the next time, by another process too, it is there
    assert content_digest(load(SYNTHETIC, folder)) == SYNTHETIC.digest
    assert sorted(folder.rglob("*")) == before


def test_two_folders_that_cannot_be_written_to_have_each_its_place(tmp_path, elsewhere):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cache").write_text("in the way")
        load(SYNTHETIC, tmp_path / name)
    assert len(list(elsewhere.glob(f"qkd/*/{SYNTHETIC.digest}"))) == 2


def test_where_nothing_can_be_written_is_an_error_in_a_line(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("in the way")
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    with pytest.raises(DataError, match=r"cannot be written, nor another one .* name another"):
        load(SYNTHETIC, tmp_path)


def test_a_cache_that_cannot_be_written_is_an_error_and_leaves_nothing(
    tmp_path, monkeypatch, elsewhere
):
    def full(file, array):
        file.write_bytes(b"half")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match=r"No space left on device.*make room"):
        load(SYNTHETIC, tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []
    assert not elsewhere.exists()  # a full disk is no reason to fill another one


def test_a_reader_that_returns_float_images_is_an_error_that_names_it(tmp_path, monkeypatch):
    train, test = synthetic.read(tmp_path)
    returning(monkeypatch, Split(Images(train.images / 255, train.labels), test))
    with pytest.raises(DataError, match=r"qkd.data.synthetic:read in .*, train: images are float"):
        load(SYNTHETIC, tmp_path)


def test_a_reader_that_fails_is_named_with_its_error(tmp_path, monkeypatch):
    def read(folder):
        raise KeyError("labels.csv")

    replace_reader(monkeypatch, read)
    with pytest.raises(DataError, match=r"reader qkd.data.synthetic:read failed.*labels\.csv"):
        load(SYNTHETIC, tmp_path)


@pytest.mark.parametrize("reader", ["qkd.data.nowhere:read", "qkd.data.synthetic:nothing"])
def test_a_reader_that_is_not_there_is_an_error_that_names_it(tmp_path, reader):
    with pytest.raises(DataError, match=f"the reader {reader} failed"):
        load(replace(SYNTHETIC, reader=reader), tmp_path)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": 641}, "has 640 training images, not 641"),
        ({"classes": 9}, "9 classes"),
        ({"mean": (0.5, 0.5)}, "images of 1 channels, but 2 means and 1 standard"),
        ({"std": ()}, "images of 1 channels, but 1 means and 0 standard"),
        ({"held_out": 640}, "640 of 640 training images are held out"),
    ],
)
def test_images_that_are_not_as_described_are_an_error(tmp_path, change, message, cached):
    if cached:
        load(SYNTHETIC, tmp_path)
    with pytest.raises(DataError, match=message):
        load(replace(SYNTHETIC, **change), tmp_path)
