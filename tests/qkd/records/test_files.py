import os
from pathlib import Path

import pytest

from qkd.records.files import write_atomically
from tests.support.small import processes


def test_a_file_is_written_and_replaced(tmp_path):
    for content in (b"one", b"", b"two\0"):
        write_atomically(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(("target", "name"), [(os, "fsync"), (Path, "replace")])
def test_a_failed_write_leaves_the_old_file_and_nothing_beside(tmp_path, monkeypatch, target, name):
    write_atomically(tmp_path / "file", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(target, name, full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "file", b"x")


def write_often(path):
    for number in range(200):
        write_atomically(path, bytes([number % 256]) * (10_000 + number))


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"")
    process = processes.Process(target=write_often, args=(path,))
    process.start()
    seen = set()
    while process.is_alive():
        content = path.read_bytes()
        assert len(set(content)) <= 1
        assert not content or len(content) == 10_000 + content[0]
        seen.add(len(content))
    process.join()
    assert process.exitcode == 0
    assert path.read_bytes() == bytes([199]) * 10_199
