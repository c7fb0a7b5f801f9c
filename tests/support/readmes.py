"""The READMEs' texts and tables, and what the committed records hold of the same."""

import json
import re
from pathlib import Path

import pandas as pd

from qkd.spec import Stage
from qkd.spec.history import before
from qkd.spec.value import decode
from tests.support.launching import ROOT

REFERENCE = ROOT / "results" / "reference"
README, RESULTS, SPEED, MATRICES = (
    (ROOT / folder / "README.md").read_text()
    for folder in ("", "results", "benchmarks/speed", "benchmarks")
)


def flat(text: str) -> str:
    """The text with its lines joined."""
    return " ".join(text.split())


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


def results_of(pattern: str) -> list[dict]:
    return [
        json.loads(file.read_bytes())
        for file in sorted((REFERENCE / "cifar10" / "stages").glob(f"{pattern}/result.json"))
    ]


def result_of(run: Path, stage: str) -> dict:
    """The committed result of the stage with this digest."""
    (file,) = run.glob(f"stages/*-{stage}/result.json")
    return json.loads(file.read_bytes())


def teacher_before(run: Path, stage: str) -> dict[str, float]:
    """The teacher that a committed stage begins with: its accuracy in the stage's own parent."""
    (file,) = run.glob(f"stages/*-{stage}/stage.json")
    parent = before(decode(file.read_bytes(), Stage))
    return result_of(run, parent.digest)["teacher"]
