"""The READMEs: their numbers are those of the committed records.

Means, intervals and differences are computed from cells.csv by pandas and scipy.stats, without the
report.
"""

import json
import re

import numpy as np
import pandas as pd
import pytest

from benchmarks import lengths
from benchmarks.rivals import TITLES
from tests.support.by_rule import (
    Judged,
    bartlett,
    difference,
    judged,
    mean,
    quantized,
    told_spread,
)
from tests.support.launching import ROOT, launch, report, reported
from tests.support.readmes import (
    MATRICES,
    README,
    REFERENCE,
    RESULTS,
    SPEED,
    flat,
    results_of,
    table,
    top1,
)

HEADLINE = ["qkd - kd", "qkd - qat", "qkd - qat-cost"]
PHASES = ["qkd - ss+tu", "qkd - cs+tu", "qkd - ss+cs", "kd - qat"]
FIXED = [*HEADLINE, *PHASES]
SCREEN = 120


def test_the_first_screen_is_no_longer_than_agreed():
    assert len(README.splitlines()) <= SCREEN


def test_the_tables_by_length_are_those_of_the_committed_records():
    found = top1("cifar10", "lengths")
    methods = table(RESULTS, "method | 400 steps, test top-1, %")
    assert sorted(methods.index) == sorted(found["whole"].columns)
    contrasts = table(RESULTS, "contrast | 400 steps, points")
    assert list(contrasts.index[: len(FIXED)]) == FIXED
    for place, length in enumerate(("quarter", "whole")):
        top1s = found[length]
        assert list(methods.iloc[:, place]) == [mean(top1s[name]) for name in methods.index]
        for name, text in contrasts.iloc[:, place].items():
            assert text == difference(top1s, name), (name, length)


def test_what_is_said_of_the_lengths_follows_from_the_committed_records():
    found = top1("cifar10", "lengths")
    for length in ("quarter", "whole"):
        assert told_spread(found[length]) in flat(RESULTS)
    assert bartlett(quantized(found["whole"])) >= 0.05 > bartlett(quantized(found["quarter"]))
    for name, side in (("kd", -1), ("qat", -1), ("ss+tu", -1), ("cs+tu", 1)):
        means = [judged(found[length], f"qkd - {name}").mean for length in ("quarter", "whole")]
        assert all(side * value > 0.3 for value in means), name
    powers = [judged(found[n], one).power for n in ("quarter", "whole") for one in FIXED]
    assert f"half a point was {_range(powers)} before" in flat(RESULTS)
    cells = pd.read_csv(REFERENCE / "cifar10" / "cells.csv").query("matrix == 'lengths'")
    steps = sorted(cells[cells.method == "qat-cost"].steps.unique())
    assert f"{steps[0]:,} and {steps[1]:,} steps" in RESULTS
    assert f"{steps[1]:,} steps)" in README
    after = cells.groupby(["method", "steps"]).teacher_top1.mean()
    assert f"to {after['qkd', 400]:.2f} % (400 steps)" in RESULTS
    assert f"to {after['qkd', 1600]:.2f} % (1,600)" in RESULTS
    assert f"({after['qkd-ce', 400]:.2f}, {after['qkd-ce', 1600]:.2f})" in RESULTS


def test_the_losses_that_are_told_are_those_of_the_committed_records():
    def losses(pattern: str, side: str = "student") -> float:
        return float(np.mean([one[side]["loss"] for one in results_of(pattern)]))

    qkd = losses("resnet20-w2a2-self-study240-co-study800-tutoring560-s[012]-*")
    kd = losses("resnet20-w2a2-tutoring1600-s[012]-*")
    before = losses("resnet56-fp-ready-*")
    after = losses("resnet20-w2a2-self-study240-co-study800-s[012]-*", "teacher")
    assert f"{qkd:.3f} under QKD and {kd:.3f} under plain KD" in flat(RESULTS)
    assert f"from {before:.3f} to {after:.3f}" in flat(RESULTS)


def test_the_hours_and_the_proofs_of_the_lengths_are_those_of_the_committed_records():
    # Without the tuning's seed.
    results = [*results_of("resnet20-w2a2-*-s[012]-*")]
    hours = sum(one["wall_seconds"] for one in results) / 2 / 3600
    assert f"It took {hours:.1f} hours of two cores of an AMD EPYC." in RESULTS
    assert f"{hours:.1f} hours on two cores" in README
    assert f"After each of the {len(results)} quantized stages" in RESULTS
    assert f"the committed run took {hours:.1f} on" in lengths.LABELS["laptop"].cost
    proofs = [one["integer"] for one in results]
    assert all(one["agreement"] == 1 and one["images"] == 10_000 for one in proofs)


def test_the_tables_of_the_ablation_are_those_of_the_committed_records():
    found = top1("laptop", "ablation")
    shown = table(RESULTS, "method | what it is")
    assert sorted(shown.index) == sorted(found.columns)
    for name, row in shown.iterrows():
        assert list(row[1:]) == [mean(found[name]), str(found[name].count())], name
    contrasts = table(RESULTS, "contrast | points")["points"]
    assert list(contrasts.index[: len(FIXED)]) == FIXED
    for name, text in contrasts.items():
        assert text == difference(found, name), name
    assert told_spread(found) in flat(RESULTS)
    inner, outer = judged(found, "kd - qat"), judged(found, "fp-kd - fp-tuned")
    parts = [inner.error**2, outer.error**2]
    shares = sum(v**2 / one.freedom for v, one in zip(parts, (inner, outer), strict=True))
    interaction = Judged(
        inner.mean - outer.mean, np.sqrt(sum(parts)), sum(parts) ** 2 / shares
    ).text
    assert f"interaction (kd - qat) - (fp-kd - fp-tuned) is {interaction}" in flat(RESULTS)
    powers = [judged(found, one).power for one in FIXED]
    assert f"half a point was {_range(powers)} before" in flat(RESULTS)


def test_the_table_of_the_rivals_is_that_of_the_committed_records():
    found = top1("laptop", "rivals")
    shown = table(RESULTS, "quantizer")
    assert sorted(shown.index) == sorted(["ours", *TITLES.values()])
    pairs = {
        title: (f"qat-{name}" if name else "qat", f"qkd-{name}" if name else "qkd")
        for name, title in {"": "ours", **TITLES}.items()
    }
    for title, (qat, qkd) in pairs.items():
        expected = [mean(found[qat]), mean(found[qkd]), difference(found, f"{qkd} - {qat}")]
        assert list(shown.loc[title]) == expected, title
    powers = [judged(found, f"{qkd} - {qat}").power for qat, qkd in pairs.values()]
    assert f"a chance of {min(powers):.2f} to {max(powers):.2f}" in RESULTS
    assert f"self): {mean(found['sqakd'])}." in RESULTS


def test_the_table_of_speed_is_that_of_the_committed_measurement():
    file = ROOT / "results" / "speed" / "amd-epyc-2-cores.json"
    figures = json.loads(file.read_bytes())["figures"]
    ratios = {(one["group"], one["name"]): f"{one['ratio']:.2f}" for one in figures}
    kept = {one["name"]: re.findall(r"\d+", one["note"]) for one in figures if "MiB" in one["note"]}
    rows = {
        "ours": ("quantized step", ", interval"),
        "LSQ here": ("quantized step", ", LSQ"),
        "ours with LEAN=1": ("quantized step", ", interval, LEAN=1"),
        "ours with COMPILE=1, against the compiled float step": ("compiled step", ""),
        "ours with COMPILE=1, against our eager step": (
            "compiled step", ", against the eager quantized step",
        ),
        "LSQ as commonly published": ("peers", ", LSQ as commonly published"),
        "torch's own kernel": ("peers", ", torch's own"),
        "brevitas 0.13": ("peers", ", brevitas"),
        "torchao 0.18, pt2e": ("peers", ", torchao, pt2e"),
    }  # fmt: skip
    shown = table(SPEED, "step against float").replace(r"\*", "", regex=True)
    for column in shown:
        network = column.partition(",")[0]
        for title, (group, ending) in rows.items():
            assert shown.loc[title, column] == ratios[group, network + ending], (title, network)
        memory = shown.filter(like="kept for the backward pass", axis="index")[column]
        ours, floating = kept[f"{network}, kept"]
        assert list(memory) == [floating, ours, kept[f"{network}, LEAN=1"][0]]
    assert len(shown) == len(rows) + 3
    for title in ("ours", "brevitas 0.13"):
        quoted = [(value, column.partition(",")[0]) for column, value in shown.loc[title].items()]
        if title == "ours":
            first, second, third = (f"{value} ({network})" for value, network in quoted)
        else:
            first, second, third = (value for value, _ in quoted)
        assert f"{first}, {second} and {third}" in flat(README)


@pytest.mark.slow
def test_the_example_of_a_matrix_of_ones_own_runs_as_it_stands(tmp_path):
    examples = re.findall(r"```python\n(.*?)```", MATRICES, re.DOTALL)
    (example,) = (one for one in examples if '"mine:read"' in one)
    file = tmp_path / "mine.py"
    file.write_text(example)
    results, page = tmp_path / "results", tmp_path / "report.html"
    code, output = launch("run", results, tmp_path / "data", MATRIX=str(file), SEEDS="0,1")
    assert code == 0, output
    report(results, page)
    rows = reported(page, "mine")
    assert [(row["method"], row["seed"], row["status"]) for row in rows] == [
        (method, seed, "done") for method in ("qkd", "halves") for seed in "01"
    ]
    assert all(float(row["top1"]) > 60 for row in rows)


def _range(values: list[float]) -> str:
    return " to ".join(dict.fromkeys((f"{min(values):.2f}", f"{max(values):.2f}")))
