"""The paper's claims: each test by hand-worked numbers, and how the settings of a scale combine."""

import math

import pytest
from msgspec.structs import replace

from benchmarks.pairs import cifar_mobilenet
from qkd.spec import Bits
from report.analysis.claims import CLAIMS
from report.analysis.evidence import (
    Contrasted,
    Drops,
    Evidence,
    Found,
    Reaches,
    Recovers,
    Verdict,
    combined,
)
from report.analysis.methods import MethodRow
from report.build import build, collect
from report.frames.tidy import rows
from report.page.overview import overview
from tests.support.report_records import (
    FP,
    KD,
    QAT,
    QKD,
    SS_CS,
    cell_of,
    edit_result,
    matrix,
    write_run,
)

SEEDS = (0, 1, 2)
SUPPORTED, CONTRADICTED = Verdict.SUPPORTED, Verdict.CONTRADICTED
UNDECIDED, NOT_TESTED = Verdict.UNDECIDED, Verdict.NOT_TESTED


def top1s(**methods):
    return {(m, s): v for m, values in methods.items() for s, v in zip(SEEDS, values, strict=True)}


def collected(tmp_path):
    return collect(tmp_path / "results", tmp_path / "no-reference")


def evidence(tmp_path, test):
    report = collected(tmp_path)
    return list(test.evidence(Found(report.sections, report.paper)))


def run(tmp_path, found, methods=(QKD, QAT), scale="laptop", **fields):
    toy = matrix(methods=methods, seeds=SEEDS, scale=scale, **fields)
    write_run(tmp_path / "results", toy, found)
    return toy


FAR = {"qkd": [72.0, 72.1, 72.2], "qat": [70.0, 70.2, 70.1]}
# differences 2.0, 1.9, 2.1: mean 2, spread 0.1, t = 34.64 on 2 degrees, p = 0.00083


def test_a_contrast_that_is_far_from_zero_supports_its_claim(tmp_path):
    run(tmp_path, top1s(**FAR))
    (found,) = evidence(tmp_path, Contrasted("qkd", "qat"))
    assert (found.scale, found.section, found.verdict) == ("laptop", "toy-laptop", SUPPORTED)
    assert found.short == "+2.00 [1.75, 2.25]"
    assert found.numbers == "+2.00 points [1.75, 2.25], n = 3, corrected p < 0.001"
    (turned,) = evidence(tmp_path, Contrasted("qkd", "qat", sign=-1))
    assert turned.verdict == CONTRADICTED


def test_a_contrast_near_zero_a_single_run_and_no_spread_leave_it_undecided(tmp_path):
    run(tmp_path, top1s(qkd=[70.0, 71.0, 72.0], qat=[71.0, 70.0, 72.0]))
    (found,) = evidence(tmp_path, Contrasted("qkd", "qat"))
    assert found.verdict == UNDECIDED
    alone, same = tmp_path / "alone", tmp_path / "same"
    run(alone, {("qkd", 0): 70.0, ("qat", 0): 60.0})
    run(same, top1s(qkd=[71.0] * 3, qat=[70.0] * 3))
    for folder, numbers in ((alone, "+10.00 points, n = 1"), (same, "+1.00 points, n = 3")):
        (found,) = evidence(folder, Contrasted("qkd", "qat"))
        assert found.verdict == UNDECIDED
        assert found.numbers == f"{numbers}: no spread to judge it by"


def test_the_settings_of_a_scale_are_corrected_too(tmp_path):
    # differences 2.0, 2.6, 1.4: mean 2, spread 0.6, t = 5.774, p = 0.0287; times two, 0.0574
    some = top1s(qkd=[72.0, 72.6, 71.4], qat=[70.0, 70.0, 70.0])
    run(tmp_path, some, name="one")
    assert [one.verdict for one in evidence(tmp_path, Contrasted("qkd", "qat"))] == [SUPPORTED]
    run(tmp_path, some, name="two")
    found = evidence(tmp_path, Contrasted("qkd", "qat"))
    assert [one.verdict for one in found] == [UNDECIDED] * 2
    assert found[0].numbers.endswith("corrected p = 0.057")
    # Another scale's settings are another question's.
    run(tmp_path, some, name="three", scale="paper")
    found = evidence(tmp_path, Contrasted("qkd", "qat"))
    (full,) = [one for one in found if one.scale == "paper"]
    assert full.numbers.endswith("p = 0.029")


def test_without_an_integer_proof_nothing_is_decided(tmp_path):
    toy = run(tmp_path, top1s(**FAR))
    history = cell_of(toy, "qkd", 1).history
    edit_result(tmp_path / "results", history, lambda result: result.pop("integer"))
    (found,) = evidence(tmp_path, Contrasted("qkd", "qat"))
    assert found.verdict == UNDECIDED
    assert found.numbers.endswith("; no integer proof")


def test_smoke_runs_are_not_counted(tmp_path):
    run(tmp_path, top1s(**FAR), scale="smoke")
    assert evidence(tmp_path, Contrasted("qkd", "qat")) == []


THREE = (Bits(weight=3, activation=3),)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        # full precision 90; t(0.95, 2) = 2.920, half width 2.920 * 0.1 / sqrt(3) = 0.169
        ([89.7, 89.8, 89.9], SUPPORTED),  # -0.2 -+ 0.169
        ([89.2, 89.3, 89.1], CONTRADICTED),  # -0.8 -+ 0.169
        ([89.5, 89.6, 89.4], UNDECIDED),  # -0.5 -+ 0.169
    ],
)
def test_what_recovers_full_precision(tmp_path, values, verdict):
    run(tmp_path, top1s(qkd=values), methods=(FP, QKD), bits=THREE)
    (found,) = evidence(tmp_path, Recovers("resnet", 3))
    assert found.verdict == verdict
    assert "(90 %), n = 3" in found.numbers
    assert evidence(tmp_path, Recovers("resnet", 4)) == []
    assert evidence(tmp_path, Recovers("mobilenetv2", 3)) == []


def test_full_precision_is_found_beside_several_bit_widths(tmp_path):
    bits = (*THREE, Bits(weight=4, activation=4))
    run(tmp_path, top1s(qkd=[90.0, 90.1, 90.2]), methods=(FP, QKD), bits=bits)
    assert len(evidence(tmp_path, Recovers("resnet", 4))) == 1


def test_a_drop_is_drastic_from_ten_points_on(tmp_path):
    toy = matrix(methods=(FP, QKD), seeds=SEEDS, scale="laptop")
    student = cifar_mobilenet(0.1, channels=1, classes=10, size=16).network
    pair = replace(toy.grids[0].pair, student=replace(student, name="MobileNet-v2"))
    began = replace(pair.student_start.student, network=pair.student)
    pair = replace(pair, student_start=replace(pair.student_start, student=began))
    toy = replace(toy, grids=(replace(toy.grids[0], pair=pair),))
    write_run(tmp_path / "results", toy, top1s(qkd=[79.0, 79.1, 79.2]))
    test = Drops("mobilenetv2", 2, 10.0)
    assert [one.verdict for one in evidence(tmp_path, test)] == [SUPPORTED]
    write_run(tmp_path / "results", toy, top1s(qkd=[81.0, 81.1, 81.2]))
    assert [one.verdict for one in evidence(tmp_path, test)] == [CONTRADICTED]


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
    assert [one.verdict for one in found] == verdicts
    assert all(one.numbers.startswith("claimed 72.00 (derived): +0.10 points") for one in found)


def test_a_number_that_is_missed_contradicts_its_claim(tmp_path):
    run(tmp_path, top1s(qkd=[71.0, 71.1, 71.2]), methods=(QKD,), scale="paper")
    (tmp_path / "results" / "paper.csv").write_text(PAPER.format(table="3"))
    (found,) = evidence(tmp_path, Reaches("toy", "resnet8-width4", 2))
    assert found.verdict == CONTRADICTED


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
    assert claimed.cells[-1].plain == "not run"
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
    ours = ["72.10 \N{PLUS-MINUS SIGN} 0.25", "3", "+0.10", "reproduced"]
    not_run = ["\N{EN DASH}", "0", "\N{EN DASH}", "not run"]
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


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ([], NOT_TESTED),
        ([UNDECIDED], UNDECIDED),
        ([SUPPORTED, UNDECIDED], SUPPORTED),
        ([CONTRADICTED, UNDECIDED, UNDECIDED], CONTRADICTED),
        ([SUPPORTED, CONTRADICTED], UNDECIDED),
    ],
)
def test_how_settings_are_taken_together(verdicts, together):
    assert combined(Evidence("laptop", "", "", "", "", one) for one in verdicts) == together


def test_the_first_screen_counts_the_verdicts_of_each_scale(tmp_path):
    run(tmp_path, top1s(kd=[69.0, 70.2, 70.1], **FAR), methods=(QKD, QAT, KD, SS_CS))
    report = collected(tmp_path)
    shown = overview(report.sections, report.paper)
    full, small = shown.answers
    assert (full.scale, full.text) == ("At full length", "nothing was tested.")
    assert small.text.startswith("of 11 claims 1 supported, 2 undecided and 8 not tested. A true")
    assert len(shown.claims) == len(CLAIMS) == len({claim.name for claim in CLAIMS})
    first = shown.claims[0].verdicts
    assert [(one.verdict, one.behind) for one in first] == [
        (NOT_TESTED, ""),
        (SUPPORTED, "+2.00 [1.75, 2.25]"),
    ]


def test_the_page_opens_with_the_claims_and_leads_to_their_evidence(tmp_path):
    run(tmp_path, top1s(**FAR))
    build(tmp_path / "results", tmp_path / "index.html", tmp_path / "no-reference")
    page = (tmp_path / "index.html").read_text()
    opening = page[: page.index('id="toy-laptop"')]
    assert all(claim.sentence in opening for claim in CLAIMS)
    assert opening.count('<span class="state supported">') == 2  # a verdict, and the legend
    assert '<a href="#toy-laptop">resnet8-width4 &lt;- resnet14-width4 on toy, W2A2</a>' in opening
    assert "2026" not in opening  # no launch is recorded
    assert "<td>not recorded</td>" in opening
