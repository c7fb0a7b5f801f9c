"""Each form of ImageNet is timed against ImageFolder on the same photos."""

import pytest

from benchmarks.speed.photos import GOAL, photo_figures
from qkd.data.images import DataError
from tests.support.jpegs import write_photos


def test_each_form_has_its_figure(tmp_path):
    pytest.importorskip("pyarrow")
    wnids = [f"n{number:02d}" for number in range(10)]
    tree = write_photos(tmp_path / "tree", train=60, val=1, wnids=wnids)
    figures = list(photo_figures(tree, rounds=2))
    assert [one.name for one in figures] == ["tree of files", "tar shards", "parquet"]
    assert all(one.ratio > 0 and one.low <= one.ratio <= one.high for one in figures)
    assert {(one.goal, one.better) for one in figures} == {(GOAL, "higher")}


def test_where_there_are_no_photos_it_says_so(tmp_path):
    with pytest.raises(DataError, match="DATA="):
        next(photo_figures(tmp_path))
