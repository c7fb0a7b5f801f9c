"""The first screen: a row a setting, with numbers that can be checked by hand."""

import math

import pytest

from report.analysis.headline import difference_rows, headline
from report.build import collect
from report.page.headline import headline_table
from report.page.overview import overview
from report.page.words import COMMITTED
from report.reading.sources import REFERENCE
from tests.support.report_records import FP, KD, QAT, QKD, matrix, write_run

TOP1S = {"qkd": (72.0, 72.4), "qat": (70.0, 71.0), "kd": (73.0, 73.0)}


def told(tmp_path, scale="laptop", methods=(FP, QKD, QAT, KD)):
    toy = matrix(methods=methods, seeds=(0, 1), scale=scale)
    values = {
        (name, seed): value
        for name, own in TOP1S.items()
        for seed, value in enumerate(own)
        if name in {method.name for method in methods}
    }
    write_run(tmp_path / "results", toy, values)
    return collect(tmp_path / "results", tmp_path / "none").sections


def test_a_row_has_what_qkd_is_to_beat_and_its_differences(tmp_path):
    (row,) = headline(told(tmp_path))
    assert {name: row.methods[name].mean for name in ("qkd", "qat", "kd")} == pytest.approx(
        {"qkd": 72.2, "qat": 70.5, "kd": 73.0}
    )
    differences = {second: one.estimate.mean for second, one in row.contrasts.items()}
    assert differences == pytest.approx({"kd": -0.8, "qat": 1.7})
    history = told(tmp_path)[0].cells.query("method == 'qkd'")["records"].iloc[0].cell.history
    trained_on = history.data.train_images - history.data.held_out
    passes = history.steps / (trained_on // history.recipe.batch)
    assert row.steps == history.steps
    assert row.share == pytest.approx(passes / QKD.epochs)


@pytest.mark.parametrize(
    ("scale", "methods"), [("smoke", (FP, QKD, QAT, KD)), ("laptop", (FP, QAT, KD))]
)
def test_smoke_runs_and_runs_without_qkd_have_no_row(tmp_path, scale, methods):
    sections = told(tmp_path, scale, methods)
    assert headline(sections) == []
    assert difference_rows([]).empty
    assert overview(sections, {}).headline is None
    assert overview(sections, {}).figures == ()


def test_of_matrices_with_one_setting_another_is_shown_where_it_compares_with_more():
    rows = headline(collect(REFERENCE / "none", REFERENCE).sections)
    settings = [(row.setting, row.steps) for row in rows]
    assert len(settings) == 6  # the rivals' setting is the ablation's
    assert settings[1] == settings[2]
    assert len(set(settings)) == 5
    assert [row.methods["qkd"].n for row in rows] == [5, 5, 3, 3, 3, 5]
    assert [row.was_seen for row in rows] == [False, False, True, False, True, True]
    assert [sorted(row.contrasts) for row in rows[:3]] == [
        ["kd", "qat"],
        ["kd", "qat"],
        ["kd", "qat", "qat-cost"],
    ]
    differences = difference_rows(rows)
    assert not differences.duplicated(["setting", "run", "contrast", "share"]).any()
    assert len(differences) == sum(len(row.contrasts) for row in rows)
    assert set(differences[differences["run"] == rows[1].anchor]["was_seen"]) == {False}
    assert [row.share for row in rows] == sorted((row.share for row in rows), reverse=True)
    assert all(0 < row.share < 0.09 for row in rows)
    assert all(math.isfinite(row.full_precision.loss) for row in rows)


def test_the_difference_of_a_row_is_that_of_its_cells():
    for row in headline(collect(REFERENCE / "none", REFERENCE).sections):
        ours, theirs = row.methods["qkd"].top1s, row.methods["kd"].top1s
        by_hand = [ours[seed] - theirs[seed] for seed in sorted(ours)]
        assert row.contrasts["kd"].estimate.mean == pytest.approx(sum(by_hand) / len(by_hand))


def write(folder, name, values, methods=("qkd",)):
    toy = matrix(methods=(FP, QKD, QAT, KD), seeds=tuple(values), scale="laptop", name=name)
    top1s = {(method, seed): value for seed, value in values.items() for method in methods}
    write_run(folder, toy, top1s)


BOTH = ("qkd", "qat")


def shown(tmp_path):
    rows = headline(collect(tmp_path / "results", tmp_path / "reference").sections)
    return [(row.matrix, row.is_reference, row.was_seen) for row in rows]


def test_of_one_setting_with_the_same_contrasts_ones_own_run_alone_is_shown(tmp_path):
    write(tmp_path / "reference" / "evidence", "evidence", {10: 70.0, 11: 70.0, 12: 71.0}, BOTH)
    write(tmp_path / "results", "evidence", {13: 60.0, 14: 61.0}, BOTH)
    assert shown(tmp_path) == [("evidence", False, False)]


def test_of_one_setting_with_the_same_contrasts_the_run_with_more_seeds_is_shown(tmp_path):
    write(tmp_path / "results", "evidence", {13: 60.0, 14: 61.0}, BOTH)
    write(tmp_path / "results", "evidence-more", {10: 70.0, 11: 70.0, 12: 71.0}, BOTH)
    assert shown(tmp_path) == [("evidence-more", False, False)]


def test_a_run_with_verdicts_stays_beside_an_exploratory_one_of_more_seeds(tmp_path):
    write(tmp_path / "results", "ablation", {0: 70.0, 1: 70.0, 2: 71.0}, BOTH)
    write(tmp_path / "results", "evidence", {13: 60.0, 14: 61.0}, BOTH)
    assert shown(tmp_path) == [("ablation", False, True), ("evidence", False, False)]


def test_a_run_that_compares_with_more_follows_and_one_that_adds_nothing_does_not(tmp_path):
    write(tmp_path / "results", "evidence", {10: 70.0, 11: 70.0, 12: 71.0}, BOTH)
    write(tmp_path / "results", "more", {13: 60.0, 14: 61.0}, ("qkd", "qat", "kd"))
    write(tmp_path / "results", "same", {15: 60.0}, ("qkd", "kd"))
    assert [name for name, *_ in shown(tmp_path)] == ["evidence", "more"]


def test_of_one_setting_ones_own_run_is_shown_and_not_a_committed_one_with_more_seeds(tmp_path):
    write(tmp_path / "reference" / "rivals", "rivals", {0: 70.0, 1: 70.0, 2: 70.0})
    write(tmp_path / "results", "mine", {0: 60.0}, ("qkd", "qat"))
    (row,) = headline(collect(tmp_path / "results", tmp_path / "reference").sections)
    assert (row.methods["qkd"].n, row.methods["qkd"].mean) == (1, 60.0)


def test_an_own_run_of_qkd_alone_hides_no_committed_comparison(tmp_path):
    committed = matrix(methods=(FP, QKD, QAT, KD), seeds=(0, 1), scale="laptop", name="rivals")
    top1s = {(name, seed): 70.0 + seed for name in ("qkd", "qat", "kd") for seed in (0, 1)}
    write_run(tmp_path / "reference" / "rivals", committed, top1s)
    write(tmp_path / "results", "mine", {0: 60.0})
    (row,) = headline(collect(tmp_path / "results", tmp_path / "reference").sections)
    assert (row.is_reference, row.methods["qkd"].n) == (True, 2)
    assert [cell.notes[-1] for cell in headline_table([row]).rows[0].cells[:1]] == [
        f"rivals, {COMMITTED}"
    ]


def test_of_one_setting_with_as_many_seeds_the_one_with_verdicts_is_shown(tmp_path):
    write(tmp_path / "results", "ablation", {0: 70.0, 1: 71.0})
    write(tmp_path / "results", "later", {10: 60.0, 11: 61.0})
    (row,) = headline(collect(tmp_path / "results", tmp_path / "none").sections)
    assert (row.was_seen, row.methods["qkd"].mean) == (False, 60.5)
