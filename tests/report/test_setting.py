"""Which cells are compared with each other, and what tells them apart."""

import csv
import json
from operator import attrgetter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from baselines.methods import with_quantizer
from benchmarks.contrasts import Contrast, explored
from benchmarks.matrix import Matrix
from qkd.spec import Bits
from qkd.spec.value import decode
from report.analysis.contrasts import compare_all
from report.analysis.methods import MethodRow
from report.frames.settings import setting_of, stands
from report.frames.tidy import rows
from tests.report.collected import only_section
from tests.report.test_page import built, checked
from tests.support.report_records import FP, KD, QAT, QKD, SS_CS, matrix, write_matrix, write_run

LSQ = "baselines.lsq:LSQ"
QAT_LSQ, QKD_LSQ = (with_quantizer(m, LSQ, f"{m.name}-lsq") for m in (QAT, QKD))
SEEDS = (0, 1, 2)


def two_grids(second=(QKD_LSQ, QAT_LSQ), contrasts=None, **recipe):
    toy = matrix(methods=(QKD, QAT), seeds=SEEDS)
    first = toy.grids[0]
    other = replace(first, methods=second, recipe=replace(first.recipe, **recipe))
    return replace(toy, grids=(first, other), contrasts=contrasts)


def collected(tmp_path, content, top1s):
    write_run(tmp_path / "results", content, top1s)
    return only_section(tmp_path)


def test_grids_that_differ_in_a_learning_rate_are_one_setting_that_names_it(tmp_path):
    toy = two_grids(weight_interval_learning_rate=0.01)
    top1s = {(m, s): v + s / 4 for m, v in (("qkd", 72.0), ("qkd-lsq", 70.0)) for s in SEEDS}
    section = collected(tmp_path, toy, top1s)
    found = rows(section.methods, MethodRow)
    assert [one.method for one in found] == ["qkd", "qat", "qkd-lsq", "qat-lsq"]
    assert {one.setting for one in found} == {"resnet8-width4 <- resnet14-width4 on toy, W2A2"}
    ((compared,), _) = compare_all((explored("qkd", "qkd-lsq", "?"),), section.cells, "smoke")
    assert compared.differences == {0: 2.0, 1: 2.0, 2: 2.0}
    page = built(tmp_path)
    checked(page)
    assert page.count('aria-label="Methods"') == 1
    assert page.count("<small>weight interval learning rate 0.01</small>") == 2
    assert page.count("<small>weight interval learning rate 0.0001</small>") == 2
    assert "W2A2; weight interval learning rate 0.01</p>" in page


def test_grids_of_other_lengths_or_batches_stand_apart(tmp_path):
    for recipe in ({"horizon": 40}, {"batch": 16}):
        assert two_grids(**recipe).places() == (0, 1)
    toy = two_grids(second=(QKD, QAT), horizon=40)
    top1s = {(m, s): 70.0 + s for m in ("qkd", "qat") for s in SEEDS}
    section = collected(tmp_path, toy, top1s)
    found = rows(section.methods, MethodRow)
    assert [(one.method, one.setting[-16:]) for one in found] == [
        ("qkd", "W2A2; horizon 20"),
        ("qat", "W2A2; horizon 20"),
        ("qkd", "W2A2; horizon 40"),
        ("qat", "W2A2; horizon 40"),
    ]
    page = built(tmp_path)
    checked(page)
    assert page.count('aria-label="Methods"') == 2
    assert page.count("1 contrast was fixed before any run") == 1
    assert page.count("QKD equals plain QAT in the mean") == 2
    for name in ("cells.csv", "summary.csv"):
        with (tmp_path / "out" / name).open() as stream:
            lengths = {(row["method"], row["steps"]) for row in csv.DictReader(stream)}
        assert lengths == {("qkd", "20"), ("qat", "20"), ("qkd", "40"), ("qat", "40")}


def labels(*recipes):
    """The labels of settings that differ in these fields of their recipes alone."""
    toy = matrix(methods=(QKD,), seeds=SEEDS)
    (grid,) = toy.grids
    grids = tuple(replace(grid, recipe=replace(grid.recipe, **own)) for own in recipes)
    return [stand.apart for stand in stands(replace(toy, grids=grids))]


def test_how_often_metrics_are_written_is_in_a_label_only_where_nothing_else_tells_apart():
    """A quarter of a length with as many lines of metrics is just another length."""
    quarter, whole = {"horizon": 20, "log_every": 5}, {"horizon": 80, "log_every": 20}
    assert labels(quarter, whole) == ["horizon 20", "horizon 80"]
    assert labels(quarter, {**quarter, "log_every": 2}) == ["log every 5", "log every 2"]
    assert labels(quarter, whole, {**whole, "log_every": 2}) == [
        "horizon 20, log every 5",
        "horizon 80, log every 20",
        "horizon 80, log every 2",
    ]


def test_grids_with_a_method_of_the_same_name_stand_apart():
    toy = two_grids(second=(QKD,), weight_interval_learning_rate=0.01)
    assert toy.places() == (0, 1)
    first, second = (grid.recipe for grid in toy.grids)
    assert (first.weight_interval_learning_rate, second.weight_interval_learning_rate) == (
        1e-4,
        0.01,
    )


def test_a_third_grid_joins_only_where_it_can_be_compared_with_both():
    toy = two_grids(weight_interval_learning_rate=0.01)
    first, second = toy.grids
    assert replace(toy, grids=(first, second, replace(second, methods=(KD,)))).places() == (0, 0, 0)
    assert replace(toy, grids=(first, second, second)).places() == (0, 0, 2)


def test_settings_that_nothing_tells_apart_are_numbered(tmp_path):
    toy = matrix(methods=(QKD, QAT), seeds=(0,))
    again = replace(toy.grids[0], seeds=(1,))
    top1s = {(m, s): 70.0 for m in ("qkd", "qat") for s in (0, 1)}
    section = collected(tmp_path, replace(toy, grids=(*toy.grids, again)), top1s)
    found = rows(section.methods, MethodRow)
    assert {one.setting[-12:] for one in found} == {"W2A2; grid 1", "W2A2; grid 2"}


def test_bits_that_a_single_grid_has_need_no_number():
    toy = matrix(methods=(QKD, QAT), seeds=(0,))
    (grid,) = toy.grids
    wider = replace(grid, bits=(Bits(weight=4, activation=4),))
    found = stands(replace(toy, grids=(grid, wider)))
    assert [one.apart for one in found] == ["", ""]
    both = replace(grid, bits=(*grid.bits, *wider.bits), seeds=(1,))
    found = stands(replace(toy, grids=(grid, both)))
    assert [one.apart for one in found] == ["grid 1", "grid 2"]


NAME = attrgetter("name")
WIDTHS = [Bits(weight=2, activation=2), Bits(weight=4, activation=4)]
GRIDS = st.tuples(
    st.lists(st.sampled_from([FP, QKD, QAT, KD]), min_size=1, max_size=2, unique_by=NAME),
    st.lists(st.sampled_from([*WIDTHS, replace(WIDTHS[0], edge=4)]), min_size=1, unique=True),
    st.sampled_from([0.01, 0.03]),
    st.sampled_from([20, 40]),
)


# The second stands at the first one's place, with the third one's bits.
@example(
    [
        ([QKD], [WIDTHS[1]], 0.01, 20),
        ([QAT], [WIDTHS[0]], 0.03, 20),
        ([QAT, QKD], [WIDTHS[0]], 0.01, 20),
    ]
)
@given(st.lists(GRIDS, min_size=2, max_size=4))
def test_no_two_settings_of_a_matrix_have_one_label(drawn):
    (first,) = matrix(methods=(QKD,)).grids
    grids = tuple(
        replace(
            first,
            methods=tuple(methods),
            bits=tuple(bits),
            recipe=replace(first.recipe, learning_rate=rate, horizon=horizon),
        )
        for methods, bits, rate, horizon in drawn
    )
    toy = matrix(methods=(QKD,), seeds=(0,))
    own = replace(toy, grids=grids)
    places = {}
    for stand, grid in zip(stands(own), grids, strict=True):
        for cell in grid.cells(own.numerics):
            places.setdefault(setting_of(stand, grid, cell), set()).add(stand.place)
    assert max(map(len, places.values()), default=1) == 1


def test_the_family_of_the_fixed_contrasts_spans_the_grids(tmp_path):
    pairs = (("qkd", "qkd-lsq"), ("qkd-lsq", "qat-lsq"), ("qkd", "qat"))
    fixed = tuple(Contrast(first=first, second=second) for first, second in pairs)
    toy = two_grids(
        contrasts=(*fixed, explored("qkd", "qkd-lsq", "?")), weight_interval_learning_rate=0.01
    )
    values = {"qkd": (71.0, 72.0, 73.0), "qat": (70.0, 70.0, 70.0), "qkd-lsq": (70.0, 70.5, 70.3)}
    top1s = {(m, s): v for m, row in values.items() for s, v in enumerate(row)}
    section = collected(tmp_path, toy, top1s)
    contrasts = toy.contrasts_among(values.keys() | {"qat-lsq"})
    compared = compare_all(contrasts, section.cells, "smoke").compared
    # Of the family of two, one was not run; QKD against plain QAT is of the other family.
    ps = [one.estimate.p if one.estimate else None for one in compared]
    assert [one.corrected for one in compared] == [2 * ps[0], None, 3 * ps[2], ps[3]]
    assert ps[0] == ps[3]
    page = built(tmp_path)
    assert "3 contrasts were fixed before any run" in page
    assert "qkd-lsq against qat-lsq: not run." in page


def test_a_matrix_of_ones_own_does_not_open_with_contrasts_that_it_cannot_have(tmp_path):
    halves = replace(SS_CS, name="halves")
    write_matrix(tmp_path / "results", matrix(methods=(QKD, halves)))
    page = built(tmp_path)
    checked(page)
    assert "fixed before any run, and corrected" not in page
    assert 'aria-label="Contrasts' not in page


def test_a_contrast_must_be_of_methods_that_can_be_compared():
    with pytest.raises(ValueError, match=r"qkd - qdk needs two methods .* \[\['qat', 'qkd'\]\]"):
        replace(matrix(), contrasts=(Contrast(first="qkd", second="qdk"),))
    with pytest.raises(ValueError, match="qkd - qkd-lsq needs two methods that can be compared"):
        two_grids(contrasts=(Contrast(first="qkd", second="qkd-lsq"),), horizon=40)


def test_a_matrix_written_before_there_were_contrasts_is_read_as_it_was(tmp_path):
    toy = matrix(methods=(QKD, QAT, KD))
    write_matrix(tmp_path, toy)
    path = tmp_path / "matrices" / "toy-smoke.json"
    content = json.loads(path.read_text())
    assert content.pop("contrasts") is None
    assert decode(json.dumps(content), Matrix) == toy
    asked = [(c.first, c.second, c.fixed) for c in toy.contrasts_among({"qkd", "qat", "kd"})]
    assert asked == [("qkd", "qat", True), ("qkd", "kd", True), ("kd", "qat", True)]


def test_grids_whose_networks_begin_elsewhere_are_not_compared():
    grid = matrix(methods=(QKD,)).grids[0]
    other = replace(grid, methods=(QAT,))
    assert grid.comparable(other)
    assert not grid.comparable(replace(other, pair=replace(grid.pair, teacher_start=None)))
