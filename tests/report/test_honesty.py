"""What the numbers rest on is all there: deviations, failures, compute, splits, launches."""

import json

from msgspec.structs import replace

from benchmarks.matrix import Skip
from benchmarks.plan import plan
from qkd.marks import marks
from qkd.records.launches import launches
from report.build import collect
from report.page.facts import facts
from report.page.honesty import honesty
from report.page.overview import overview
from tests.support.report_records import (
    QAT,
    QKD,
    cell_of,
    line,
    matrix,
    record_of,
    renamed,
    write_failed,
    write_matrix,
    write_run,
)


def sections(tmp_path):
    return collect(tmp_path / "results", tmp_path / "no-reference").sections


def texts(table):
    return [[cell.plain for cell in row.cells] for row in table.rows]


def launch(**changes):
    known = {
        "matrix": "toy",
        "scale": "smoke",
        "time": "2026-11-24T07:58:10Z",
        "workers": 2,
        "stages": 4,
        "whole": True,
        "wall_seconds": 90.0,
        "training_seconds": 60.0,
    }
    return json.dumps(known | changes) + "\n"


def stage_of(toy, method, seed):
    return plan(toy.cells()).stages[cell_of(toy, method, seed).history.digest].stage


def test_a_run_in_which_all_went_well_has_nothing_to_list(tmp_path):
    write_run(tmp_path / "results", matrix(methods=(QAT,), seeds=(0,)), {("qat", 0): 70.0})
    kept = honesty(sections(tmp_path))
    assert (kept.deviations, kept.not_done, kept.failures) == (None, None, None)
    assert len(kept.marks.rows) == len(marks())
    assert kept.counted.startswith(f"{len(marks())} values: ")


def test_the_deviations_of_every_run_each_once(tmp_path):
    for name, own in (("one", ("shorter", "smaller")), ("two", ("shorter",))):
        toy = renamed(matrix(methods=(QAT,), seeds=(0,), name=name), deviations=own)
        write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    assert texts(honesty(sections(tmp_path)).deviations) == [
        ["shorter", "one, smoke; two, smoke"],
        ["smaller", "one, smoke"],
    ]


def test_every_cell_without_a_number_is_listed_with_its_reason(tmp_path):
    toy = matrix(methods=(QKD, QAT), seeds=(0, 1, 2))
    grid = replace(toy.grids[0], skips=(Skip(method="qkd", reason="too costly"),))
    toy = replace(toy, grids=(grid,))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    stage = stage_of(toy, "qat", 1)
    write_failed(tmp_path / "results", stage)
    record = record_of(tmp_path / "results", stage.history)
    failure = json.loads(record.failed_file.read_text()) | {"trace": "first\n" * 9 + "last"}
    record.failed_file.write_text(json.dumps(failure))
    kept = honesty(sections(tmp_path))
    setting = "resnet8-width4 <- resnet14-width4 on toy, W2A2"
    assert texts(kept.not_done) == [
        ["toy smoke", setting, "qkd", "0, 1, 2", "skipped", "too costly"],
        ["toy smoke", setting, "qat", "1", "failed", "RuntimeError: out of memory"],
        ["toy smoke", setting, "qat", "2", "missing", "\N{EN DASH}"],
    ]
    ((name, status, why, trace),) = texts(kept.failures)
    assert name == record.path.name
    assert (status, why) == ("failed", "RuntimeError: out of memory")
    assert trace.splitlines() == ["first"] * 7 + ["last"]


def compute(tmp_path):
    return dict(honesty(sections(tmp_path)).checklist)["How much compute, failures included?"][0]


def test_compute_counts_each_stage_once_and_what_failed_or_was_stopped(tmp_path):
    toy = matrix(methods=(QAT,), seeds=(0, 1, 2))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    write_matrix(tmp_path / "results", replace(toy, name="twin"))
    write_failed(tmp_path / "results", stage_of(toy, "qat", 1))
    for seed, seconds in ((1, 30.0), (2, 12.0)):
        record = record_of(tmp_path / "results", cell_of(toy, "qat", seed).history)
        record.path.mkdir(exist_ok=True)
        spent = line(1, "self-study", 50.0, trains=False) | {"seconds": seconds}
        record.metrics_file.write_text(f"{json.dumps(spent)}\n")
    (tmp_path / "results" / "launches.jsonl").write_text(
        launch() + launch(time="2026-11-25T00:00:00Z")
    )
    # a pre-training and a cell of 1.5 s each; plain QAT has no teacher
    assert compute(tmp_path) == (
        "3.0 s of training in 2 stages that are done; 1 failed or cannot be read, with 30 s that "
        "their metrics show; 12 s in stages that have not ended; evaluation and integer proofs "
        "come on top. By the clock 3.0 min in 2 launches."
    )


def test_the_first_screen_says_when_it_was_launched(tmp_path):
    toy = matrix(methods=(QAT,), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    lines = launch() + launch(time="2026-11-26T00:00:00Z") + launch(matrix="other")
    (tmp_path / "results" / "launches.jsonl").write_text(lines)
    (section,) = sections(tmp_path)
    assert facts(section).when == "2026-11-24 to 2026-11-26"
    assert texts(overview([section], {}).runs)[0][5] == "2026-11-24 to 2026-11-26"


def test_a_launch_that_cannot_be_read_is_a_problem(tmp_path):
    hostile = launch(time="<script>"), launch(workers=0), "half\n", launch()
    (tmp_path / "launches.jsonl").write_text("".join(hostile))
    found, problems = launches(tmp_path)
    assert len(found) == 1
    assert [problem[:22] for problem in problems] == [
        f"launches.jsonl, line {number}" for number in (1, 2, 3)
    ]
    assert launches(tmp_path / "none") == ([], [])


def test_the_splits_are_those_of_the_data(tmp_path):
    write_run(tmp_path / "results", matrix(methods=(QAT,), seeds=(0,)), {("qat", 0): 70.0})
    splits = dict(honesty(sections(tmp_path)).checklist)["Which images?"]
    assert splits == (
        "toy: 576 training images, 64 held out for the curves, 10000 test images, 10 classes; "
        "sha256 of their content 0000000000000000.",
    )
