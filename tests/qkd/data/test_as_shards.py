"""ImageNet in any form, written anew as tar shards."""

import pytest

from qkd.data.as_shards import main, write
from qkd.data.images import DataError
from qkd.data.photos.files import digest_of
from qkd.data.photos.within import content
from qkd.data.readers import imagenet
from tests.support.jpegs import write_photos
from tests.support.packed import write_parquet, write_shards


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Its names are ImageNet's own, or ones that no key of a shard could have."""
    root = write_photos(tmp_path_factory.mktemp("tree") / "mine")
    first = min((root / "train").glob("*/*"))
    first.rename(first.with_name("a.b, c.jpeg"))
    return root


@pytest.mark.parametrize("form", ["tree", "shards", "parquet"])
def test_shards_of_each_form_are_the_same_set(form, tree, tmp_path):
    source = tree
    if form == "parquet":
        pytest.importorskip("pyarrow")
        source = write_parquet(write_photos(tmp_path / "official"), tmp_path / "parquet")
    elif form == "shards":
        source = write_shards(write_photos(tmp_path / "official"), tmp_path / "shards")
    found = imagenet.read(source)
    assert write(found, tmp_path / "made", photos=5) == 3 + 2
    made = imagenet.read(tmp_path / "made")
    assert digest_of(made) == digest_of(found)
    for one, other in ((made.train, found.train), (made.test, found.test)):
        pairs = zip(made.addresses(one), found.addresses(other), strict=True)
        assert all(content(first) == content(second) for first, second in pairs)


def test_the_command_says_which_folder_is_the_set(tree, tmp_path, capsys):
    assert main([str(tree), str(tmp_path / "made")]) == 0
    assert "2 shards are in" in capsys.readouterr().out
    assert sorted(file.name for file in (tmp_path / "made").iterdir()) == [
        "train-000000.tar",
        "val-000000.tar",
    ]


def test_a_folder_that_holds_something_stays_as_it_is(tree, tmp_path, capsys):
    (tmp_path / "mine").write_text("kept")
    assert main([str(tree), str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_photos_that_are_gone_are_an_error_and_no_shard(tmp_path):
    root = write_photos(tmp_path / "tree")
    found = imagenet.read(root)
    min((root / "train").glob("*/*")).unlink()
    with pytest.raises(DataError, match=r"n01_0\.JPEG"):
        write(found, tmp_path / "made")
    assert not list((tmp_path / "made").glob("*.tar"))


def test_two_folders_are_asked_for(capsys):
    assert main(["one"]) == 2
    assert "SOURCE TARGET" in capsys.readouterr().err
