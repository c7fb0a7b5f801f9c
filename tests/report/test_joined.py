"""Several settings together: which of them count, and the table that says so."""

import pytest
from msgspec.structs import replace

from report.analysis.joined import joined
from report.build import collect
from report.page.headline import joined_table
from report.reading.sources import REFERENCE
from tests.support.report_records import KD, QAT, QKD, matrix, write_run

VALUES = {"qkd": (71.5, 70.9, 70.3), "qat": (70.0, 70.6, 69.4), "kd": (70.5, 71.1, 69.9)}


def write(folder, name, steps, values=VALUES, **options):
    recipe = replace(matrix().grids[0].recipe, horizon=steps)
    toy = matrix(
        methods=(QKD, QAT, KD), seeds=(0, 1, 2), scale="laptop", name=name, recipe=recipe, **options
    )
    top1s = {(m, seed): v for m, own in values.items() for seed, v in enumerate(own)}
    write_run(folder / "results", toy, top1s)


def found_in(folder):
    sections = collect(folder / "results", folder / "none").sections
    return {(one.contrast.first, one.contrast.second): one for one in joined(sections)}


def test_of_a_single_setting_it_is_what_that_setting_says(tmp_path):
    write(tmp_path, "one", 20)
    for one in found_in(tmp_path).values():
        (setting,) = one.settings
        assert one.mean.estimate == pytest.approx(setting.compared.estimate)
        assert one.corrected == setting.compared.corrected
        assert one.verdict == setting.compared.verdict


def test_holms_family_is_that_of_a_setting_however_many_there_are(tmp_path):
    for steps in (20, 40, 60):
        write(tmp_path, f"run{steps}", steps)
    found = found_in(tmp_path)
    ps = {names: one.mean.estimate.p for names, one in found.items()}
    assert all(one.mean.settings == 3 for one in found.values())
    # Three headline contrasts were fixed, one of which no setting has; and one of the phases.
    least, other = sorted([("qkd", "qat"), ("qkd", "kd")], key=ps.__getitem__)
    assert found[least].corrected == pytest.approx(3 * ps[least])
    assert found[other].corrected == pytest.approx(max(2 * ps[other], 3 * ps[least]))
    assert found["kd", "qat"].corrected == pytest.approx(ps["kd", "qat"])


def test_what_was_seen_stands_apart_in_the_table(tmp_path):
    write(tmp_path, "ablation", 20)
    write(tmp_path, "later", 40)
    sections = collect(tmp_path / "results", tmp_path / "none").sections
    table = joined_table(joined(sections))
    shown = [[cell.text for cell in row.cells] for row in table.rows]
    half = len(shown) // 2
    assert [row[2] for row in shown] == ["scaled down"] * half + ["scaled down, seen before"] * half
    assert {row[-2] for row in shown[half:]} == {"exploratory"}
    assert "exploratory" not in {row[-2] for row in shown[:half]}
    assert {row[-1] for row in shown[:half]} == {"later, W2A2, 40 steps"}
    assert joined_table([]) is None


def test_of_the_committed_runs_all_but_those_of_the_fixed_analysis_are_exploratory():
    every = joined(collect(REFERENCE / "none", REFERENCE).sections)
    names = {of.section.readings.run.matrix.name for one in every for of in one.settings}
    assert names == {"ablation", "cifar100", "evidence", "lengths", "rivals", "rivals-today"}
    seen = [one for one in every if one.was_seen]
    names = {of.section.readings.run.matrix.name for one in seen for of in one.settings}
    assert names == {"ablation", "lengths", "rivals", "rivals-today"}
    assert {one.verdict for one in seen} == {"exploratory"}
    decided = [one for one in every if not one.was_seen]
    ps = {f"{one.contrast.first} - {one.contrast.second}": one.mean.homogeneity for one in decided}
    agree = {name for name, p in ps.items() if p is None or p >= 0.05}
    assert agree == {"qkd - qat", "kd-co-studied - kd", "qkd - qkd-original"}
    words = {f"{one.contrast.first} - {one.contrast.second}": one.verdict for one in decided}
    assert words == {
        "qkd - kd": "lower",
        "qkd - qat": "equivalent",
        "kd - qat": "higher",
        "kd-co-studied - kd": "lower",
        "qkd - qkd-original": "equivalent",
    }


@pytest.mark.parametrize(("apart", "word"), [(0.0, "equivalent"), (0.8, "undecided")])
def test_a_mean_over_settings_that_do_not_agree_is_not_called_equivalent(tmp_path, apart, word):
    near = {"qkd": (70.0, 70.1, 69.9), "qat": (70.0, 70.1, 69.9)}
    for steps, shift in ((20, apart / 2), (40, -apart / 2)):
        values = near | {"qkd": tuple(value + shift for value in near["qkd"])}
        write(tmp_path, f"run{steps}", steps, values)
    one = found_in(tmp_path)["qkd", "qat"]
    assert one.mean.estimate.mean == pytest.approx(0.0)
    assert (one.mean.homogeneity < 0.05) == (apart > 0)
    assert one.verdict == word
