"""`make report` as a command: what it writes, what it refuses, what it prints."""

import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from functools import partial
from io import BytesIO, TextIOWrapper

import pytest
from rich.console import Console

from qkd.records.files import print_plainly_where_needed
from report import __main__ as command
from report.__main__ import main
from report.build import collect
from report.page.terminal import print_summary
from report.reading.sources import REFERENCE, holds_results
from tests.support.report_records import matrix, write_run


def test_the_command_writes_its_files_and_imports_no_torch(tmp_path):
    write_run(tmp_path / "results", matrix(seeds=(0,)), {("qkd", 0): 70.0, ("qat", 0): 69.0})
    code = (
        "import sys; from report.__main__ import main; code = main();"
        "loaded = {'torch', 'torchvision', 'qkd.train'} & set(sys.modules);"
        "sys.exit(f'{loaded} were imported' if loaded else code)"
    )
    page = tmp_path / "out" / "index.html"
    places = {"QKD_RESULTS": str(tmp_path / "results"), "QKD_REPORT": str(page)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | places,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == str(page)
    assert "qkd" in done.stdout
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "cells.csv",
        "frames.zip",
        "index.html",
        "summary.csv",
        "takeaway.zip",
    ]


def test_a_report_whose_output_nobody_reads_is_written_and_no_error(tmp_path):
    write_run(tmp_path / "results", matrix(seeds=(0,)), {("qkd", 0): 70.0, ("qat", 0): 69.0})
    code = (
        "import functools, sys; from pathlib import Path; from report import __main__ as command;"
        "command.build = functools.partial(command.build, reference=Path('nowhere'));"
        "sys.exit(command.main())"
    )
    page = tmp_path / "index.html"
    places = {"QKD_RESULTS": str(tmp_path / "results"), "QKD_REPORT": str(page)}
    known = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    read, write = os.pipe()
    os.close(read)  # as `| head` does once it has enough
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=known | places,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
    assert page.exists()


def test_a_report_that_cannot_be_written_is_one_clear_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "results" / "matrices").mkdir(parents=True)
    monkeypatch.setenv("QKD_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("QKD_REPORT", str(tmp_path / "file" / "index.html"))
    alone = partial(command.build, reference=tmp_path / "no-reference")
    monkeypatch.setattr(command, "build", alone)
    assert main() == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("The report cannot be written to")


@pytest.mark.parametrize(("name", "says"), [("resluts", "is no folder"), ("", "holds no run")])
def test_results_that_are_none_are_said_and_nothing_is_reported(
    tmp_path, monkeypatch, capsys, name, says
):
    monkeypatch.setenv("QKD_RESULTS", str(tmp_path / name))
    monkeypatch.setenv("QKD_REPORT", str(tmp_path / "page" / "index.html"))
    assert main() == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"RESULTS={tmp_path / name} {says}: nothing was reported\n"
    assert list(tmp_path.iterdir()) == []


def test_our_own_results_are_some_before_any_run():
    assert holds_results(REFERENCE.parent)


def test_the_terminal_has_the_users_own_runs_and_names_the_committed_ones(tmp_path, capsys):
    write_run(tmp_path / "own", matrix(seeds=(0,), name="mine"), {("qkd", 0): 91.0})
    for results, shown in (("own", ["mine"]), ("none", None)):
        sections = collect(tmp_path / results).sections
        committed = [one.readings.run.key[0] for one in sections if one.is_reference]
        assert {"lengths", "evidence", "ablation"} <= set(committed)
        print_summary(sections, Console(width=100, color_system=None))
        printed = capsys.readouterr().out
        titles = re.findall(
            r"^(\S+) at scale \w+(?: \(the committed reference\))?: .* on ", printed, re.M
        )
        assert list(dict.fromkeys(titles)) == (shown or list(dict.fromkeys(committed)))
        *_, last = printed.splitlines()
        named = [name for name in committed if re.search(rf"\b{name}\b", last)]
        assert named == (committed if shown else [])


def test_on_a_terminal_of_ascii_the_summary_is_printed_too(tmp_path):
    write_run(tmp_path, matrix(seeds=(0, 1)), {("qkd", 0): 91.0, ("qkd", 1): 92.0})
    with redirect_stdout(TextIOWrapper(BytesIO(), encoding="ascii")) as out:
        print_plainly_where_needed()
        print_summary(collect(tmp_path, tmp_path / "none").sections, Console(width=100))
    out.seek(0)
    assert re.search(r"91\.50 \+- \d", out.read())
