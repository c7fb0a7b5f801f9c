"""The doctor says what is missing and what mends it."""

from pathlib import Path

import pytest

from benchmarks.settings import from_environment
from qkd.training.portable import obstacles
from qkd.training.processor import processor
from slurm.doctor import arithmetic
from slurm.planning.arithmetic import Arithmetic
from tests.support.launching import launch


def test_all_is_well_on_a_machine_that_can_run(tmp_path: Path) -> None:
    code, output = launch("doctor", tmp_path, tmp_path, REPORT=str(tmp_path / "index.html"))
    assert code == 0, output
    assert "all is well" in output
    assert "640 training and 160 test images" in output


def test_a_path_is_shown_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    results = tmp_path / ("long" * 20)
    _, output = launch("doctor", results, tmp_path, {"COLUMNS": "60"})
    rows = [line.split("\u2502")[1] for line in output.splitlines() if line.startswith("\u2502")]
    assert f"RESULTS={results}" in "".join(row.strip() for row in rows)


def test_it_says_what_the_processor_is_and_whether_portable_holds(tmp_path: Path) -> None:
    known = processor()
    for value in ("0", "1"):
        obstacle = next(obstacles(environment={}), "") if value == "1" else ""
        code, output = launch("doctor", tmp_path, tmp_path, PORTABLE=value)
        assert code == bool(obstacle), output
        text = " ".join(output.replace("\u2502", " ").split())
        assert known.name in text
        assert f"family {known.family}" in text or known.family is None
        assert f"PORTABLE={value} (as asked for)" in text or obstacle in text
        assert obstacle or value == "0" or "torch AVX2, oneDNN Intel AVX2" in text


def test_a_torch_that_passes_over_the_variables_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = from_environment({"QKD_SCALE": "smoke"})
    monkeypatch.setattr(arithmetic, "arithmetic", lambda _: Arithmetic(True, "by default"))
    for taken, mended in (
        (("AVX2", "Intel AVX2", "3"), False),
        (("AVX2", "Intel AVX2", "None"), False),
        (("AVX512", "Intel AVX2", "3"), True),
        (("AVX2", "Intel AVX2 with Intel DL Boost", "3"), True),
        (("AVX2", "?", "3"), True),
        (("AVX2", "Intel AVX2", "1"), True),
    ):
        monkeypatch.setattr(arithmetic, "taken", lambda _, taken=taken: taken)
        *_, found = arithmetic.arithmetic_here(settings)
        assert bool(found.mend) is mended, taken


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
