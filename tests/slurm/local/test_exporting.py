"""The done cells of a matrix are exported one after the other."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from qkd.export import writing
from qkd.export.consumers import onnxruntime_cpu
from qkd.export.told import Told
from qkd.records.record import store_of
from qkd.spec.value import decode
from slurm.local.exporting import export_cells
from tests.support import small
from tests.support.exported import WHY
from tests.support.launching import launch

DONE, DAMAGED, MISSING = (
    small.stage(*parts).history for parts in (small.CO_STUDIED, small.SELF_STUDIED, small.TUTORED)
)


def test_without_a_stage_a_matrix_or_a_choice_nothing_is_exported(tmp_path):
    code, output = launch("export", tmp_path / "results", tmp_path)
    assert code == 2
    assert "MATRIX=... ONLY=..." in output
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_done_cells_are_exported_and_others_told_in_a_line(
    tmp_path, trained, runtime, monkeypatch, capsys
):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=WHY)
    results = tmp_path / "results"
    for history in (DONE, DAMAGED):
        source = trained.record(history).path
        shutil.copytree(source, results / "stages" / source.name)
    store = store_of(results)
    histories = {history.digest: history for history in (DAMAGED, DONE, MISSING)}
    work = SimpleNamespace(
        plan=SimpleNamespace(cell_stages=[(None, digest) for digest in (*histories, DONE.digest)]),
        record=lambda digest: store.record(histories[digest]),
        settings=SimpleNamespace(matrix="ablation", results=results, data=Path(runtime.data)),
    )
    checkpoint = store.record(DAMAGED).checkpoint_file
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    monkeypatch.setattr(writing, "CONSUMERS", onnxruntime_cpu.CONSUMERS[4:5])
    assert export_cells(work) == 1
    shown = capsys.readouterr()
    assert "[1 of 2]" in shown.out
    assert "[2 of 2]" in shown.out
    assert "1 of 3 stages are not done" in shown.out
    assert shown.err.count("error: ") == 1
    (folder,) = (results / "export").iterdir()
    assert folder.name == store.record(DONE).path.name
    assert not decode((folder / "export.json").read_bytes(), Told).failures
