"""The READMEs: their numbers are those of the committed records.

Means, intervals and differences are computed from cells.csv by pandas and scipy.stats, without the
report.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import lengths
from benchmarks.rivals import TITLES
from qkd.spec import Stage
from qkd.spec.history import before
from qkd.spec.value import decode
from tests.support.launching import ROOT, launch, report, reported

REFERENCE = ROOT / "results" / "reference"
README, RESULTS, SPEED, MATRICES = (
    (ROOT / folder / "README.md").read_text()
    for folder in ("", "results", "benchmarks/speed", "benchmarks")
)
HEADLINE = ["qkd - kd", "qkd - qat", "qkd - qat-cost"]
PHASES = ["qkd - ss+tu", "qkd - cs+tu", "qkd - ss+cs", "kd - qat"]
FIXED = [*HEADLINE, *PHASES]
SCREEN = 120


def table(text: str, first: str) -> pd.DataFrame:
    """The Markdown table whose header begins with these columns, as texts without backticks."""
    (found,) = re.findall(rf"^\| {re.escape(first)} \|.*\n(?:\|.*\n)+", text, re.MULTILINE)
    rows = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        for line in found.splitlines()
    ]
    return pd.DataFrame(rows[2:], columns=rows[0]).set_index(rows[0][0])


def top1(run: str, matrix: str) -> pd.DataFrame:
    """Top-1 in percent: a row for each seed, a column for each method. Of the matrix of lengths the
    columns are (length, method), ``whole`` or ``quarter``."""
    cells = pd.read_csv(REFERENCE / run / "cells.csv")
    cells = cells[(cells.matrix == matrix) & (cells.status == "done")]
    columns = ["method"]
    if matrix == "lengths":
        rank = cells.groupby(["method", "seed"]).steps.rank()
        cells = cells.assign(length=rank.map({1.0: "quarter", 2.0: "whole"}))
        columns = ["length", "method"]
    return cells.pivot(index="seed", columns=columns, values="top1")


def half_width(values: pd.Series) -> float:
    return float(stats.t.ppf(0.975, len(values) - 1) * values.sem())


def mean(values: pd.Series) -> str:
    values = values.dropna()
    text = f"{values.mean():.2f}"
    return f"{text} ± {half_width(values):.2f}" if len(values) > 1 else text


class Judged(NamedTuple):
    """A contrast: its mean, its standard error and the degrees of freedom of that."""

    mean: float
    error: float
    freedom: float

    @property
    def text(self) -> str:
        half = float(stats.t.ppf(0.975, self.freedom)) * self.error
        text = f"{self.mean:+.2f} [{self.mean - half:.2f}, {self.mean + half:.2f}]"
        return re.sub(r"-(0\.00)\b", r"\1", text)

    @property
    def power(self) -> float:
        """The chance that the uncorrected test sees half a point at the observed spread."""
        critical = stats.t.ppf(0.975, self.freedom)
        noncentral = stats.nct(self.freedom, 0.5 / self.error)
        return float(noncentral.sf(critical) + noncentral.cdf(-critical))


def quantized(found: pd.DataFrame) -> list[pd.Series]:
    """The top-1s of each quantized method that has several seeds."""
    every = (found[name].dropna() for name in found if not name.startswith("fp"))
    return [values for values in every if len(values) > 1]


def spread(groups: list[pd.Series]) -> tuple[float, int]:
    """The residual standard deviation of the one-way layout, and its degrees of freedom."""
    freedom = sum(len(values) - 1 for values in groups)
    squares = sum(((values - values.mean()) ** 2).sum() for values in groups)
    return float(np.sqrt(squares / freedom)), freedom


def bartlett(groups: list[pd.Series]) -> float:
    return float(stats.bartlett(*groups).pvalue)


def judged(found: pd.DataFrame, contrast: str) -> Judged:
    """By the spread pooled over the methods where Bartlett's test lets it pass, else Welch's."""
    ours, theirs = (found[name].dropna() for name in contrast.split(" - "))
    groups = quantized(found)
    if contrast.startswith("fp"):
        groups = [ours, theirs]
    if bartlett(groups) < 0.05:
        welch = stats.ttest_ind(ours, theirs, equal_var=False)
        return Judged(ours.mean() - theirs.mean(), np.hypot(ours.sem(), theirs.sem()), welch.df)
    common, freedom = spread(groups)
    error = common * np.sqrt(1 / len(ours) + 1 / len(theirs))
    return Judged(ours.mean() - theirs.mean(), error, freedom)


def difference(found: pd.DataFrame, contrast: str) -> str:
    return judged(found, contrast).text


def told_spread(found: pd.DataFrame) -> str:
    common, freedom = spread(quantized(found))
    p = bartlett(quantized(found))
    end = f"p {p:.2f}" if p >= 0.05 else f"p {p:.3f}" if p >= 0.001 else "p below 0.001"
    return f"{common:.2f} points on {freedom} degrees of freedom (Bartlett's {end})"


def results_of(pattern: str) -> list[dict]:
    return [
        json.loads(file.read_bytes())
        for file in sorted((REFERENCE / "cifar10" / "stages").glob(f"{pattern}/result.json"))
    ]


def teacher_before(run: Path, stage: str) -> dict[str, float]:
    """The teacher that a committed stage begins with: its accuracy in the stage's own parent."""
    (file,) = run.glob(f"stages/*-{stage}/stage.json")
    parent = before(decode(file.read_bytes(), Stage))
    (file,) = run.glob(f"stages/*-{parent.digest}/result.json")
    return json.loads(file.read_bytes())["teacher"]


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
        assert told_spread(found[length]) in _flat(RESULTS)
    assert bartlett(quantized(found["whole"])) >= 0.05 > bartlett(quantized(found["quarter"]))
    for name, side in (("kd", -1), ("qat", -1), ("ss+tu", -1), ("cs+tu", 1)):
        means = [judged(found[length], f"qkd - {name}").mean for length in ("quarter", "whole")]
        assert all(side * value > 0.3 for value in means), name
    powers = [judged(found[n], one).power for n in ("quarter", "whole") for one in FIXED]
    assert f"half a point was {_range(powers)} before" in _flat(RESULTS)
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
    assert f"{qkd:.3f} under QKD and {kd:.3f} under plain KD" in _flat(RESULTS)
    assert f"from {before:.3f} to {after:.3f}" in _flat(RESULTS)


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
    assert told_spread(found) in _flat(RESULTS)
    inner, outer = judged(found, "kd - qat"), judged(found, "fp-kd - fp-tuned")
    parts = [inner.error**2, outer.error**2]
    shares = sum(v**2 / one.freedom for v, one in zip(parts, (inner, outer), strict=True))
    interaction = Judged(
        inner.mean - outer.mean, np.sqrt(sum(parts)), sum(parts) ** 2 / shares
    ).text
    assert f"interaction (kd - qat) - (fp-kd - fp-tuned) is {interaction}" in _flat(RESULTS)
    powers = [judged(found, one).power for one in FIXED]
    assert f"half a point was {_range(powers)} before" in _flat(RESULTS)


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
        assert f"{first}, {second} and {third}" in _flat(README)


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


def _flat(text: str) -> str:
    """The text with its lines joined."""
    return " ".join(text.split())
