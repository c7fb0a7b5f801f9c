from pathlib import Path

from msgspec.structs import replace

from benchmarks import ablation
from benchmarks.plan import plan
from qkd.records.record import PRETRAINED, STAGES, State, Store
from qkd.spec import NUMERICS
from report.build import build, collect
from report.page.commands import shortest_command
from report.reading.sources import REFERENCE, find
from tests.support.report_records import KD, QAT, QKD, matrix, write_run

SEEDS = (0, 1, 2)


def results(top1s, bump=0.0):
    """Top-1s of each method for three seeds, an tenth of a point apart."""
    return {(m, s): round(v + s / 10 + bump, 4) for m, v in top1s.items() for s in SEEDS}


def built(tmp_path):
    page = tmp_path / "out" / "index.html"
    build(tmp_path / "results", page, tmp_path / "reference")
    return page.read_text(), (page.parent / "cells.csv").read_text()


def compared(tmp_path):
    report = collect(tmp_path / "results", tmp_path / "reference")
    return report.sections[0].against.sentence


def write_reference(tmp_path, top1s, **fields):
    toy = matrix(methods=(QKD, QAT, KD), seeds=SEEDS, **fields)
    write_run(tmp_path / "reference" / "smoke", toy, top1s)


def write_own(tmp_path, top1s, methods=(QKD, QAT, KD)):
    write_run(tmp_path / "results", matrix(methods=methods, seeds=SEEDS), top1s)


BASE = {"qkd": 70.0, "qat": 69.0, "kd": 68.0}


def test_a_run_that_is_the_reference(tmp_path):
    write_reference(tmp_path, results(BASE))
    write_own(tmp_path, results(BASE))
    page, _ = built(tmp_path)
    assert "This run is identical to the committed reference, cell by cell." in page
    assert "not a run of yours" not in page


def test_a_run_within_the_margin(tmp_path):
    write_reference(tmp_path, results(BASE))
    write_own(tmp_path, results(BASE, bump=0.1))
    sentence = compared(tmp_path)
    assert "with a margin of 0.5 points: reproduced (3 reproduced, of 3 methods)." in sentence


def test_a_run_outside_the_margin(tmp_path):
    write_reference(tmp_path, results(BASE))
    write_own(tmp_path, results(BASE | {"kd": 60.0}))
    sentence = compared(tmp_path)
    assert "points: not reproduced (2 identical, 1 not reproduced, of 3 methods)." in sentence


def test_a_run_on_the_margin(tmp_path):
    write_reference(tmp_path, results(BASE))
    write_own(tmp_path, results(BASE, bump=0.5))
    assert "points: inconclusive (3 inconclusive, of 3 methods)." in compared(tmp_path)


def test_a_run_of_one_seed_is_identical_only_on_the_cells_that_it_has(tmp_path):
    write_reference(tmp_path, results(BASE))
    own = {key: value for key, value in results(BASE).items() if key[1] == 0}
    write_run(tmp_path / "results", matrix(methods=(QKD, QAT, KD), seeds=(0,)), own)
    sentence = compared(tmp_path)
    assert "cell by cell" not in sentence
    assert "identical to the committed reference, on the 3 of 9 cells run here." in sentence


def test_a_run_of_more_seeds_is_not_identical(tmp_path):
    write_reference(tmp_path, results(BASE))
    more = results(BASE) | {(m, 3): v for m, v in BASE.items()}
    methods = QKD, QAT, KD
    write_run(tmp_path / "results", matrix(methods=methods, seeds=(*SEEDS, 3)), more)
    sentence = compared(tmp_path)
    assert "identical" not in sentence
    assert "reproduced (3 reproduced, of 3 methods); 3 methods are equal on the 3 of 3" in sentence


def test_seeds_that_differ_are_not_said_to_be_equal(tmp_path):
    write_reference(tmp_path, results(BASE))
    own = {(m, s): v + 0.1 * (s == 1) for (m, s), v in results(BASE).items() if s < 2}
    write_run(tmp_path / "results", matrix(methods=(QKD, QAT, KD), seeds=(0, 1)), own)
    assert "equal" not in compared(tmp_path)


def test_a_run_of_some_of_the_references_methods(tmp_path):
    write_reference(tmp_path, results(BASE))
    write_own(tmp_path, results({"qkd": 70.0}), methods=(QKD, QAT))
    sentence = compared(tmp_path)
    assert "cell by cell; 2 of its methods are not done here." in sentence


def test_a_run_of_other_settings_says_so(tmp_path):
    write_reference(tmp_path, results(BASE))
    longer = matrix(methods=(QKD, QAT, KD), seeds=SEEDS, recipe=_longer())
    write_run(tmp_path / "results", longer, results(BASE))
    sentence = compared(tmp_path)
    assert "3 methods ran with other settings or data than the reference's." in sentence


def _longer():
    recipe = matrix().grids[0].recipe
    return type(recipe)(horizon=40, log_every=recipe.log_every, batch=recipe.batch)


def test_the_reference_stands_in_with_a_banner_where_there_is_no_run(tmp_path):
    write_reference(tmp_path, results(BASE))
    page, cells = built(tmp_path)
    assert "This is the committed reference run, not a run of yours:" in page
    assert "<code>make run MATRIX=path/to/toy.py SCALE=smoke</code> makes yours" in page
    assert cells.count(",done,") == 9


def test_the_references_rows_are_left_out_of_the_csv_where_there_is_a_run(tmp_path):
    write_reference(tmp_path, results(BASE))
    write_reference(tmp_path, results(BASE), name="other")
    write_own(tmp_path, results({"qkd": 71.0}))
    _, cells = built(tmp_path)
    assert cells.count("toy,smoke,") == cells.count("other,smoke,") == 9
    assert cells.count(",done,") == 3 + 9


def test_a_matrix_with_a_target_of_its_own_is_named_by_it(tmp_path):
    def command(name, scale):
        write_run(tmp_path / "results", matrix(name=name, scale=scale), {})
        found = find(tmp_path / "results", tmp_path / "none").sections
        (run,) = [one.run for one in found if one.run.key == (name, scale)]
        return shortest_command(run)

    assert command("rivals", "laptop") == "make rivals"
    assert command("rivals", "smoke") == "make run MATRIX=rivals SCALE=smoke"
    assert command("mine", "laptop") == "make run MATRIX=path/to/mine.py SCALE=laptop"


def test_no_path_of_the_reference_need_exist(tmp_path):
    build(tmp_path / "results", tmp_path / "index.html", Path("nowhere"))
    assert "Nothing has run yet." in (tmp_path / "index.html").read_text()


def test_the_committed_ablation_is_the_one_that_is_planned_now():
    planned = plan(replace(ablation.matrix("laptop", tuple(range(5))), numerics=NUMERICS).cells())
    store = Store(REFERENCE / "laptop" / STAGES, read_only=[PRETRAINED])
    states = {store.record(p.stage.history).state() for p in planned.stages.values()}
    assert states == {State.DONE}
