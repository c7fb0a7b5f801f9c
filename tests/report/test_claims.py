"""The paper's claims: each test by hand-worked numbers, and how the settings of a scale combine."""

import pytest
from msgspec.structs import replace

from benchmarks import analysis
from benchmarks.pairs import cifar_mobilenet
from qkd.spec import Bits, Method, Recipe
from report.analysis.claim_tests import Contrasted, Interaction
from report.analysis.claims import CLAIMS
from report.analysis.estimates import Estimate
from report.analysis.evidence import Evidence, Verdict, found_in, together
from report.analysis.thresholds import Drops, Recovers
from report.build import build, collect
from report.page.overview import overview
from tests.support.report_records import (
    FP,
    FP_TUNED,
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
EXPLORATORY, EQUIVALENT = Verdict.EXPLORATORY, Verdict.EQUIVALENT


def top1s(**methods):
    return {(m, s): v for m, values in methods.items() for s, v in zip(SEEDS, values, strict=True)}


def collected(tmp_path):
    return collect(tmp_path / "results", tmp_path / "no-reference")


def evidence(tmp_path, test):
    report = collected(tmp_path)
    return list(test.evidence(found_in(report.sections, report.paper)))


def decided(tmp_path, test, scale="laptop"):
    """What the test makes of the evidence of a scale."""
    return test.decide([one for one in evidence(tmp_path, test) if one.scale == scale])


def run(tmp_path, found, methods=(QKD, QAT), scale="laptop", **fields):
    toy = matrix(methods=methods, seeds=SEEDS, scale=scale, **fields)
    write_run(tmp_path / "results", toy, found)
    return toy


THREE = (Bits(weight=3, activation=3),)
TWICE, THRICE = (Recipe(horizon=20 * n, log_every=1, batch=32) for n in (2, 3))
FP_KD = Method(name="fp-kd", shares=KD.shares, quantizer=None)
FAR = {"qkd": [72.0, 72.1, 72.2], "qat": [70.0, 70.2, 70.1]}
# Spreads 0.1 both: error 0.1 sqrt(2/3) = 0.081650 on 4 degrees; t(0.975, 4) = 2.776445, t = 24.5


def test_a_contrast_that_is_far_from_zero_supports_its_claim(tmp_path):
    run(tmp_path, top1s(**FAR))
    (found,) = evidence(tmp_path, Contrasted("qkd", "qat"))
    assert (found.scale, found.section, found.word) == ("laptop", "toy-laptop", "higher")
    assert found.numbers == "+2.00 [1.77, 2.23] points, n = 3, Holm p < 0.001"
    assert decided(tmp_path, Contrasted("qkd", "qat")) == (SUPPORTED, "+2.00 [1.77, 2.23]")
    assert decided(tmp_path, Contrasted("qkd", "qat", sign=-1)).verdict == CONTRADICTED
    assert decided(tmp_path, Contrasted("qkd", "kd")) == (NOT_TESTED, "")


def test_a_contrast_near_zero_a_single_run_and_no_spread_leave_it_undecided(tmp_path):
    run(tmp_path, top1s(qkd=[70.0, 71.0, 72.0], qat=[71.0, 70.0, 72.5]))
    assert decided(tmp_path, Contrasted("qkd", "qat")).verdict == UNDECIDED
    alone, same = tmp_path / "alone", tmp_path / "same"
    run(alone, {("qkd", 0): 70.0, ("qat", 0): 60.0})
    run(same, top1s(qkd=[71.0] * 3, qat=[70.0] * 3))
    for folder, numbers in ((alone, "+10.00 points, n = 1"), (same, "+1.00 points, n = 3")):
        (found,) = evidence(folder, Contrasted("qkd", "qat"))
        assert found.numbers == f"{numbers}: no spread to judge it by"
        assert decided(folder, Contrasted("qkd", "qat")) == (UNDECIDED, "")


def test_no_difference_worth_half_a_point_is_equivalent(tmp_path):
    run(tmp_path, top1s(qkd=[70.0, 70.1, 70.2], qat=[70.1, 70.1, 70.0]))
    assert decided(tmp_path, Contrasted("qkd", "qat")).verdict == EQUIVALENT


def test_several_settings_are_joined_and_a_further_run_adds_evidence(tmp_path):
    # Means 1.3, spreads 0.6: error 0.6 sqrt(2/3) on 4 degrees, t = 2.654, p = 0.057, three times
    some = top1s(qkd=[71.9, 71.3, 70.7], qat=[70.0, 70.6, 69.4])
    contrast = Contrasted("qkd", "qat")
    run(tmp_path, some, name="one")
    assert decided(tmp_path, contrast).verdict == UNDECIDED
    run(tmp_path, some, name="two", recipe=TWICE)
    # The same again: error 0.6 sqrt(1.5) / sqrt(3) on 8 degrees, t = 3.064, p = 0.0155
    decision = decided(tmp_path, contrast)
    assert decision == (SUPPORTED, "+1.30 [0.32, 2.28], 2 settings")
    assert [one.word for one in evidence(tmp_path, contrast)] == ["undecided"] * 2
    # A setting at another scale is another question's.
    run(tmp_path, some, name="three", scale="paper", recipe=THRICE)
    assert decided(tmp_path, contrast) == decision
    assert decided(tmp_path, contrast, "paper").verdict == UNDECIDED


def test_settings_that_share_their_runs_count_once(tmp_path):
    some = top1s(qkd=[71.5, 70.9, 70.3], qat=[70.0, 70.6, 69.4])
    for name in ("one", "two"):
        run(tmp_path, some, name=name)
    found = evidence(tmp_path, Contrasted("qkd", "qat"))
    assert len(found) == 2
    assert found[0].joined.mean.settings == 1


def test_what_was_seen_before_the_analysis_decides_nothing(tmp_path):
    contrast = Contrasted("qkd", "qat")
    run(tmp_path, top1s(**FAR), name="ablation")
    assert [one.word for one in evidence(tmp_path, contrast)] == ["exploratory"]
    assert decided(tmp_path, contrast) == (EXPLORATORY, "+2.00 [1.77, 2.23]")
    # Nor does it add to what was not: a new run of the other sign alone is judged.
    turned = top1s(qkd=FAR["qat"], qat=FAR["qkd"])
    run(tmp_path, turned, name="later", recipe=TWICE)
    verdict, behind = decided(tmp_path, contrast)
    assert verdict == CONTRADICTED
    assert behind.replace("\N{MINUS SIGN}", "-") == "-2.00 [-2.23, -1.77]"


def test_claim_2_is_the_interaction_of_bits_and_distillation(tmp_path):
    methods = (KD, QAT, FP_KD, FP_TUNED)
    values = {
        "kd": [70.0, 70.1, 70.2],
        "qat": [71.0, 71.1, 71.2],
        "fp-kd": [90.3, 90.4, 90.5],
        "fp-tuned": [90.0, 90.1, 90.2],
    }
    test = Interaction("kd", "qat", "fp-kd", "fp-tuned")
    run(tmp_path, top1s(**values), methods=methods)
    (found,) = evidence(tmp_path, test)
    # (-1.0) - 0.3; both errors 0.1 sqrt(2/3) on 4 degrees: sqrt(2) of it on 8, t(0.975, 8) = 2.306
    assert found.estimate == pytest.approx((-1.3, 0.1 * (4 / 3) ** 0.5, 8.0))
    assert decided(tmp_path, test).verdict == SUPPORTED
    assert decided(tmp_path, test).behind.replace("\N{MINUS SIGN}", "-") == "-1.30 [-1.57, -1.03]"
    turned = tmp_path / "turned"
    run(turned, top1s(**values | {"kd": values["qat"], "qat": values["kd"]}), methods=methods)
    assert decided(turned, test).verdict == CONTRADICTED
    alone = tmp_path / "alone"
    run(alone, top1s(kd=values["kd"], qat=values["qat"]), methods=(KD, QAT))
    assert decided(alone, test) == (NOT_TESTED, "")


def test_the_interaction_finds_full_precision_beside_several_bit_widths(tmp_path):
    bits = (*THREE, Bits(weight=4, activation=4))
    values = {name: [70.0, 70.1, 70.2] for name in ("kd", "qat", "fp-kd", "fp-tuned")}
    run(tmp_path, top1s(**values), methods=(KD, QAT, FP_KD, FP_TUNED), bits=bits)
    found = evidence(tmp_path, Interaction("kd", "qat", "fp-kd", "fp-tuned"))
    assert [one.estimate.freedom for one in found] == pytest.approx([8.0, 8.0])


def test_without_an_integer_proof_nothing_is_decided(tmp_path):
    toy = run(tmp_path, top1s(**FAR))
    history = cell_of(toy, "qkd", 1).history
    edit_result(tmp_path / "results", history, lambda result: result.pop("integer"))
    (found,) = evidence(tmp_path, Contrasted("qkd", "qat"))
    assert found.numbers.endswith("; no integer proof")
    assert decided(tmp_path, Contrasted("qkd", "qat")).verdict == UNDECIDED


def test_smoke_runs_are_not_counted(tmp_path):
    run(tmp_path, top1s(**FAR), scale="smoke")
    assert evidence(tmp_path, Contrasted("qkd", "qat")) == []


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
    assert decided(tmp_path, Recovers("resnet", 3)).verdict == verdict == found.word
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
    assert decided(tmp_path, test).verdict == SUPPORTED
    write_run(tmp_path / "results", toy, top1s(qkd=[81.0, 81.1, 81.2]))
    assert decided(tmp_path, test).verdict == CONTRADICTED


def told(*estimates, seen=()):
    return [
        Evidence("laptop", "", "", "", "", Estimate(*one), was_seen=place in seen)
        for place, one in enumerate(estimates)
    ]


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        ([], NOT_TESTED),
        (told((0.4,)), UNDECIDED),
        (told((0.4, 0.1, 9), (0.2, 0.1, 9)), SUPPORTED),
        (told((0.4, 0.1, 9), (-0.4, 0.1, 9)), UNDECIDED),
        (told((0.4, 0.4, 9), (-0.4, 0.1, 9)), CONTRADICTED),
        (told((0.4, 0.1, 9), seen=(0,)), EXPLORATORY),
        (told((0.4, 0.01, 9), (-0.4, 0.1, 9), seen=(0,)), CONTRADICTED),
    ],
)
def test_settings_are_taken_together_by_their_weights(own, verdict):
    assert together(own, 0.0, 0.95).verdict == verdict


def test_the_first_screen_counts_the_verdicts_of_each_scale(tmp_path):
    run(tmp_path, top1s(kd=[69.0, 70.2, 70.1], **FAR), methods=(QKD, QAT, KD, SS_CS))
    report = collected(tmp_path)
    shown = overview(report.sections, report.paper)
    full, small = shown.answers
    assert (full.scale, full.text) == ("At full length", "nothing was tested.")
    assert small.text.startswith("of 11 claims 2 supported and 9 not tested. A true")
    assert len(shown.claims) == len(CLAIMS) == len({claim.name for claim in CLAIMS})
    first = shown.claims[0].verdicts
    assert [(one.verdict, one.behind) for one in first] == [
        (NOT_TESTED, ""),
        (SUPPORTED, "+2.00 [1.77, 2.23]"),
    ]


def test_the_page_opens_with_the_claims_and_leads_to_their_evidence(tmp_path):
    run(tmp_path, top1s(**FAR))
    build(tmp_path / "results", tmp_path / "index.html", tmp_path / "no-reference")
    page = (tmp_path / "index.html").read_text()
    opening = page[: page.index('id="toy-laptop"')]
    assert all(claim.sentence in opening for claim in CLAIMS)
    assert opening.count('<span class="state supported">') == 2  # a verdict, and the legend
    assert '<a href="#toy-laptop">resnet8-width4 &lt;- resnet14-width4 on toy, W2A2</a>' in opening
    fixed = sum(opening.count(day) for day in (analysis.DATE, *analysis.AMENDED.values()))
    assert opening.count("2026") == fixed  # no launch is recorded
    assert "<td>not recorded</td>" in opening
