"""The doctor says what is missing and what mends it."""

from pathlib import Path

from tests.support.launching import launch


def test_all_is_well_on_a_machine_that_can_run(tmp_path: Path) -> None:
    code, output = launch("doctor", tmp_path, tmp_path, REPORT=str(tmp_path / "index.html"))
    assert code == 0, output
    assert "all is well" in output
    assert "640 training and 160 test images" in output


def test_an_unwritable_folder_and_missing_data_are_found(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("")
    code, output = launch("doctor", file / "results", file / "data", THREADS="999")
    assert code == 1
    assert "4 of" in output  # the cores, two folders, and the data
    assert "THREADS=" in output


def test_records_and_caches_go_only_where_the_name_says_so(tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 4
    for folder in ("stages/one", "matrices", f"cache/{digest}", "cache/not ours", "images"):
        (tmp_path / folder).mkdir(parents=True)
    assert launch("clean-data", tmp_path, tmp_path)[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "images", "matrices", "stages"]
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["not ours"]
    assert launch("clean-records", tmp_path, tmp_path)[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "images"]
