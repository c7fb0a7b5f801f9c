"""The evidence: tables, verdicts and outcomes of predictions, computed from the committed
records by the rules of the fixed analysis, without the report."""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from msgspec import convert
from scipy import stats

from qkd.records.schema import Accuracy
from tests.test_readme import (
    README,
    REFERENCE,
    RESULTS,
    Judged,
    difference,
    judged,
    mean,
    quantized,
    results_of,
    spread,
    table,
    teacher_before,
    told_spread,
    top1,
)

RUN = REFERENCE / "evidence"
HEADLINE = ("qkd - kd", "qkd - qat")
PHASES = {2: ("kd - qat", "kd-co-studied - kd", "qkd - qkd-original"), 4: ("kd - qat",)}
TEXT = " ".join(RESULTS.split())
READY = {n: results_of(f"resnet{n}-fp-ready-*")[0]["student"] for n in (20, 56)}
CELLS = pd.read_csv(RUN / "cells.csv").query("matrix == 'evidence' and status == 'done'")
FOUND = {
    bits: cells.pivot(index="seed", columns="method", values="top1")
    for bits, cells in CELLS[CELLS.weight_bits < 32].groupby("weight_bits")
}
EACH = pytest.mark.parametrize("bits", FOUND)


def results_at(bits: int, method: str) -> Iterator[dict]:
    for stage in CELLS.query("weight_bits == @bits and method == @method").stage:
        (file,) = RUN.glob(f"stages/*-{stage}/result.json")
        yield json.loads(file.read_bytes())


def averaged(bits: int, method: str, part: str, name: str) -> float:
    return float(np.mean([one[part][name] for one in results_at(bits, method)]))


def holm(bits: int) -> dict[str, float]:
    """Each contrast's p by Holm within its family; qkd - qat-cost is fixed, and counts unrun."""
    corrected = {}
    for names, size in ((HEADLINE, len(HEADLINE) + 1), (PHASES[bits], len(PHASES[bits]))):
        ps = {}
        for name in names:
            one = judged(FOUND[bits], name)
            ps[name] = 2 * float(stats.t.sf(abs(one.mean) / one.error, one.freedom))
        highest = 0.0
        for rank, name in enumerate(sorted(ps, key=ps.__getitem__)):
            highest = max(highest, min(1.0, (size - rank) * ps[name]))
            corrected[name] = highest
    return corrected


def ends(one: Judged) -> tuple[float, float]:
    """Of the 90 % interval."""
    half = one.error * float(stats.t.ppf(0.95, one.freedom))
    return one.mean - half, one.mean + half


def verdict(one: Judged, corrected: float) -> str:
    if corrected < 0.05:
        return "higher" if one.mean > 0 else "lower"
    return "equivalent" if max(map(abs, ends(one))) < 0.5 else "undecided"


def told_p(p: float) -> str:
    return f"{p:.2f}" if p >= 0.095 else f"{p:.3f}" if p >= 0.001 else "below 0.001"


def method_row(bits: int, name: str) -> list[str]:
    loss = averaged(bits, name, "student", "loss")
    again = averaged(bits, name, "reestimated_training", "top1")
    top1s = FOUND[bits][name].dropna()
    return [mean(top1s), f"{loss:.3f}", f"{again:.2f}", str(len(top1s))]


def contrast_row(bits: int, name: str, p: float) -> list[str]:
    one = judged(FOUND[bits], name)
    low, high = ends(one)
    return [one.text, f"[{low:.2f}, {high:.2f}]", told_p(p), verdict(one, p)]


def test_the_readmes_table_is_that_of_the_committed_records():
    shown = table(README, "CIFAR-10, ResNet-20")
    names = {"plain QAT": "qat", "plain KD": "kd", "QKD": "qkd"}
    ready, teacher = (f"{READY[n]['top1']:.2f}" for n in (20, 56))
    assert list(shown.loc["float, as downloaded"]) == [ready, "", ready, ""]
    assert f"({teacher} %;" in README
    assert list(shown.index) == ["float, as downloaded", *names]
    for title, method in names.items():
        expected = []
        for found in FOUND.values():
            minus = "" if method == "qkd" else difference(found, f"qkd - {method}")
            expected += [mean(found[method]), minus]
        assert list(shown.loc[title]) == expected, title


def test_the_readmes_note_has_the_spreads_and_the_teachers_of_both_bits():
    (w2, d2), (w4, d4) = (spread(quantized(found)) for found in FOUND.values())
    note = " ".join(README.split())
    assert f"({w2:.2f} points, {d2} degrees of freedom; {w4:.2f}, {d4})" in note
    after = [f"{co_studied(bits)['top1']:.2f}" for bits in FOUND]
    assert f"after co-studying {' and '.join(after)} %)" in note


@EACH
def test_the_methods_are_those_of_the_committed_records(bits):
    shown = table(RESULTS, f"method at W{bits}A{bits}")
    ready = READY[20]
    assert list(shown.iloc[0]) == [f"{ready['top1']:.2f}", f"{ready['loss']:.3f}", "", "1"]
    assert sorted(shown.index[1:]) == sorted(FOUND[bits])
    for name in shown.index[1:]:
        assert list(shown.loc[name]) == method_row(bits, name), name
        proofs = [one["integer"] for one in results_at(bits, name)]
        assert all(one["agreement"] == 1 and one["images"] == 10_000 for one in proofs)


@EACH
def test_the_verdicts_follow_from_the_records_by_the_fixed_rules(bits):
    shown = table(RESULTS, f"contrast at W{bits}A{bits}")
    corrected = holm(bits)
    assert sorted(shown.index) == sorted(corrected)
    for name in shown.index:
        assert list(shown.loc[name]) == contrast_row(bits, name, corrected[name]), name


def test_its_seeds_stand_in_no_other_committed_run():
    seeds = {bits: sorted(found.index) for bits, found in FOUND.items()}
    assert seeds == {2: [10, 11, 12, 13, 14], 4: [10, 11, 12]}
    others = (file for file in REFERENCE.glob("*/cells.csv") if file.parent != RUN)
    assert not set(seeds[2]) & {seed for file in others for seed in pd.read_csv(file).seed}


def co_studied(bits: int) -> dict[str, float]:
    """The teacher after co-studying: top-1 and test loss, means over seeds."""
    stages = CELLS.query("weight_bits == @bits and method == 'qkd'").stage
    found = [teacher_before(RUN, stage) for stage in stages]
    assert len(found) == len(FOUND[bits])
    return {name: float(np.mean([one[name] for one in found])) for name in ("top1", "loss")}


def right(bits: int, method: str) -> np.ndarray:
    """Which answers are right: (seeds, images)."""
    results = results_at(bits, method)
    return np.stack([convert(one["student"], Accuracy).right() for one in results])


def of_images(bits: int, name: str) -> float:
    """The standard error of a contrast over test images, in points."""
    ours, theirs = (right(bits, method) for method in name.split(" - "))
    difference_of = ours.mean(axis=0) - theirs.mean(axis=0)
    return float(100 * difference_of.std(ddof=1) / np.sqrt(len(difference_of)))


def test_over_test_images_a_contrast_moves_by_what_is_said():
    errors = [of_images(bits, name) for bits in FOUND for name in holm(bits)]
    said = f"of a contrast is {min(errors):.2f} to {max(errors):.2f} points"
    assert f"Over images the standard error {said}" in TEXT


def word(bits: int, name: str) -> str:
    """The verdict; where it is undecided which way the mean leans."""
    one = judged(FOUND[bits], name)
    found = verdict(one, holm(bits)[name])
    way = "above" if one.mean > 0 else "below"
    return f"{found}: leans {way}, passes no correction" if found == "undecided" else found


def test_the_claims_are_judged_by_their_contrasts():
    shown = table(RESULTS, "claim of the paper | contrast | at W2A2")
    for _, contrast, *cells in shown.reset_index().itertuples(index=False):
        for bits, cell in zip(FOUND, cells, strict=True):
            if contrast == "QKD less its own float":
                own = FOUND[bits]["qkd"].mean()
                assert cell == f"{own - READY[20]['top1']:+.2f}, at {own:.2f} %"
            else:
                assert cell == (word(bits, contrast) if contrast in holm(bits) else "not run")
    claimed = pd.read_csv(REFERENCE.parent / "paper.csv")
    (one,) = claimed.query("dataset == 'cifar10' and method == 'qkd'").itertuples()
    assert (one.model, one.weight_bits, one.mark) == ("resnet20", 2, "second-hand")
    assert f"{one.top1:.2f} % is claimed for QKD with this student at W2A2 (second-hand)" in TEXT
    judged_there = set(shown["contrast"]) - {"QKD less its own float"}
    assert judged_there == {name for bits in FOUND for name in holm(bits)}


def test_both_readmes_lead_with_the_verdicts():
    """The sentence is put together from the verdicts; another verdict needs another sentence."""
    words = {(bits, name): word(bits, name) for bits in FOUND for name in holm(bits)}
    alike = {words[2, "qkd - qat"], words[4, "qkd - qat"], words[4, "qkd - kd"]}
    assert alike == {"equivalent"}
    lead = "QKD is equivalent to plain QAT at two bits and at four, and to plain KD at four."
    state, _, lean = words[2, "qkd - kd"].partition(",")[0].partition(": ")
    against = (
        f"Against plain KD at two bits it is {state}: QKD {lean}, and the difference passes no"
    )
    teacher = f"leaves is {words[2, 'kd-co-studied - kd']} than plain KD"
    tutor = (
        f"as QKD's own tutor that teacher is {words[2, 'qkd - qkd-original']} to the original.**"
    )
    for text in (TEXT, " ".join(README.split())):
        for sentence in (lead, against, teacher, tutor):
            assert sentence in text
    fall = judged(FOUND[2], "kd-co-studied - kd").text
    low, high = (end.strip("[],-") for end in fall.split()[1:])
    assert f"by {fall.split()[0][1:]} points [{high}, {low}];" in README
    low, high = ends(judged(FOUND[4], "qkd - qat"))
    mean_of = judged(FOUND[4], "qkd - qat").text.split()[0]
    assert f"(of {mean_of}: [{low:.2f}, {high:.2f}])" in README


def test_what_is_said_of_equivalence_corrected_holds():
    """Two one-sided tests at half a point, each p three times: Bonferroni for the headline."""
    lost = [
        (bits, name)
        for bits, found in FOUND.items()
        for name in holm(bits)
        if word(bits, name) == "equivalent"
        and 3 * stats.t.sf((0.5 - abs((one := judged(found, name)).mean)) / one.error, one.freedom)
        >= 0.05
    ]
    assert lost == [(4, "qkd - qat")]
    assert "Corrected for three, qkd - qat at W4A4 alone would lose the word." in TEXT
    claimed = pd.read_csv(REFERENCE.parent / "paper.csv").query("model == 'resnet18'")
    top1s = claimed[claimed["table"] == "Figure 1"].pivot(
        index="weight_bits", columns="method", values="top1"
    )
    gains = (top1s["qkd"] - top1s["ap*"]).dropna()
    assert f"QKD gains {gains.min():.1f} to {gains.max():.1f} over the paper's own" in TEXT


def test_the_mean_over_both_bits_weighs_by_precision_and_says_where_they_do_not_agree():
    shown = table(RESULTS, "contrast over both")
    assert list(shown.index) == ["qkd - kd", "qkd - qat", "kd - qat"]
    for name in shown.index:
        ones = [judged(found, name) for found in FOUND.values()]
        weights = np.array([1 / one.error**2 for one in ones])
        joint = float(np.average([one.mean for one in ones], weights=weights))
        q = float(sum(weights * np.square([one.mean - joint for one in ones])))
        shares = weights / weights.sum()
        # The weights are estimates too: Meier 1953, with Satterthwaite's degrees of freedom.
        guessed = 4 * sum(shares * (1 - shares) / [one.freedom for one in ones])
        error = float(np.sqrt((1 + guessed) / weights.sum()))
        freedom = float(1 / sum(shares**2 / [one.freedom for one in ones]))
        assert shown.loc[name, "points"] == Judged(joint, error, freedom).text
        p = float(stats.chi2.sf(q, len(ones) - 1))
        column = "do the two agree, p"
        assert shown.loc[name, column] == (f"{p:.2f}" if p >= 0.05 else f"{p:.3f}")
        assert (p < 0.05) == (name == "qkd - kd")
    assert "Of qkd - kd the two settings do not agree" in TEXT


def test_the_notes_have_the_numbers_of_the_records():
    spreads = "; ".join(f"W{bits}A{bits}: {told_spread(found)}" for bits, found in FOUND.items())
    assert f"- **Spread.** {spreads}." in TEXT
    powers = (f"{judged(found, 'qkd - kd').power:.2f}" for found in FOUND.values())
    assert f"had a chance of {' and '.join(powers)} to see half a point before" in TEXT
    before, after = READY[56], {bits: co_studied(bits) for bits in FOUND}
    assert (
        f"from {before['top1']:.2f} % to {after[2]['top1']:.2f} % in co-studying at W2A2, and its "
        f"test loss from {before['loss']:.3f} to {after[2]['loss']:.3f}; "
        f"at W4A4 to {after[4]['top1']:.2f} % and {after[4]['loss']:.3f}."
    ) in TEXT
    for bits, found in FOUND.items():
        losses = {name: averaged(bits, name, "student", "loss") for name in found}
        assert min(losses, key=losses.__getitem__) == "qkd"
        assert (losses["qkd"] < READY[20]["loss"]) == (bits == 4)
    assert "QKD's is the lowest at both. At W4A4 it is below that of the float" in TEXT
    old = top1("cifar10", "lengths")["whole"]
    for found, said in (
        (old, "[{:.2f} points below plain KD and {:.2f} below plain QAT]"),
        (FOUND[2], "stands {:.2f} and {:.2f} below."),
    ):
        assert said.format(*(-judged(found, name).mean for name in HEADLINE)) in TEXT


def test_plain_qat_at_qkds_cost_is_told_from_the_older_runs():
    less = judged(top1("cifar10", "lengths")["whole"], "qkd - qat-cost").text
    low, high = (end.strip("[],-") for end in less.split()[1:])
    assert f"stands above QKD by {less.split()[0][1:]} points [{high}, {low}]" in README


def test_the_outcomes_of_the_predictions_are_those_of_the_records():
    said = table(RESULTS, "predicted before the run")["what came"]
    before, after = READY[56]["top1"], co_studied(4)["top1"]
    falls = mean(before - CELLS.query("weight_bits == 4 and method == 'qkd'").teacher_top1)
    assert before - after > 0.3
    assert said.iloc[0] == f"no, its mean: {falls}, from {before:.2f} to {after:.2f} %"
    gained = judged(FOUND[4], "qkd - kd").mean
    assert abs(gained) < 0.2
    assert said.iloc[1] == f"yes, its mean: {gained:+.2f}"
