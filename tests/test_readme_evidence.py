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
    bartlett,
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
FAMILIES = ((HEADLINE, 3), (("kd - qat",), 1))  # the headline counts qkd - qat-cost, not run here
TEXT = " ".join(RESULTS.split())
READY = {n: results_of(f"resnet{n}-fp-ready-*")[0]["student"] for n in (20, 56)}
CELLS = pd.read_csv(RUN / "cells.csv").query("status == 'done'")
W4A4 = CELLS[CELLS.weight_bits == 4].pivot(index="seed", columns="method", values="top1")


def results_at_w4a4(method: str) -> Iterator[dict]:
    for stage in CELLS.query("weight_bits == 4 and method == @method").stage:
        (file,) = RUN.glob(f"stages/*-{stage}/result.json")
        yield json.loads(file.read_bytes())


def averaged(method: str, part: str, name: str) -> float:
    return float(np.mean([one[part][name] for one in results_at_w4a4(method)]))


def holm(found: pd.DataFrame) -> dict[str, float]:
    """Each contrast's p by Holm within its family; one that was fixed and not run counts too."""
    corrected = {}
    for names, size in FAMILIES:
        ps = {}
        for name in names:
            one = judged(found, name)
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


def test_the_readmes_table_is_that_of_the_committed_records():
    settings = W4A4, top1("cifar10", "lengths")["whole"]
    shown = table(README, "CIFAR-10, ResNet-20")
    names = {
        "plain QAT": "qat", "plain KD": "kd", "QKD": "qkd", "plain QAT at QKD's cost": "qat-cost",
    }  # fmt: skip
    ready, teacher = (f"{READY[n]['top1']:.2f}" for n in (20, 56))
    assert list(shown.loc["float, as downloaded"]) == [ready, "", ready, ""]
    assert f"({teacher} %;" in README
    assert sorted(shown.index) == sorted(["float, as downloaded", *names])
    for title, method in names.items():
        expected = []
        for found in settings:
            if method not in found:
                expected += ["not run", ""]
                continue
            assert found[method].count() == 3
            minus = "" if method == "qkd" else difference(found, f"qkd - {method}")
            expected += [mean(found[method]), minus]
        assert list(shown.loc[title]) == expected, title
    common, freedom = spread(quantized(W4A4))
    assert f"({common:.2f} points, {freedom} degrees of freedom;" in " ".join(README.split())


def test_the_methods_at_w4a4_are_those_of_the_committed_records():
    shown = table(RESULTS, "method at W4A4")
    ready = READY[20]
    assert list(shown.iloc[0]) == [f"{ready['top1']:.2f}", f"{ready['loss']:.3f}", "", "1"]
    assert list(shown.index[1:]) == ["qat", "kd", "qkd"]
    for name in shown.index[1:]:
        loss, again = (
            averaged(name, "student", "loss"),
            averaged(name, "reestimated_training", "top1"),
        )
        row = [mean(W4A4[name]), f"{loss:.3f}", f"{again:.2f}", "3"]
        assert list(shown.loc[name]) == row, name
        proofs = [one["integer"] for one in results_at_w4a4(name)]
        assert all(one["agreement"] == 1 and one["images"] == 10_000 for one in proofs)
    losses = {name: averaged(name, "student", "loss") for name in ("qat", "kd")}
    assert averaged("qkd", "student", "loss") < min(ready["loss"], *losses.values())
    assert W4A4["qkd"].mean() > W4A4["kd"].mean() > W4A4["qat"].mean()


def test_the_verdicts_at_w4a4_follow_from_the_records_by_the_fixed_rules():
    assert bartlett(quantized(W4A4)) >= 0.05
    assert f"- **Spread.** {told_spread(W4A4)}." in TEXT
    shown = table(RESULTS, "contrast at W4A4")
    corrected = holm(W4A4)
    assert sorted(shown.index) == sorted(corrected)
    for name in shown.index:
        one, p = judged(W4A4, name), corrected[name]
        low, high = ends(one)
        row = [one.text, f"[{low:.2f}, {high:.2f}]", f"{p:.2f}", verdict(one, p)]
        assert list(shown.loc[name]) == row
    assert set(shown["verdict"]) == {"equivalent"}  # as both READMEs say
    assert f"half a point was {judged(W4A4, 'qkd - kd').power:.2f} before" in TEXT


def test_its_seeds_stand_in_no_other_committed_run():
    assert sorted(W4A4.index) == [10, 11, 12]
    others = (file for file in REFERENCE.glob("*/cells.csv") if file.parent != RUN)
    assert not set(W4A4.index) & {seed for file in others for seed in pd.read_csv(file).seed}


def right(method: str) -> np.ndarray:
    """Which answers are right: (seeds, images)."""
    results = results_at_w4a4(method)
    return np.stack([convert(one["student"], Accuracy).right() for one in results])


def test_other_test_images_would_move_a_difference_by_as_much_as_other_seeds():
    for name in HEADLINE:
        ours, theirs = map(right, name.split(" - "))
        of_images = (ours.astype(float) - theirs).mean(axis=0)
        error = 100 * of_images.std(ddof=1) / np.sqrt(len(of_images))
        assert 0.8 < error / judged(W4A4, name).error < 1.25, name
    assert "would move a difference by about as much again" in TEXT


def test_the_outcomes_of_the_predictions_are_those_of_the_records():
    before = READY[56]
    co_studied = [
        json.loads(file.read_bytes())["teacher"]
        for file in RUN.glob("stages/resnet20-w4a4-self-study240-co-study800-s*/result.json")
    ]
    after = {name: np.mean([one[name] for one in co_studied]) for name in ("top1", "loss")}
    assert len(co_studied) == 3
    said = table(RESULTS, "predicted before the run")["what came"]
    fall = before["top1"] - after["top1"]
    assert fall > 0.3
    numbers = f"{fall:.2f}, from {before['top1']:.2f} to {after['top1']:.2f} %"
    assert said.iloc[0] == f"no: by {numbers}"
    gained = judged(W4A4, "qkd - kd").mean
    assert abs(gained) < 0.2
    assert said.iloc[1] == f"yes, its mean: {gained:+.2f}"
    assert f"falls from {before['loss']:.3f} to {after['loss']:.3f} in co-studying" in TEXT
    below = READY[20]["top1"] - W4A4["qkd"].mean()
    assert f"{below:.2f} points below its own float, and {gained:.2f} above plain KD" in TEXT
    assert f"after co-studying {after['top1']:.2f} and " in README


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
    whole = planned(evidence, bits=4)
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
    plans = {
        "A1": planned(evidence, bits=2),
        "A2": planned(sensitivity.matrix("laptop", (10, 11, 12)), CO_STUDYING, bits=2),
        "A4": planned(cifar100.matrix("laptop", tuple(range(5)))),
        "C1": planned(mobilenet.matrix("laptop", tuple(range(3)))),
        "B2": planned(longer.matrix("laptop", tuple(range(5)))),
    }
    all_of_it = (whole.macs + plans["A1"].macs) / median(speeds) / 3600 / 2
    assert round(all_of_it) == 8
    assert "eight where the two are threads of one core" in LABELS["laptop"].cost
    assert "five to eight hours on two cores" in README
    shown = table(RESULTS, "of the analysis")
    assert list(shown.index) == list(plans)
    for name, own in plans.items():
        hours = own.macs / median(speeds) / 3600 / 2
        assert shown.loc[name, "multiply-accumulates"] == f"{own.macs / 1e15:.2f}e15", name
        assert shown.loc[name, "hours"].partition(",")[0] == f"{hours:.1f}", name
