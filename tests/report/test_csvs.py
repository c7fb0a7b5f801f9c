import json
import math

import pytest
from msgspec.structs import replace

from benchmarks.matrix import Skip
from benchmarks.plan import plan
from qkd.spec.history import prefix
from report.build import build, collect
from report.page.files import cells_csv, summary_csv
from report.reading.sources import REFERENCE
from tests.support.report_records import (
    FP,
    KD,
    QAT,
    QKD,
    SS_CS,
    cell_of,
    edit_result,
    matrix,
    record_of,
    write_done,
    write_failed,
    write_run,
)

CELLS = (
    "matrix,scale,dataset,student,teacher,weight_bits,activation_bits,method,seed,status,"
    "top1,best_top1,teacher_top1,steps,stage\n"
)
SUMMARY = (
    "matrix,scale,dataset,student,teacher,weight_bits,activation_bits,method,status,"
    "top1,best_top1,teacher_top1,n,mean,low,high,paper,mark,difference,verdict,steps\n"
)
PAIR = "toy,smoke,toy,resnet8-width4,resnet14-width4"


def built(tmp_path, reference=None):
    """The report of tmp_path/results: its page, cells.csv and summary.csv as texts."""
    page = tmp_path / "out" / "index.html"
    build(tmp_path / "results", page, reference or tmp_path / "no-reference")
    names = ("index.html", "cells.csv", "summary.csv")
    return [page.with_name(name).read_text() for name in names]


def collected(tmp_path, reference=None):
    """The texts of cells.csv and summary.csv, without a page."""
    report = collect(tmp_path / "results", reference or tmp_path / "no-reference")
    return cells_csv(report.sections).decode(), summary_csv(report.sections).decode()


def statuses(tmp_path):
    lines = collected(tmp_path)[0].splitlines()[1:]
    return {tuple(line.split(",")[7:9]): line.split(",")[9] for line in lines}


def test_the_exact_bytes_of_a_matrix_made_by_hand(tmp_path):
    toy = matrix(methods=(FP, QKD, KD, QAT), seeds=(0, 1))
    top1s = {("qkd", 0): 70.0, ("qkd", 1): 72.5, ("kd", 0): 68.25, ("kd", 1): 68.75}
    top1s |= {("qat", 0): 69.0}
    write_run(tmp_path / "results", toy, top1s)
    ends = {(c.method.name, c.seed): c.history.digest for c in toy.cells()}
    cells, summary = collected(tmp_path)
    assert cells == CELLS + (
        f"{PAIR},32,32,fp,0,done,90.0000,91.0000,,0,{ends['fp', 0]}\n"
        f"{PAIR},2,2,qkd,0,done,70.0000,71.0000,91.0000,20,{ends['qkd', 0]}\n"
        f"{PAIR},2,2,qkd,1,done,72.5000,73.5000,91.0000,20,{ends['qkd', 1]}\n"
        f"{PAIR},2,2,kd,0,done,68.2500,69.2500,90.0000,20,{ends['kd', 0]}\n"
        f"{PAIR},2,2,kd,1,done,68.7500,69.7500,90.0000,20,{ends['kd', 1]}\n"
        f"{PAIR},2,2,qat,0,done,69.0000,70.0000,,20,{ends['qat', 0]}\n"
        f"{PAIR},2,2,qat,1,missing,,,,20,{ends['qat', 1]}\n"
    )
    # t(0.975, 1) = 12.7062; half widths 12.7062 * 1.25 and 12.7062 * 0.25
    assert summary == SUMMARY + (
        f"{PAIR},32,32,fp,done,90.0000,91.0000,,1,90.0000,,,,,,not compared,0\n"
        f"{PAIR},2,2,qkd,done,71.2500,72.2500,91.0000,2,"
        "71.2500,55.3672,87.1328,,,,not compared,20\n"
        f"{PAIR},2,2,kd,done,68.5000,69.5000,90.0000,2,"
        "68.5000,65.3234,71.6766,,,,not compared,20\n"
        f"{PAIR},2,2,qat,1 of 2 done,69.0000,70.0000,,1,69.0000,,,,,,not compared,20\n"
    )


def test_the_teacher_is_that_of_the_last_phase_that_trained_it(tmp_path):
    toy = matrix(methods=(QKD, SS_CS), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qkd", 0): 70.0, ("ss+cs", 0): 71.0})
    trained = prefix(cell_of(toy, "qkd").history, 13)
    edit_result(
        tmp_path / "results", trained, lambda r: r["teacher"].update(top1=88.0, correct1=8800)
    )
    cells, _ = collected(tmp_path)
    assert ",qkd,0,done,70.0000,71.0000,88.0000," in cells
    assert ",ss+cs,0,done,71.0000,72.0000,91.0000," in cells


def test_the_same_records_give_the_same_bytes_wherever_time_went(tmp_path):
    toy = matrix()
    top1s = {(m, s): 70.0 + s for m in ("qkd", "qat") for s in (0, 1)}
    write_run(tmp_path / "results", toy, top1s)
    first = built(tmp_path)
    assert built(tmp_path) == first
    for planned in plan(toy.cells()).stages.values():
        record = record_of(tmp_path / "results", planned.stage.history)
        result = record.read_json(record.result_file)
        top1, teacher = result["student"]["top1"], result.get("teacher", {"top1": 0})["top1"]
        write_done(tmp_path / "results", planned.stage, top1, teacher, seconds=77.0, host="there")
    assert collected(tmp_path) == tuple(first[1:])


def test_failed_blocked_and_missing_cells_are_said_to_be_so(tmp_path):
    toy = matrix(methods=(QKD, QAT, KD), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    stages = plan(toy.cells()).stages.values()
    co_study = next(p.stage for p in stages if p.stage.history.parts[-1].phase.trains_teacher)
    write_failed(tmp_path / "results", co_study)
    assert statuses(tmp_path) == {
        ("qkd", "0"): "blocked",
        ("qat", "0"): "done",
        ("kd", "0"): "missing",
    }
    end = next(p.stage for p in stages if p.digest == cell_of(toy, "kd").history.digest)
    write_failed(tmp_path / "results", end, "no memory left")
    assert statuses(tmp_path)["kd", "0"] == "failed"
    page, _, summary = built(tmp_path)
    assert "RuntimeError: no memory left" in page
    assert ",kd,0 of 1 done,,,,0,,,,,,,not compared" in summary


def test_a_running_cell_is_said_to_be_so(tmp_path):
    toy = matrix(methods=(QAT,), seeds=(0,))
    write_run(tmp_path / "results", toy, {})
    record = record_of(tmp_path / "results", cell_of(toy, "qat").history)
    record.path.mkdir()
    record.lock_file.write_text("{}")
    assert statuses(tmp_path) == {("qat", "0"): "running"}


def test_a_skipped_cell_shows_its_reason(tmp_path):
    skips = (Skip(method="qkd", bits="W2A2", reason="needs two teachers"),)
    write_run(tmp_path / "results", matrix(seeds=(0,), skips=skips), {("qat", 0): 70.0})
    assert statuses(tmp_path) == {("qkd", "0"): "skipped", ("qat", "0"): "done"}
    page, _, summary = built(tmp_path)
    assert "needs two teachers" in page
    assert ",qkd,skipped," in summary


def truncate(record):
    record.result_file.write_bytes(record.result_file.read_bytes()[:-20])


def rewrite(change):
    def damage(record):
        content = record.read_json(record.result_file)
        change(content)
        record.result_file.write_text(json.dumps(content))

    return damage


def foreign_stage(record):
    content = record.stage_file.read_text()
    record.stage_file.write_text(content.replace('"seed": 0', '"seed": 7'))


def wrong_metrics(record):
    record.metrics_file.write_text('{"step": 1}\n')


DAMAGES = {
    "truncated": truncate,
    "nan": rewrite(lambda r: r["student"].update(top1=math.nan)),
    "infinite seconds": rewrite(lambda r: r.update(seconds=math.inf)),
    "missing field": rewrite(lambda r: r.pop("held_out")),
    "text for a number": rewrite(lambda r: r["student"].update(top1="70.0")),
    "over 100": rewrite(lambda r: r["student"].update(top1=700.0)),
    "not its counts": rewrite(lambda r: r["student"].update(top1=99.0)),
    "other steps": rewrite(lambda r: r.update(steps=3)),
    "no object": lambda record: record.result_file.write_text("[]"),
    "nested": lambda record: record.result_file.write_text("[" * 100_000),
    "foreign stage": foreign_stage,
    "no stage": lambda record: record.stage_file.unlink(),
    "half a line of metrics": lambda record: record.metrics_file.write_text('{"step"'),
    "wrong metrics": wrong_metrics,
    "wrong environment": lambda record: record.environment_file.write_text('{"torch": 2}'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_record_is_unreadable_and_not_averaged(tmp_path, damage):
    toy = matrix(methods=(QAT,), seeds=(0, 1))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0, ("qat", 1): 80.0})
    damage(record_of(tmp_path / "results", cell_of(toy, "qat", 0).history))
    assert statuses(tmp_path) == {("qat", "0"): "unreadable", ("qat", "1"): "done"}
    assert ",qat,1 of 2 done,80.0000,81.0000,,1,80.0000,,," in collected(tmp_path)[1]


def test_a_cell_that_two_grids_share_counts_once(tmp_path):
    toy = matrix(methods=(QAT,), seeds=(0,))
    twice = replace(toy, grids=(*toy.grids, *toy.grids))
    write_run(tmp_path / "results", twice, {("qat", 0): 70.0})
    cells, summary = collected(tmp_path)
    assert len(cells.splitlines()) == len(summary.splitlines()) == 2


def test_a_matrix_file_that_cannot_be_read_is_shown_and_the_others_stand(tmp_path):
    write_run(tmp_path / "results", matrix(methods=(QAT,), seeds=(0,)), {("qat", 0): 70.0})
    (tmp_path / "results" / "matrices" / "broken.json").write_text('{"name": "<script>"}')
    page, cells, _ = built(tmp_path)
    assert "broken.json is no matrix that can be read" in page
    assert ",qat,0,done,70.0000," in cells


PAPER = """\
table,dataset,model,method,weight_bits,activation_bits,top1,mark,source
1,toy,resnet8-width4,qkd,2,2,70.1,derived,a test
1,toy,resnet8-width4,qat,2,2,75,second-hand,a test
,toy,resnet8-width4,kd,2,2,70,second-hand,a test
"""


def test_at_the_papers_scale_means_are_set_against_the_claimed_numbers(tmp_path):
    toy = matrix(methods=(QKD, QAT, KD, SS_CS), seeds=(0, 1, 2), scale="paper")
    top1s = {(m, s): 70.0 + s / 10 for m in ("qkd", "qat", "kd") for s in (0, 1, 2)}
    write_run(tmp_path / "results", toy, top1s)
    (tmp_path / "results" / "paper.csv").write_text(PAPER)
    summary = collected(tmp_path)[1].splitlines()[1:]
    ends = {line.split(",")[7]: line.split(",", 16)[16].rpartition(",")[0] for line in summary}
    # t(0.95, 2) = 2.92: the 90 % interval is 0.17 to each side
    assert ends == {
        "qkd": "70.1000,derived,0.0000,reproduced",
        "qat": "75.0000,second-hand,-4.9000,not reproduced",
        "kd": "70.0000,second-hand,0.1000,not compared",
        "ss+cs": ",,,not run",
    }


def test_a_smaller_scale_is_never_set_against_the_claimed_numbers(tmp_path):
    write_run(tmp_path / "results", matrix(methods=(QKD,)), {("qkd", 0): 70.0, ("qkd", 1): 71.0})
    (tmp_path / "results" / "paper.csv").write_text(PAPER)
    page, _, summary = built(tmp_path)
    assert ",,,,not compared" in summary
    # The number stands in the table of claimed numbers, as not run, and beside no run of ours.
    assert page.count(">claimed<") == 1
    number = '<td class="number">'
    assert f'{number}0</td>{number}\N{EN DASH}</td><td><span class="state not-run">' in page


def test_a_damaged_paper_csv_is_shown_and_gives_no_verdict(tmp_path):
    toy = matrix(methods=(QKD,), scale="paper")
    write_run(tmp_path / "results", toy, {("qkd", 0): 70.0, ("qkd", 1): 71.0})
    (tmp_path / "results" / "paper.csv").write_text(PAPER.replace("derived", "certain"))
    page, _, summary = built(tmp_path)
    assert "line 2: mark &#39;certain&#39; is none of" in page
    assert ",,,,not compared" in summary


@pytest.mark.parametrize("name", ["laptop", "cifar10", "evidence"])
def test_the_committed_references_give_their_committed_csv(tmp_path, name):
    reference = tmp_path / "reference"
    reference.mkdir()
    (reference / name).symlink_to(REFERENCE / name)
    assert collected(tmp_path, reference)[0] == (REFERENCE / name / "cells.csv").read_text()
