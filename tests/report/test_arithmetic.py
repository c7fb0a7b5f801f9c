"""Whose arithmetic the numbers have: a warning where it differs, the line beside the committed run,
and the section on repeatability."""

import json
from io import StringIO
from math import isnan

import pytest
from msgspec.structs import replace
from rich.console import Console

from benchmarks.contrasts import MINUS
from benchmarks.plan import plan
from benchmarks.repeatability.figures import Pair, Repeatability, Run, rows_of
from benchmarks.speed.figures import Machine
from qkd.spec.history import prefix
from qkd.spec.value import encode
from report.analysis.methods import MethodRow
from report.build import build, collect
from report.frames.cells import CellRow
from report.frames.tidy import rows
from report.page.repeatability import repeatability_view
from report.page.section import section_view
from report.page.terminal import print_summary
from tests.support.report_records import KD, QAT, QKD, matrix, record_of, write_run

METHODS = (QKD, QAT, KD)
TOP1S = {(m, s): 70.0 + s for m in ("qkd", "qat", "kd") for s in (0, 1)}
PORTABLE = {"portable": True, "torch": "2.14.1", "device": "cpu", "threads": 1}


def run(results, **environment):
    toy = matrix(methods=METHODS, seeds=(0, 1), scale="laptop")
    write_run(results, toy, TOP1S)
    for planned in plan(toy.cells()).stages.values():
        where(results, planned.stage.history, **environment)
    return toy


def where(results, history, **environment):
    """Writes where a stage was trained."""
    record_of(results, history).environment_file.write_text(json.dumps(environment))


def weighed(results, toy, digest):
    """Every result with a digest of its weights."""
    for planned in plan(toy.cells()).stages.values():
        path = record_of(results, planned.stage.history).result_file
        path.write_text(json.dumps({**json.loads(path.read_text()), "weights_sha256": digest}))


def warnings(tmp_path):
    (section,) = collect(tmp_path / "results", tmp_path / "none").sections
    return [one.arithmetic for one in section_view(section, tmp_path, set()).settings]


def test_two_processors_are_one_arithmetic_where_both_were_held_to_the_same(tmp_path):
    toy = run(tmp_path / "results", **PORTABLE, device_name="Intel X")
    other = next(cell.history for cell in toy.cells() if cell.method.name == "kd")
    where(tmp_path / "results", other, **PORTABLE, device_name="AMD Y")
    assert warnings(tmp_path) == [""]


@pytest.mark.parametrize(
    "other",
    [
        {"device_name": "AMD Y", "torch": "2.14.1", "device": "cpu", "threads": 1},
        {**PORTABLE, "device_name": "Intel X", "torch": "2.13.0"},
    ],
)
def test_cells_of_another_arithmetic_are_said_to_be_so_and_how_many(tmp_path, other):
    toy = run(tmp_path / "results", **PORTABLE, device_name="Intel X")
    cell = next(cell.history for cell in toy.cells() if cell.method.name == "kd")
    where(tmp_path / "results", cell, **other)
    (warning,) = warnings(tmp_path)
    assert "5 cells: PORTABLE=1, torch 2.14.1" in warning
    assert "1 cells: " in warning
    page = tmp_path / "index.html"
    build(tmp_path / "results", page, tmp_path / "none")
    assert warning.partition(":")[0] in page.read_text()


def test_the_arithmetic_of_a_cell_is_that_of_every_stage_of_its_path(tmp_path):
    toy = run(tmp_path / "results", **PORTABLE, device_name="Intel X")
    cell = next(one for one in toy.cells() if (one.method.name, one.seed) == ("qkd", 1))
    elsewhere = {**PORTABLE, "portable": False, "device_name": "AMD Y"}
    where(tmp_path / "results", prefix(cell.history, 3), **elsewhere)  # its self-studying alone
    (section,) = collect(tmp_path / "results", tmp_path / "none").sections
    found = {(row.method, row.seed): row.arithmetic for row in rows(section.cells, CellRow)}
    assert found["qkd", 0] == "PORTABLE=1, torch 2.14.1"
    assert found["qkd", 1] == "AMD Y, torch 2.14.1, PORTABLE=0; then PORTABLE=1, torch 2.14.1"
    # Plain QAT goes on from the same self-studying, plain KD does not.
    ns = {one.contrast.label: one.n for one in section.groups[0].compared}
    assert ns[f"qkd {MINUS} kd"] == (1, 2)
    assert ns[f"qkd {MINUS} qat"] == (1, 1)


def test_means_are_of_the_most_numerous_arithmetic_alone(tmp_path):
    results = tmp_path / "results"
    toy = matrix(methods=METHODS, seeds=(0, 1, 2), scale="laptop")
    top1s = {("qkd", 0): 70.0, ("qkd", 1): 71.0, ("qkd", 2): 99.0}
    top1s |= {("kd", seed): 60.0 for seed in (0, 1, 2)}
    write_run(results, toy, top1s | {("qat", 0): 69.0, ("qat", 1): 69.5, ("qat", 2): 70.0})
    for planned in plan(toy.cells()).stages.values():
        history = planned.stage.history
        where(results, history, **PORTABLE, device_name="Intel X")
    for cell in toy.cells():
        if cell.method.name == "kd" or (cell.method.name, cell.seed) == ("qkd", 2):
            where(results, cell.history, **PORTABLE | {"portable": False, "device_name": "AMD Y"})
    (section,) = collect(results, tmp_path / "none").sections
    found = {row.method: row for row in rows(section.methods, MethodRow)}
    one = found["qkd"]
    assert (one.n, one.mean, one.top1s) == (2, 70.5, {0: 70.0, 1: 71.0})
    assert (found["qat"].n, found["qat"].mean) == (3, 69.5)
    assert (found["kd"].n, found["kd"].not_there) == (0, "of another arithmetic")
    assert isnan(found["kd"].mean)
    words = {one.contrast.second: one.verdict for one in section.groups[0].compared}
    assert words["kd"] == "of another arithmetic"
    page = tmp_path / "index.html"
    build(results, page, tmp_path / "none")
    assert "QKD against plain KD: of another arithmetic." in page.read_text()


@pytest.mark.parametrize(
    ("own", "line"),
    [
        ("a" * 64, "all 6 cells equal the committed run, bit for bit"),
        ("b" * 64, "6 of 6 cells differ from the committed run:"),
    ],
)
def test_the_section_says_whether_its_bits_are_the_committed_runs(tmp_path, own, line):
    for results, digest in (("reference/toy", "a" * 64), ("results", own)):
        weighed(tmp_path / results, run(tmp_path / results, **PORTABLE), digest)
    (section,) = collect(tmp_path / "results", tmp_path / "reference").sections
    assert section.committed[0] == line
    page = tmp_path / "index.html"
    build(tmp_path / "results", page, tmp_path / "reference")
    assert line in page.read_text()
    terminal = Console(file=StringIO(), width=40)
    print_summary([section], terminal)
    assert f"toy at scale laptop: {line}" in terminal.file.getvalue().splitlines()


def test_a_reference_is_not_set_beside_itself(tmp_path):
    run(tmp_path / "reference" / "toy", **PORTABLE)
    (section,) = collect(tmp_path / "results", tmp_path / "reference").sections
    assert section.committed == ()


def repeated(**changes):
    runs = tuple(
        Run(
            bits=bits,
            instructions=name,
            capability=name,
            seed=seed,
            top1=80.0 + seed,
            weights_sha256="",
        )
        for bits in ("W2A2", "FP")
        for name, seed in (("AVX2", 0), ("AVX2", 1), ("AVX512", 0))
    )
    numbers = ((0, 1, 0.09), (0, 2, 0.085), (3, 4, 0.02), (3, 5, 0.001))
    pairs = tuple(Pair(first=a, second=b, differing=d, distance=0.5) for a, b, d in numbers)
    machine = Machine(
        name="toy",
        processor="Toy <b>7</b>",
        device="cpu",
        cores=2,
        threads=1,
        torch="2.0",
        date="2026-01-02",
    )
    found = Repeatability(
        machine=machine,
        cell="net on data",
        steps=400,
        images=10_000,
        runs=runs,
        pairs=pairs,
        rows=tuple(rows_of(runs, pairs)),
    )
    return replace(found, **changes)


def test_the_table_of_repeatability_is_that_of_the_file(tmp_path):
    view = repeatability_view(repeated(), "toy")
    cells = [[cell.text for cell in row.cells] for row in view.table.rows]
    assert cells[0] == ["W2A2", "instruction sets", "1", "8.50", "0.00", "50.00"]
    assert cells[3] == ["float", "seeds", "1", "2.00", "1.00", "50.00"]
    assert view.sentences[0] == (
        "At W2A2 another instruction set changes 8.50 % of the answers, another seed 9.00 %."
    )
    folder = tmp_path / "results" / "repeatability"
    folder.mkdir(parents=True)
    (folder / "toy.json").write_bytes(encode(repeated()))
    (folder / "bad.json").write_text("{")
    page = tmp_path / "index.html"
    report = build(tmp_path / "results", page, tmp_path / "none")
    text = page.read_text()
    assert view.sentences[1] in text
    assert "Toy &lt;b&gt;7&lt;/b&gt;" in text
    assert "repeatability/bad.json cannot be read" in text
    assert report.sections == ()
