"""The five steps: the first alone reads, and no class of one has the name of another's."""

import ast
import shutil
from collections import Counter
from pathlib import Path

import report
from report import build as building
from tests.support.report_records import FP, QAT, QKD, matrix, write_run

ROOM = Path(report.__file__).parent
TREES = {file: ast.parse(file.read_text()) for file in sorted(ROOM.rglob("*.py"))}


def test_no_two_classes_have_the_same_name():
    names = Counter(
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_once_all_is_read_the_page_needs_no_file_of_the_results(tmp_path, monkeypatch):
    results, page = tmp_path / "results", tmp_path / "index.html"
    values = {("qkd", 0): 72.0, ("qkd", 1): 71.0, ("qat", 0): 70.0}
    write_run(results, matrix(methods=(FP, QKD, QAT), seeds=(0, 1)), values)
    building.build(results, page, tmp_path / "none")
    expected = page.read_bytes()
    collected = building.collect(results, tmp_path / "none")
    shutil.rmtree(results)
    monkeypatch.setattr(building, "collect", lambda *_: collected)
    building.build(results, page, tmp_path / "none")
    assert page.read_bytes() == expected
