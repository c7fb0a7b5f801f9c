"""Tuning: equal tries for each method, on images that neither the pair nor the runs have seen."""

import csv
import json

import pytest
from msgspec.structs import replace

from benchmarks import cifar, lengths, sensitivity, tuning
from benchmarks.matrix import DEFAULT_SEEDS
from benchmarks.plan import plan
from qkd.data.standard import CIFAR10
from qkd.phases import PRE_TRAINING
from qkd.spec.value import validated
from tests.support.launching import ROOT, launch, report, reported

SCALES = ["smoke", "laptop", "paper"]
TRIES = [f"{method}-x{factor}" for method in ("kd", "qat", "qkd") for factor in ("0.3", "1", "3")]


def cells(scale):
    return list(tuning.matrix(scale, (100,)).cells())


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_a_valid_value_with_a_lab_label(scale):
    matrix = tuning.matrix(scale, tuning.DEFAULT_SEEDS[scale])
    assert validated(matrix) == matrix
    assert all((matrix.label.question, matrix.label.cost, matrix.label.deviations))
    assert set(tuning.DEFAULT_SEEDS) == set(DEFAULT_SEEDS)


@pytest.mark.parametrize("scale", SCALES)
def test_each_method_that_is_tuned_gets_the_same_tries(scale):
    assert sorted(cell.method.name for cell in cells(scale)) == TRIES
    assert set(lengths.TUNED) == set(lengths.LIKE.values()) == {"qkd", "kd", "qat"}
    assert set(lengths.TUNED.values()) <= set(tuning.FACTORS)


@pytest.mark.parametrize("scale", SCALES)
def test_a_try_is_the_cell_of_the_quarter_but_for_images_seed_and_rates(scale):
    of_lengths = lengths.matrix(scale, (0,))
    quarter = of_lengths.grids[-1].recipe.horizon
    assert quarter * 4 == of_lengths.grids[0].recipe.horizon
    usual = {c.method.name: c for c in of_lengths.cells() if c.history.steps == quarter}
    for cell in cells(scale):
        name, _, factor = cell.method.name.rpartition("-x")
        theirs, ours = usual[name].history, cell.history
        assert ours.parts == theirs.parts
        assert ours.student.network == theirs.student.network
        assert ours.student.quantization == theirs.student.quantization
        recipe = replace(lengths.RECIPES[scale], horizon=quarter, log_every=quarter)
        assert ours.recipe == lengths.at_factor(recipe, float(factor))


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_the_images_that_decide_were_seen_by_nobody(scale):
    for cell in cells(scale):
        for history in (cell.history, cell.pair.student_start, cell.pair.teacher_start):
            assert history.data.held_out == tuning.HELD_OUT == 5000
            assert history.data.digest == CIFAR10.digest
        for start in (cell.pair.student_start, cell.pair.teacher_start):
            assert [part.phase for part in start.parts] == [PRE_TRAINING]
            assert start.student.weights is None
            assert start.steps == tuning.PRETRAINING[scale]
    assert replace(CIFAR10, held_out=5000).epoch_steps(128) == tuning.EPOCH


def test_its_seeds_are_used_nowhere_else():
    others = {
        seed
        for defaults in (
            DEFAULT_SEEDS,
            cifar.DEFAULT_SEEDS,
            sensitivity.DEFAULT_SEEDS,
            lengths.DEFAULT_SEEDS,
        )
        for seeds in defaults.values()
        for seed in seeds
    }
    for scale in SCALES:
        own = {tuning.pair_of(scale).student_start.seed, *tuning.DEFAULT_SEEDS[scale]}
        assert own.isdisjoint(others)


def test_the_rates_are_those_that_the_rule_chooses_from_the_committed_tries():
    with (ROOT / "results" / "reference" / "cifar10" / "cells.csv").open() as file:
        tries = [row for row in csv.DictReader(file) if row["matrix"] == "tuning"]
    assert sorted(row["method"] for row in tries) == TRIES
    for name, chosen in lengths.TUNED.items():
        reached = {
            float(row["method"].rpartition("-x")[2]): float(row["best_top1"])
            for row in tries
            if row["method"].startswith(f"{name}-x") and row["status"] == "done"
        }
        best = [factor for factor, top1 in reached.items() if top1 == max(reached.values())]
        assert chosen == (1.0 if 1.0 in best else min(best)), name


def test_the_table_of_tries_is_that_of_the_committed_records():
    with (ROOT / "results" / "reference" / "cifar10" / "cells.csv").open() as file:
        reached = {
            row["method"]: f"{float(row['best_top1']):.2f}"
            for row in csv.DictReader(file)
            if row["matrix"] == "tuning"
        }
    text = (ROOT / "results" / "README.md").read_text()
    names = ("0.3 of the recipe's", "the recipe's", "3 times the recipe's")
    for factor, name in zip(("0.3", "1", "3"), names, strict=True):
        shown = [
            f"**{reached[f'{method}-x{factor}']}**"
            if lengths.TUNED[method] == float(factor)
            else reached[f"{method}-x{factor}"]
            for method in ("qat", "kd", "qkd")
        ]
        assert f"| {name} | {' | '.join(shown)} |" in text


def test_all_tries_stand_in_one_table_without_contrasts():
    matrix = tuning.matrix("laptop", (100,))
    assert matrix.places() == (0, 0, 0)
    assert matrix.contrasts_among(set(TRIES)) == ()


def test_a_laptop_run_is_what_its_label_says():
    planned = plan(tuning.matrix("laptop", tuning.DEFAULT_SEEDS["laptop"]).cells())
    assert f"{planned.macs:.2e}".replace("e+", "e") in tuning.LABELS["laptop"].cost
    assert planned.macs / 2.8e10 / 2 / 3600 < 1.7


@pytest.mark.slow
def test_the_result_of_a_try_is_the_held_out_top1_at_the_last_step(tmp_path, data):
    results, page = tmp_path / "results", tmp_path / "index.html"
    only = {"MATRIX": "tuning", "ONLY": "method=qkd-x3,qat-x0.3"}
    code, output = launch("run", results, data, **only)
    assert code == 0, output
    report(results, page)
    rows = reported(page, "tuning")
    tried = {row["method"]: row for row in rows if row["status"] == "done"}
    assert sorted(tried) == ["qat-x0.3", "qkd-x3"]
    for row in tried.values():
        (record,) = results.glob(f"stages/*-{row['stage']}")
        (line,) = (record / "metrics.jsonl").read_text().splitlines()
        assert json.loads(line)["step"] == int(row["steps"]) == 20
        assert f"{json.loads(line)['student']['top1']:.4f}" == row["best_top1"]
    assert "learning rate 0.03, weight interval learning rate 0.0003" in page.read_text()
