"""The done cells of a matrix are exported one after the other."""

import json
import shutil

import pytest

from tests.support.launching import launch


def test_without_a_stage_a_matrix_or_a_choice_nothing_is_exported(tmp_path):
    code, output = launch("export", tmp_path / "results", tmp_path)
    assert code == 2
    assert "MATRIX=... ONLY=..." in output
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_each_done_cell_of_a_choice_is_exported_and_a_damaged_one_is_told(ablation, data, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(ablation, results)
    for name in ("onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason="make export needs the project's extra 'export'")
    code, output = launch("export", results, data, ONLY="method=qat bits=w2a2", SEEDS="0")
    assert code == 0, output
    assert "[1 of 1]" in output
    (folder,) = (results / "export").iterdir()
    assert json.loads((folder / "export.json").read_text())["record"] == folder.name
    checkpoint = results / "stages" / folder.name / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    code, output = launch("export", results, data, ONLY="method=qat bits=w2a2", SEEDS="0")
    assert code == 1
    assert "error: " in output
    assert "Traceback" not in output
