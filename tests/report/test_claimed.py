"""The paper's numbers beside ours: at full length alone, and by what QKD gains too."""

import math

import pytest

from qkd.spec import Bits
from report.analysis.claimed import gains
from report.analysis.methods import MethodRow
from report.analysis.thresholds import Drops, Reaches, Recovers
from report.frames.tidy import rows
from report.page.overview import overview
from tests.report.test_claims import CONTRADICTED, SUPPORTED, collected, evidence, run, top1s
from tests.support.report_records import FP, KD, QKD

PAPER = (
    "table,dataset,model,method,weight_bits,activation_bits,top1,mark,source\n"
    "{table},toy,resnet8_width4,qkd,2,2,72.0,derived,somewhere\n"
)


@pytest.mark.parametrize(
    ("scale", "table", "verdicts"),
    [("paper", "3", [SUPPORTED]), ("laptop", "3", []), ("paper", "", [])],
)
def test_a_number_is_reached_at_full_length_alone(tmp_path, scale, table, verdicts):
    run(tmp_path, top1s(qkd=[72.0, 72.1, 72.2]), methods=(QKD,), scale=scale)
    (tmp_path / "results" / "paper.csv").write_text(PAPER.format(table=table))
    found = evidence(tmp_path, Reaches("toy", "resnet8-width4", 2))
    assert [one.word for one in found] == verdicts
    assert all(
        one.numbers.startswith("claimed 72.00 (derived): +0.10 [\N{MINUS SIGN}0.07, 0.27] points")
        for one in found
    )


def test_a_number_that_is_missed_contradicts_its_claim(tmp_path):
    run(tmp_path, top1s(qkd=[71.0, 71.1, 71.2]), methods=(QKD,), scale="paper")
    (tmp_path / "results" / "paper.csv").write_text(PAPER.format(table="3"))
    (found,) = evidence(tmp_path, Reaches("toy", "resnet8-width4", 2))
    assert found.word == CONTRADICTED


MORE = (
    "3,toy,elsewhere,qkd,2,2,80.0,paper,a row of one's own\n"
    "3,toy,resnet8-width4,lsq,2,2,70.0,second-hand,a rival\n"
)


@pytest.mark.parametrize("unlike", [{"edge": 4}, {"depthwise": 8}], ids=str)
def test_bits_that_no_claimed_number_is_of_are_set_against_none(tmp_path, unlike):
    bits = (Bits(weight=2, activation=2, **unlike),)
    run(tmp_path, top1s(qkd=[72.0, 72.1, 72.2]), methods=(FP, QKD), scale="paper", bits=bits)
    (tmp_path / "results" / "paper.csv").write_text(PAPER.format(table="3"))
    report = collected(tmp_path)
    methods = rows(report.sections[0].methods, MethodRow)
    (ours,) = [one for one in methods if one.method == "qkd"]
    assert (ours.claimed, ours.difference) == (pytest.approx(math.nan, nan_ok=True),) * 2
    assert ours.verdict == "not compared"
    (claimed,) = overview(report.sections, report.paper).claimed.rows
    assert claimed.cells[-5].plain == "not run"
    tests = (Reaches("toy", "resnet8-width4", 2), Recovers("resnet", 2), Drops("resnet", 2, 10.0))
    assert [evidence(tmp_path, test) for test in tests] == [[], [], []]


def test_eight_bits_at_the_edges_are_what_claimed_numbers_are_of(tmp_path):
    bits = (Bits(weight=2, activation=2, edge=8, depthwise=None),)
    run(tmp_path, top1s(qkd=[72.0, 72.1, 72.2]), methods=(FP, QKD), scale="paper", bits=bits)
    (tmp_path / "results" / "paper.csv").write_text(PAPER.format(table="3"))
    tests = (Reaches("toy", "resnet8-width4", 2), Recovers("resnet", 2), Drops("resnet", 2, 10.0))
    assert [len(evidence(tmp_path, test)) for test in tests] == [1, 1, 1]


@pytest.mark.parametrize("scale", ["paper", "laptop"])
def test_every_claimed_number_of_our_methods_is_shown_run_or_not(tmp_path, scale):
    run(tmp_path, top1s(qkd=[72.0, 72.1, 72.2]), methods=(QKD,), scale=scale)
    (tmp_path / "results" / "paper.csv").write_text(PAPER.format(table="3") + MORE)
    report = collected(tmp_path)
    shown = overview(report.sections, report.paper).claimed
    first, second = [[cell.plain for cell in row.cells] for row in shown.rows]
    # t(0.975, 2) = 4.303, half width 4.303 * 0.1 / sqrt(3) = 0.25
    no_gain = ["\N{EN DASH}"] * 4
    ours = ["72.10 \N{PLUS-MINUS SIGN} 0.25 (loss 1.000)", "3", "+0.10", "reproduced", *no_gain]
    not_run = ["\N{EN DASH}", "0", "\N{EN DASH}", "not run", *no_gain]
    known = ["toy resnet8width4 W2A2", "qkd", "72.00", "derived", "somewhere"]
    assert first == known + (ours if scale == "paper" else not_run)
    assert second == [
        "toy elsewhere W2A2",
        "qkd",
        "80.00",
        "paper",
        "a row of one's own",
        *not_run,
    ]


GAINS = (
    "1,toy,resnet8_width4,AP*,2,2,71.5,paper,a drawing\n"
    ",toy,resnet8_width4,fp,32,32,90.7,paper,its dotted line\n"
)


def test_a_claimed_number_is_judged_by_what_it_gains_too(tmp_path):
    # Ours gains 0.6 over plain KD (claimed 0.5), and loses 17.9 to its float network (18.7).
    values = top1s(qkd=[72.0, 72.1, 72.2], kd=[71.4, 71.5, 71.6])
    run(tmp_path, values, methods=(FP, QKD, KD), scale="paper")
    (tmp_path / "results" / "paper.csv").write_text(PAPER.format(table="3") + GAINS)
    report = collected(tmp_path)
    (number,) = [of for of in report.paper if of[2] == "qkd"]
    (section,) = report.sections
    found = list(gains(number, report.paper, (section, section.groups[0])))
    assert [(one.over, one.claimed, one.ours.mean, one.verdict) for one in found] == [
        ("fp", pytest.approx(-18.7), pytest.approx(-17.9), "not reproduced"),
        ("kd", pytest.approx(0.5), pytest.approx(0.6), "reproduced"),
    ]
    # Pooled spread 0.1 on 4 degrees: errors 0.1 / sqrt(3) and 0.1 sqrt(2/3)
    errors = [0.1 / 3**0.5, 0.1 * (2 / 3) ** 0.5]
    assert [one.ours.error for one in found] == pytest.approx(errors)
    (told,) = evidence(tmp_path, Reaches("toy", "resnet8-width4", 2))
    assert "over plain KD claimed +0.50, here +0.60 [0.43, 0.77]: reproduced" in told.numbers
    shown = overview(report.sections, report.paper).claimed
    row = next(row for row in shown.rows if row.cells[1].text == "qkd")
    minus = "\N{MINUS SIGN}"
    assert [cell.text.replace(minus, "-") for cell in row.cells[-4:]] == [
        "-18.70",
        "-17.90 [-18.02, -17.78]",
        "+0.50",
        "+0.60 [0.43, 0.77]",
    ]
    # Of the paper's AP* ours is plain KD.
    assert [row.cells[1].text for row in shown.rows] == ["qkd", "kd"]
