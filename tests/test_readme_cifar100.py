"""CIFAR-100: tables, verdicts and outcomes of predictions, computed from the committed records by
the rules of the fixed analysis, without the report."""

import pytest

from benchmarks import cifar
from benchmarks.matrix import Matrix
from qkd.spec import Recipe
from qkd.spec.value import decode
from tests.support.by_rule import difference, judged, not_within, told_spread
from tests.support.fixed_settings import CIFAR100, RUN
from tests.support.planned import planned, pretrained
from tests.support.readmes import README, RESULTS, flat, result_of, table

TEXT = flat(RESULTS)
RATE = Recipe(horizon=1, log_every=1).learning_rate
EXPLORED = ("qat-3x - qat", "qkd - qat-3x")
MATRIX = decode((RUN / "matrices" / "cifar100-laptop.json").read_bytes(), Matrix)
PLAN = planned(MATRIX).stages.values()
OWN = [one for one in PLAN if one.parents]
FLOAT, TEACHER = (one["student"] for one in pretrained(MATRIX))


def test_every_cell_of_the_plan_is_there():
    assert {one.digest for one in OWN} <= {
        file.parent.name.rpartition("-")[2] for file in RUN.glob("stages/*/result.json")
    }
    seeds = {name: CIFAR100.found[name].dropna().index.tolist() for name in CIFAR100.found}
    every = [0, 1, 2, 3, 4]
    assert seeds == {"kd": every, "qat": every, "qat-3x": every[:2], "qkd": every}
    assert CIFAR100.is_proved()


def test_all_but_the_faster_plain_qat_learn_at_the_recipes_rates():
    rates = {
        cell.method.name: cell.history.recipe.learning_rate / RATE
        for cell in MATRIX.cells()
        if cell.method.name in CIFAR100.found
    }
    assert rates == pytest.approx({"kd": 1, "qat": 1, "qat-3x": 3, "qkd": 1})
    assert [one.stage.steps / cifar.EPOCH for one in PLAN if not one.parents] == [30, 30]
    assert TEXT.count("pre-trained for 30 epochs instead of 200") == 1


def test_its_hours_and_its_cost_are_counted_without_the_pre_training():
    taken = sum(result_of(RUN, one.digest)["wall_seconds"] for one in OWN)
    assert f"by the same: {taken / 3600 / 2:.0f} hours on two cores" in README
    macs = {
        name: sum(one.macs for one in planned(MATRIX, (name,)).stages.values() if one.parents)
        for name in ("qkd", "kd", "qat")
    }
    times = [f"{macs['qkd'] / macs[name]:.1f} times" for name in ("qat", "kd")]
    assert (
        f"QKD takes {times[0]} the multiply-accumulates of plain QAT, and {times[1]} those of "
        "plain KD, without the pre-training."
    ) in TEXT
    assert f"QKD costs {times[0]} plain QAT, and {times[1]} plain KD." in flat(README)


def test_the_methods_are_those_of_the_committed_records():
    shown = table(RESULTS, "method on CIFAR-100")
    own = f"{FLOAT['top1']:.2f}"
    assert list(shown.iloc[0]) == [own, f"{FLOAT['loss']:.3f}", "", "1"]
    assert sorted(shown.index[1:]) == sorted(CIFAR100.found)
    for name in shown.index[1:]:
        assert list(shown.loc[name]) == CIFAR100.method_row(name), name


def test_the_verdicts_follow_from_the_records_by_the_fixed_rules():
    shown = table(RESULTS, "contrast on CIFAR-100")
    assert list(shown.index) == [*CIFAR100.corrected, *EXPLORED]
    for name in CIFAR100.corrected:
        assert list(shown.loc[name]) == CIFAR100.contrast_row(name), name
    for name in EXPLORED:
        assert list(shown.loc[name]) == [difference(CIFAR100.found, name), "", "", "not fixed"], (
            name
        )


def test_the_claims_are_judged_by_their_contrasts():
    shown = table(RESULTS, "claim of the paper | contrast | on CIFAR-100")
    own = CIFAR100.found["qkd"].mean()
    assert list(shown["contrast"]) == [
        "qkd - qat",
        "qkd - kd",
        "kd - qat",
        "QKD less its own float",
    ]
    words = [CIFAR100.word(name) for name in shown["contrast"][:3]]
    last = f"{own - FLOAT['top1']:+.2f}, at {own:.2f} %"
    assert list(shown["on CIFAR-100"]) == [*words, last]


def test_the_outcomes_of_the_predictions_are_those_of_the_records():
    said = table(RESULTS, "predicted before the run on CIFAR-100")["what came"]
    helped, gained = (judged(CIFAR100.found, name).mean for name in ("kd - qat", "qkd - kd"))
    loss = CIFAR100.teacher_after()["loss"]
    moved = loss - TEACHER["loss"]
    outcomes = (
        (helped > 0.5, f"{helped:+.2f}"),
        (abs(gained) < 0.5, f"{gained:+.2f}"),
        (moved < 0, f"{moved:+.3f}, from {TEACHER['loss']:.3f} to {loss:.3f}"),
    )
    for told, (came, number) in zip(said, outcomes, strict=True):
        assert told == f"{'yes' if came else 'no'}, its mean: {number}"


def test_the_notes_have_the_numbers_of_the_records():
    found = CIFAR100.found
    power = judged(found, "qkd - kd").power
    assert f"- **Spread.** {told_spread(found)}. A contrast of five seeds" in TEXT
    assert f"had a chance of {power:.2f} to see half a point before correction." in TEXT
    assert f"Without it: {told_spread(found.drop(columns='qat-3x'))}." in TEXT
    teacher = CIFAR100.teacher_after()
    assert teacher["top1"] < TEACHER["top1"]
    assert teacher["loss"] > TEACHER["loss"]
    assert (
        f"Co-studying lowers its top-1 from {TEACHER['top1']:.2f} % to {teacher['top1']:.2f} %, "
        f"and raises its test loss from {TEACHER['loss']:.3f} to {teacher['loss']:.3f}."
    ) in TEXT
    assert f"teacher is {TEACHER['top1'] - FLOAT['top1']:.2f} points above the student" in TEXT
    faster = difference(found, "qat-3x - qat").lstrip("+")
    assert f"plain QAT gains {faster} points, about what plain KD gains." in TEXT
    assert abs(judged(found, "qat-3x - qat").mean - judged(found, "kd - qat").mean) < 0.1
    errors = [CIFAR100.of_images(name) for name in CIFAR100.corrected]
    assert f"contrast here is {min(errors):.2f} to {max(errors):.2f} points;" in TEXT


def test_what_is_said_of_equivalence_corrected_holds():
    """By Bonferroni for the headline's three."""
    found = CIFAR100.found
    assert {name for name in CIFAR100.corrected if CIFAR100.word(name) == "equivalent"} == {
        "qkd - qat"
    }
    assert 3 * not_within(judged(found, "qkd - qat")) >= 0.05
    assert "Corrected for three, qkd - qat would lose the word." in TEXT


def test_plain_qat_and_qkd_of_a_seed_share_their_first_steps():
    alone, qkd = (planned(MATRIX, (name,)).stages.keys() for name in ("qat", "qkd"))
    shared = [one.stage.steps for one in OWN if one.digest in alone & qkd]
    assert shared == 5 * [960]
    assert "plain QAT and QKD of a seed share their first 960 steps" in TEXT
