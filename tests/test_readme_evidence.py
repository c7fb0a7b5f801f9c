"""The evidence: tables, verdicts, outcomes of predictions and prices, computed from the committed
records by the rules of the fixed analysis, without the report."""

import json
from collections.abc import Iterator
from statistics import median

import numpy as np
import pandas as pd
import pytest
from msgspec import convert
from scipy import stats

from benchmarks import cifar100, longer, mobilenet, sensitivity
from benchmarks.evidence import LABELS
from benchmarks.matrix import Cell, Matrix
from benchmarks.plan import Plan, plan
from qkd.records.schema import Accuracy
from qkd.spec.value import decode
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
    told_spread,
    top1,
)

RUN = REFERENCE / "evidence"
HEADLINE = ("qkd - kd", "qkd - qat")
PHASES = {2: ("kd - qat", "kd-co-studied - kd", "qkd - qkd-original"), 4: ("kd - qat",)}
TEXT = " ".join(RESULTS.split())
READY = {n: results_of(f"resnet{n}-fp-ready-*")[0]["student"] for n in (20, 56)}
CELLS = pd.read_csv(RUN / "cells.csv").query("status == 'done'")
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
    pattern = f"stages/resnet20-w{bits}a{bits}-self-study240-co-study800-s*/result.json"
    found = [json.loads(file.read_bytes())["teacher"] for file in RUN.glob(pattern)]
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


@EACH
def test_other_test_images_would_move_a_difference_by_as_much_as_other_seeds(bits):
    for name in HEADLINE:
        error = judged(FOUND[bits], name).error
        assert 0.8 < of_images(bits, name) / error < 1.25, name
    assert "would move a difference by about as much again" in TEXT


def test_the_verdicts_in_words_are_those_of_the_tables():
    said = {
        bits: {name: verdict(judged(found, name), p) for name, p in holm(bits).items()}
        for bits, found in FOUND.items()
    }
    assert set(said[4].values()) == {"equivalent"}
    assert said[2] == {
        "qkd - kd": "undecided",
        "qkd - qat": "equivalent",
        "kd - qat": "undecided",
        "kd-co-studied - kd": "lower",
        "qkd - qkd-original": "equivalent",
    }
    means = {name: judged(FOUND[2], name).mean for name in said[2]}
    assert means["qkd - kd"] < 0 < means["kd - qat"]
    fall = judged(FOUND[2], "kd-co-studied - kd").text
    (low, high) = (end.strip("[],-") for end in fall.split()[1:])
    assert f"by {fall.split()[0][1:]} points [{high}, {low}].**" in README


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
        half = error * float(stats.t.ppf(0.95, freedom))
        assert max(abs(joint - half), abs(joint + half)) < 0.5
        assert shown.loc[name, "verdict"] == "equivalent"
        p = float(stats.chi2.sf(q, len(ones) - 1))
        column = "do the two agree, p"
        assert shown.loc[name, column] == (f"{p:.2f}" if p >= 0.05 else f"{p:.3f}")


def test_the_notes_have_the_numbers_of_the_records():
    spreads = "; ".join(f"W{bits}A{bits}: {told_spread(found)}" for bits, found in FOUND.items())
    assert f"- **Spread.** {spreads}." in TEXT
    powers = (f"{judged(found, 'qkd - kd').power:.2f}" for found in FOUND.values())
    assert f"half a point was {' and '.join(powers)} before" in TEXT
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
        below, gained = READY[20]["top1"] - found["qkd"].mean(), judged(found, "qkd - kd").mean
        way = "above" if gained > 0 else "below"
        own = f"it stands {below:.2f} points below its own float, and {abs(gained):.2f} {way}"
        assert f"{own} plain KD" in TEXT
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
    assert before - after > 0.3
    assert said.iloc[0] == f"no: by {before - after:.2f}, from {before:.2f} to {after:.2f} %"
    gained = judged(FOUND[4], "qkd - kd").mean
    assert abs(gained) < 0.2
    assert said.iloc[1] == f"yes, its mean: {gained:+.2f}"


CO_STUDYING = ("qkd-teacher-kl0.1", "qkd-teacher-ramp", "qkd-teacher-rate0.1", "qkd-late")


def planned(matrix: Matrix, methods: tuple[str, ...] = (), bits: int = 0) -> Plan:
    def is_wanted(cell: Cell) -> bool:
        named = not methods or cell.method.name in methods
        return named and (not bits or cell.weight_bits == bits)

    cells = list(matrix.cells())
    return plan(cells, filter(is_wanted, cells))


@pytest.fixture(scope="module")
def evidence() -> Matrix:
    return decode((RUN / "matrices" / "evidence-laptop.json").read_bytes(), Matrix)


def test_the_prices_are_counted_and_the_hours_follow_from_this_runs_speed(evidence):
    speeds, taken = [], 0.0
    whole = planned(evidence)
    for one in whole.stages.values():
        (file,) = RUN.glob(f"stages/*-{one.digest}/result.json")
        result = json.loads(file.read_bytes())
        if one.parents:
            speeds.append(one.macs / result["seconds"])
            taken += result["wall_seconds"]
    said = f"this run took {taken / (whole.macs / median(speeds)):.1f} times that"
    assert f"Beside other work {said}" in TEXT
    assert (
        f"({median(speeds) / 1e10:.1f}e10 a second each, under `PORTABLE=1`, on two threads" in TEXT
    )
    assert round(whole.macs / median(speeds) / 3600 / 2) == 8
    assert "eight where the two are threads of one core" in LABELS["laptop"].cost
    assert "five to eight hours on two cores" in README
    plans = {
        "A2": planned(sensitivity.matrix("laptop", (10, 11, 12)), CO_STUDYING, bits=2),
        "A4": planned(cifar100.matrix("laptop", tuple(range(5)))),
        "C1": planned(mobilenet.matrix("laptop", tuple(range(3)))),
        "B2": planned(longer.matrix("laptop", tuple(range(5)))),
    }
    shown = table(RESULTS, "of the analysis")
    assert list(shown.index) == list(plans)
    for name, own in plans.items():
        hours = own.macs / median(speeds) / 3600 / 2
        assert shown.loc[name, "multiply-accumulates"] == f"{own.macs / 1e15:.2f}e15", name
        assert shown.loc[name, "hours"].partition(",")[0] == f"{hours:.1f}", name
