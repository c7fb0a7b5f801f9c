"""Parquet files that are not right are refused by file and row."""

import pytest

from qkd.data.cache import load
from qkd.data.images import DataError
from tests.support.jpegs import described, write_photos
from tests.support.packed import write_parquet


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("tree") / "mine")


def without(table, column):
    return table.drop_columns([column])


def as_text(table, column):
    place = table.schema.get_field_index(column)
    return table.set_column(place, column, table[column].cast("string"))


def as_bytes(table, column):
    place = table.schema.get_field_index(column)
    return table.set_column(place, column, [[b"x"] * len(table)])


def with_a_gap(table, column):
    values = [*table[column].to_pylist()[:-1], None]
    import pyarrow

    place = table.schema.get_field_index(column)
    return table.set_column(place, column, pyarrow.array(values, table[column].type))


def turned(table, column):
    from pyarrow import compute

    place = table.schema.get_field_index(column)
    return table.set_column(place, column, compute.subtract(2, table[column]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": without}, r"00000-of-00002\.parquet has no column 'label', but image"),
        ({"image": without}, r"00000-of-00002\.parquet has no column 'image', but label"),
        ({"label": as_text}, r"00000-of-00002\.parquet: column 'label' is of string, not int64"),
        ({"image": as_bytes}, r"00000-of-00002\.parquet: column 'image' is of binary, not struct"),
        ({"label": with_a_gap}, r"00000-of-00002\.parquet: row 6 lacks bytes, path or label"),
        ({"image": with_a_gap}, r"00000-of-00002\.parquet: row 6 lacks bytes, path or label"),
        ({"label": turned}, r"parquet: row \d has label \d, but 'n0\d' is class \d of the 3"),
    ],
)
def test_parquet_that_is_not_right_is_an_error_that_names_file_and_row(
    tree, tmp_path, change, message
):
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=message):
        load(described(), write_parquet(tree, tmp_path / "bad", **change))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_file_that_others_count_and_that_is_not_there_is_missed(tree, tmp_path, part):
    """Of training images the matrix knows how many there are; of test images only the files do."""
    pytest.importorskip("pyarrow")
    folder = write_parquet(tree, tmp_path / "bad", of=5)
    files = sorted((folder / "data").glob(f"{part}-*"))
    files[-1].unlink()
    message = (
        rf"has {len(files) - 1} of the {len(files)} files data/{part}-\*-of-0000{len(files)}: add"
    )
    with pytest.raises(DataError, match=message):
        load(described(), folder)


def test_parquet_without_a_row_is_an_error_that_names_it(tree, tmp_path):
    pytest.importorskip("pyarrow")
    folder = write_parquet(tree, tmp_path / "bad", label=lambda table, _: table.slice(0, 0))
    with pytest.raises(DataError, match=r"train-00000-of-0000\d\.parquet has no photos"):
        load(described(), folder)


def test_parquet_that_ends_early_is_an_error(tree, tmp_path):
    pytest.importorskip("pyarrow")
    folder = write_parquet(tree, tmp_path / "bad")
    file = sorted(folder.glob("data/train*"))[1]
    whole = file.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"train-00001-of-00002\.parquet cannot be read"):
            load(described(), folder)
