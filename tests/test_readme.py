"""What the README says can be done is done."""

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from benchmarks import lengths
from benchmarks.rivals import TITLES
from report.analysis.contrasts import Compared
from report.analysis.methods import MethodRow
from report.build import collect
from report.frames.tidy import rows
from report.page.tables import difference
from report.reading.sources import REFERENCE
from report.texts import MINUS
from tests.support.launching import ROOT, launch, report, reported

README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_example_of_a_matrix_of_ones_own_runs_as_it_stands(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
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


def test_every_command_of_the_readme_is_a_target_and_every_variable_is_known() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"^make (.*?)(?:  +#.*)?$", README, re.MULTILINE)
    assert len(commands) >= 7
    targets = set(re.findall(r"^([a-z][a-z -]*):", makefile, re.MULTILINE))
    known = {word for line in targets for word in line.split()}
    variables = set(re.search(r"^VARIABLES := (.*)$", makefile, re.MULTILINE)[1].split())
    for command in commands:
        target, *rest = shlex.split(command, comments=True)
        assert target in known
        assert {word.partition("=")[0] for word in rest} <= variables


def test_links_to_files_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)(.*?)\)", README):
        assert (ROOT / link).exists(), link


def test_the_table_of_results_is_that_of_the_committed_records() -> None:
    reference = ROOT / "results" / "reference" / "laptop" / "summary.csv"
    with reference.open() as stream:
        rows = {r["method"]: r for r in csv.DictReader(stream) if r["matrix"] == "ablation"}
    lines = re.findall(r"^\| `(.+?)` \| .+? \| (.+?) \| (\d+) \|$", README, re.MULTILINE)
    assert [name for name, _, _ in lines] == list(rows)
    for name, shown, n in lines:
        row = rows[name]
        assert n == row["n"]
        text = f"{float(row['mean']):.2f}"
        if row["low"]:
            text += f" ± {(float(row['high']) - float(row['low'])) / 2:.2f}"
        assert shown == text, name


def test_the_table_of_the_rivals_is_that_of_the_committed_records() -> None:
    with (ROOT / "results" / "reference" / "laptop" / "cells.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["matrix"] == "rivals"]
    for name, title in {"": "ours", **TITLES}.items():
        ending = f"-{name}" if name else ""
        qat, qkd = (
            np.array([float(row["top1"]) for row in rows if row["method"] == method + ending])
            for method in ("qat", "qkd")
        )
        assert len(qat) == len(qkd) == 3
        half = [t.ppf(0.975, 2) * x.std(ddof=1) / 3**0.5 for x in (qat, qkd, qkd - qat)]
        mean = (qkd - qat).mean()
        line = (
            f"| {title} | {qat.mean():.2f} ± {half[0]:.2f} | {qkd.mean():.2f} ± {half[1]:.2f} | "
            f"{mean:+.2f} [{mean - half[2]:.2f}, {mean + half[2]:.2f}] |"
        )
        assert line in README


def test_the_tables_by_length_are_those_of_the_committed_records(tmp_path: Path) -> None:
    sections = collect(tmp_path, REFERENCE).sections
    (section,) = (one for one in sections if one.readings.run.matrix.name == "lengths")
    whole, quarter = section.groups
    methods = [rows(group.methods, MethodRow) for group in (quarter, whole)]
    for one, other in zip(*methods, strict=True):
        assert one.method == other.method
        assert f"| `{one.method}` | {_share(one)} | {_share(other)} |" in README
    for one, other in zip(quarter.compared, whole.compared, strict=True):
        label = one.contrast.label.replace(MINUS, "-")
        assert f"| {label} | {_difference(one)} | {_difference(other)} |" in README


def test_the_hours_and_the_proofs_of_the_lengths_are_those_of_the_committed_records() -> None:
    results = [
        json.loads(file.read_bytes())
        for file in (REFERENCE / "cifar10" / "stages").glob("resnet20-w2a2-*/result.json")
        if "-s100-" not in file.parent.name  # the tuning's seed
    ]
    hours = sum(one["wall_seconds"] for one in results) / 2 / 3600
    text = " ".join(README.split())
    assert f"It took {hours:.1f} hours of two cores of an AMD EPYC." in text
    assert f"After each of the {len(results)} quantized stages" in text
    assert f"the committed run took {hours:.1f} on" in lengths.LABELS["laptop"].cost
    proofs = [one["integer"] for one in results]
    assert all(one["agreement"] == 1 and one["images"] == 10_000 for one in proofs)


def _share(found: MethodRow) -> str:
    """Of all seeds."""
    assert found.n == len(found.stages)
    return f"{found.mean:.2f} ± {found.high - found.mean:.2f}"


def _difference(found: Compared) -> str:
    """Likewise, of both methods."""
    assert found.paired is not None
    assert found.paired.n == len(lengths.DEFAULT_SEEDS["laptop"])
    verdict = f", {found.verdict}" if found.contrast.fixed else ""
    return f"{difference(found.paired)}{verdict}".replace(MINUS, "-")
