import json
import os
from functools import partial

import pandas as pd
import pytest
from msgspec.structs import replace
from rich.console import Console

from qkd.records.files import printable
from qkd.records.record import store_of
from qkd.spec import Method
from report import __main__ as command
from report.__main__ import main
from report.analysis.sections import section
from report.page.terminal import print_summary
from report.reading.readings import read
from report.reading.records import Records
from report.reading.sources import Run
from tests.support.report_records import (
    QAT,
    QKD,
    cell_of,
    matrix,
    record_of,
    write_matrix,
    write_run,
)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The folders of a report that knows of no variable but its own, and of no committed run; gives
    the page."""
    for name in [name for name in os.environ if name.startswith("QKD_")]:
        monkeypatch.delenv(name)
    page = tmp_path / "out" / "index.html"
    monkeypatch.setenv("QKD_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("QKD_REPORT", str(page))
    alone = partial(command.build, reference=tmp_path / "no-reference")
    monkeypatch.setattr(command, "build", alone)
    return page


def no_whole_steps(matrix_file):
    matrix_file["grids"][0]["recipe"]["horizon"] = 21


def a_negative_seed(matrix_file):
    matrix_file["grids"][0]["seeds"] = [-1]


def a_start_of_no_steps(matrix_file):
    matrix_file["grids"][0]["pair"]["student_start"]["parts"] = []


def an_unknown_field(matrix_file):
    matrix_file["more"] = 1


def a_text_for_a_number(matrix_file):
    matrix_file["grids"][0]["recipe"]["horizon"] = "20"


BAD = [no_whole_steps, a_negative_seed, a_start_of_no_steps, an_unknown_field, a_text_for_a_number]


@pytest.mark.parametrize("spoil", BAD)
def test_a_bad_matrix_does_not_stop_the_others(tmp_path, places, capsys, spoil):
    results = tmp_path / "results"
    write_run(results, matrix(methods=(QAT,), seeds=(0,)), {("qat", 0): 70.0})
    write_matrix(results, matrix(name="bad", methods=(QKD, QAT), seeds=(0,)))
    path = results / "matrices" / "bad-smoke.json"
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    assert main() == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "bad-smoke.json is no matrix that can be read" in shown.out
    assert "bad-smoke.json is no matrix that can be read" in places.read_text()
    cells = places.with_name("cells.csv").read_text()
    assert "toy,smoke,toy,resnet8-width4,resnet14-width4,2,2,qat,0,done,70.0000," in cells
    assert "bad,smoke" not in cells


def counts(record):
    content = record.read_json(record.result_file)
    content["student"].update(correct1=10**400)
    record.result_file.write_text(json.dumps(content))


def steps_beyond_the_last(record):
    line = json.loads(record.metrics_file.read_text().splitlines()[0])
    record.metrics_file.write_text(json.dumps(line | {"step": 10**30}) + "\n")


def huge_losses(record):
    lines = [json.loads(text) for text in record.metrics_file.read_text().splitlines()]
    huge = [json.dumps(line | {"losses": {"x": 1.7e308}}) for line in lines]
    record.metrics_file.write_text("\n".join(huge * 2))


def half_a_character(record):
    record.environment_file.write_text('{"host": "\\ud800", "device": "cpu"}')


@pytest.mark.parametrize("damage", [counts, steps_beyond_the_last, huge_losses, half_a_character])
def test_a_bad_record_does_not_stop_the_report(tmp_path, places, capsys, damage):
    results = tmp_path / "results"
    for name in ("one", "toy"):
        run = matrix(methods=(QAT,), seeds=(0, len(name)), name=name)
        write_run(results, run, {("qat", 0): 70.0, ("qat", 3): 70.5})
    damage(record_of(results, cell_of(run, "qat", 3).history))
    assert main() == 0
    assert capsys.readouterr().err == ""
    assert ",qat,0,done,70.0000," in places.with_name("cells.csv").read_text()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("QKD_REPRT", "x", "unknown variable QKD_REPRT"),
        ("QKD_SCALE", "huge", "SCALE=huge is unknown"),
        ("QKD_SEEDS", "a\n\x1b[2J", "SEEDS=a \N{REPLACEMENT CHARACTER}[2J is not a list"),
    ],
)
def test_a_wrong_variable_is_one_line_and_code_2(
    places, monkeypatch, capsys, variable, value, message
):
    monkeypatch.setenv(variable, value)
    assert main() == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(message)
    assert shown.err.count("\n") == 1
    assert not places.exists()


def test_printable_text_is_left_as_it_is_and_the_rest_is_replaced():
    assert printable("a \N{PLUS-MINUS SIGN} [b]\nc") == "a \N{PLUS-MINUS SIGN} [b]\nc"
    assert printable("\x1b[31m\r\t\x00\x9b\u202e\ud800") == "\ufffd[31m" + "\ufffd" * 6


def test_a_file_name_controls_no_terminal(tmp_path, places, capsys):
    folder = tmp_path / "results" / "matrices"
    folder.mkdir(parents=True)
    (folder / "\x1b]0;owned\x07[red].json").write_text("{}")
    assert main() == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\ufffd]0;owned\ufffd[red].json is no matrix" in shown


def test_a_name_controls_no_terminal_and_is_no_markup(tmp_path, capsys):
    evil = Method(name="\x1b[2J[red]qat", shares=QAT.shares)
    toy = replace(matrix(methods=(evil,), seeds=(0,)), name="\x1b[1m[bold]x")
    found = section(read(Run(toy, Records(store_of(tmp_path)))), {})
    print_summary((found,), Console(width=100, color_system=None))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\ufffd[1m[bold]x at scale smoke" in shown
    assert "\ufffd[2J[red]qat" in shown


def test_texts_of_frames_are_pythons_own_whatever_is_installed():
    """Those of pyarrow are UTF-8, which a name with a lone surrogate cannot be."""
    found = pd.Series(["plain", "a\ud800"])
    assert found.dtype.storage == "python"
    assert found.tolist() == ["plain", "a\ud800"]
