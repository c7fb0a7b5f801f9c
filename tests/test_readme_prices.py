"""What the evidence cost, and what is not run yet: counted, at the speed of the committed run."""

from statistics import median

import pytest

from benchmarks import cifar100, longer, mobilenet
from benchmarks.evidence import LABELS
from benchmarks.matrix import Matrix
from qkd.spec.value import decode
from tests.support.planned import planned, pretrained
from tests.support.readmes import README, REFERENCE, RESULTS, flat, result_of, table

RUN = REFERENCE / "evidence"
TEXT = flat(RESULTS)


@pytest.fixture(scope="module")
def evidence() -> Matrix:
    return decode((RUN / "matrices" / "evidence-laptop.json").read_bytes(), Matrix)


def test_qkds_cost_is_told_beside_that_of_the_others(evidence):
    macs = {name: planned(evidence, (name,), bits=2).macs for name in ("qkd", "kd", "qat")}
    assert f"QKD takes {macs['qkd'] / macs['qat']:.1f} times the multiply-accumulates" in TEXT
    assert f"and {macs['qkd'] / macs['kd']:.1f} times those of plain KD" in TEXT


def test_the_prices_are_counted_and_the_hours_follow_from_this_runs_speed(evidence):
    speeds, taken = [], 0.0
    whole = planned(evidence)
    for one in whole.stages.values():
        result = result_of(RUN, one.digest)
        if one.parents:
            speeds.append(one.macs / result["seconds"])
            taken += result["wall_seconds"]
    said = f"`evidence` took {taken / (whole.macs / median(speeds)):.1f} times that"
    assert f"Beside other work {said}" in TEXT
    assert (
        f"({median(speeds) / 1e10:.1f}e10 a second each, under `PORTABLE=1`, on two threads" in TEXT
    )
    assert round(whole.macs / median(speeds) / 3600 / 2) == 8
    assert "eight where the two are threads of one core" in LABELS["laptop"].cost
    assert "five to eight hours on two cores" in README
    plans = {
        "C1": planned(mobilenet.matrix("laptop", tuple(range(3)))),
        "B2": planned(longer.matrix("laptop", tuple(range(5)))),
    }
    shown = table(RESULTS, "of the analysis")
    assert list(shown.index) == list(plans)
    for name, own in plans.items():
        hours = own.macs / median(speeds) / 3600 / 2
        assert shown.loc[name, "multiply-accumulates"] == f"{own.macs / 1e15:.2f}e15", name
        assert shown.loc[name, "hours"].partition(",")[0] == f"{hours:.1f}", name


def test_the_committed_pair_of_cifar100_is_as_good_as_is_said():
    student, teacher = (
        one["student"]["top1"] for one in pretrained(cifar100.matrix("laptop", (0,)))
    )
    assert f"`PORTABLE=1` (test top-1: {student:.2f} and {teacher:.2f} %)" in TEXT
