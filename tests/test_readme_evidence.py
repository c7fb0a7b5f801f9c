"""The evidence: tables, verdicts and outcomes of predictions, computed from the committed
records by the rules of the fixed analysis, without the report."""

import pandas as pd
import pytest

from tests.support.by_rule import (
    HEADLINE,
    ends,
    judged,
    mean,
    not_within,
    told_spread,
)
from tests.support.fixed_settings import CIFAR10, RUN
from tests.support.readmes import (
    README,
    REFERENCE,
    RESULTS,
    flat,
    results_of,
    table,
    top1,
)

TEXT = flat(RESULTS)
READY = {n: results_of(f"resnet{n}-fp-ready-*")[0]["student"] for n in (20, 56)}
EACH = pytest.mark.parametrize("bits", CIFAR10)


@EACH
def test_the_methods_are_those_of_the_committed_records(bits):
    shown = table(RESULTS, f"method at W{bits}A{bits}")
    ready = READY[20]
    assert list(shown.iloc[0]) == [f"{ready['top1']:.2f}", f"{ready['loss']:.3f}", "", "1"]
    assert sorted(shown.index[1:]) == sorted(CIFAR10[bits].found)
    for name in shown.index[1:]:
        assert list(shown.loc[name]) == CIFAR10[bits].method_row(name), name
    assert CIFAR10[bits].is_proved()


@EACH
def test_the_verdicts_follow_from_the_records_by_the_fixed_rules(bits):
    shown = table(RESULTS, f"contrast at W{bits}A{bits}")
    assert sorted(shown.index) == sorted(CIFAR10[bits].corrected)
    for name in shown.index:
        assert list(shown.loc[name]) == CIFAR10[bits].contrast_row(name), name


def test_its_seeds_stand_in_no_other_committed_run():
    seeds = {bits: sorted(at.found.index) for bits, at in CIFAR10.items()}
    assert seeds == {2: [10, 11, 12, 13, 14], 4: [10, 11, 12]}
    others = (file for file in REFERENCE.glob("*/cells.csv") if file.parent != RUN)
    assert not set(seeds[2]) & {seed for file in others for seed in pd.read_csv(file).seed}


def test_over_test_images_a_contrast_moves_by_what_is_said():
    errors = [at.of_images(name) for at in CIFAR10.values() for name in at.corrected]
    said = f"of a contrast is {min(errors):.2f} to {max(errors):.2f} points"
    assert f"Over images the standard error {said}" in TEXT


def test_the_claims_are_judged_by_their_contrasts():
    shown = table(RESULTS, "claim of the paper | contrast | at W2A2")
    for _, contrast, *cells in shown.reset_index().itertuples(index=False):
        for at, cell in zip(CIFAR10.values(), cells, strict=True):
            if contrast == "QKD less its own float":
                own = at.found["qkd"].mean()
                assert cell == f"{own - READY[20]['top1']:+.2f}, at {own:.2f} %"
            else:
                assert cell == (at.word(contrast) if contrast in at.corrected else "not run")
    claimed = pd.read_csv(REFERENCE.parent / "paper.csv")
    (one,) = claimed.query("dataset == 'cifar10' and method == 'qkd'").itertuples()
    assert (one.model, one.weight_bits, one.mark) == ("resnet20", 2, "second-hand")
    assert f"{one.top1:.2f} % is claimed for QKD with this student at W2A2 (second-hand)" in TEXT
    judged_there = set(shown["contrast"]) - {"QKD less its own float"}
    assert judged_there == {name for at in CIFAR10.values() for name in at.corrected}


def test_both_readmes_lead_with_the_verdicts():
    """The sentence is put together from the verdicts; another verdict needs another sentence."""
    words = {(bits, name): at.word(name) for bits, at in CIFAR10.items() for name in at.corrected}
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
    for text in (TEXT, flat(README)):
        for sentence in (lead, against, teacher, tutor):
            assert sentence in text
    fall = judged(CIFAR10[2].found, "kd-co-studied - kd").text
    low, high = (end.strip("[],-") for end in fall.split()[1:])
    assert f"by {fall.split()[0][1:]} points [{high}, {low}];" in README
    low, high = ends(judged(CIFAR10[4].found, "qkd - qat"))
    mean_of = judged(CIFAR10[4].found, "qkd - qat").text.split()[0]
    assert f"(of {mean_of}: [{low:.2f}, {high:.2f}])" in README


def test_what_is_said_of_equivalence_corrected_holds():
    """Two one-sided tests at half a point, each p three times: Bonferroni for the headline."""
    lost = [
        (bits, name)
        for bits, at in CIFAR10.items()
        for name in at.corrected
        if at.word(name) == "equivalent" and 3 * not_within(judged(at.found, name)) >= 0.05
    ]
    assert lost == [(4, "qkd - qat")]
    assert "Corrected for three, qkd - qat at W4A4 alone would lose the word." in TEXT
    claimed = pd.read_csv(REFERENCE.parent / "paper.csv").query("model == 'resnet18'")
    top1s = claimed[claimed["table"] == "Figure 1"].pivot(
        index="weight_bits", columns="method", values="top1"
    )
    gains = (top1s["qkd"] - top1s["ap*"]).dropna()
    assert f"QKD gains {gains.min():.1f} to {gains.max():.1f} over the paper's own" in TEXT


def test_the_notes_have_the_numbers_of_the_records():
    spreads = "; ".join(f"W{bits}A{bits}: {told_spread(at.found)}" for bits, at in CIFAR10.items())
    assert f"- **Spread.** {spreads}." in TEXT
    powers = (f"{judged(at.found, 'qkd - kd').power:.2f}" for at in CIFAR10.values())
    assert f"had a chance of {' and '.join(powers)} to see half a point before" in TEXT
    before, after = READY[56], {bits: at.teacher_after() for bits, at in CIFAR10.items()}
    assert (
        f"from {before['top1']:.2f} % to {after[2]['top1']:.2f} % in co-studying at W2A2, and its "
        f"test loss from {before['loss']:.3f} to {after[2]['loss']:.3f}; "
        f"at W4A4 to {after[4]['top1']:.2f} % and {after[4]['loss']:.3f}."
    ) in TEXT
    for bits, at in CIFAR10.items():
        losses = {name: at.averaged(name, "student", "loss") for name in at.found}
        assert min(losses, key=losses.__getitem__) == "qkd"
        assert (losses["qkd"] < READY[20]["loss"]) == (bits == 4)
    assert "QKD's is the lowest at both. At W4A4 it is below that of the float" in TEXT
    old = top1("cifar10", "lengths")["whole"]
    for found, said in (
        (old, "[{:.2f} points below plain KD and {:.2f} below plain QAT]"),
        (CIFAR10[2].found, "stands {:.2f} and {:.2f} below."),
    ):
        assert said.format(*(-judged(found, name).mean for name in HEADLINE)) in TEXT


def test_plain_qat_at_qkds_cost_is_told_from_the_older_runs():
    less = judged(top1("cifar10", "lengths")["whole"], "qkd - qat-cost").text
    low, high = (end.strip("[],-") for end in less.split()[1:])
    assert f"stands above QKD by {less.split()[0][1:]} points [{high}, {low}]" in README


def test_the_outcomes_of_the_predictions_are_those_of_the_records():
    said = table(RESULTS, "predicted before the run")["what came"]
    before, after = READY[56]["top1"], CIFAR10[4].teacher_after()["top1"]
    falls = mean(before - CIFAR10[4].cells.query("method == 'qkd'").teacher_top1)
    assert before - after > 0.3
    assert said.iloc[0] == f"no, its mean: {falls}, from {before:.2f} to {after:.2f} %"
    gained = judged(CIFAR10[4].found, "qkd - kd").mean
    assert abs(gained) < 0.2
    assert said.iloc[1] == f"yes, its mean: {gained:+.2f}"
