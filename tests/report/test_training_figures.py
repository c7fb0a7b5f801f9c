"""Figures of training and of weights: what is drawn where, and what a screen reader says."""

import re

import pandas as pd
import pytest

from report.build import build
from report.figures.training import (
    accuracy_curves,
    interval_curves,
    learning_rates,
    loss_curves,
    of_layers,
)
from report.figures.weights import weight_histograms
from report.texts import MINUS
from tests.report.drawn import (
    bins,
    borders,
    curves,
    frame,
    marks,
    paths,
    place_of,
    points,
    scale,
    texts,
)
from tests.support.report_records import QAT, matrix, write_run

QKD = [("qkd", "student", step, value) for step, value in ((5, 60.0), (10, 70.0), (20, 80.0))]


def test_curves_run_through_their_numbers_between_the_borders_of_phases():
    lines = curves(*QKD, ("qkd", "teacher", 10, 90.0), ("qat", "student", 20, 70.0))
    ends = borders(("qkd", 4, "self-study"), ("qkd", 20, "odd"), ("qat", 40, "self-study"))
    drawn = accuracy_curves(lines, ends, "c")
    assert 'in %: qkd 80.00, teacher 90.00; qat 70.00"' in drawn
    left, right = place_of(drawn, "20")[0], min(x for x, _, text in texts(drawn) if text == "0")
    across = scale([(0, right), (20, left)])
    down = scale([(value, place_of(drawn, str(value))[1]) for value in (60, 80)])
    student, *_ = (points(d) for d in paths(drawn, "stroke:var(--student)", "stroke-width:1.4"))
    assert [x for x, _ in student] == pytest.approx([across(x) for x in (5, 10, 20)], abs=0.2)
    rise = [down(value) - down(60) for value in (60, 70, 80)]
    assert [y - student[0][1] for _, y in student] == pytest.approx(rise, abs=0.2)
    dotted = [points(d) for d in paths(drawn, "stroke-dasharray:0.7,1.4")]
    ends = [across(step) for step in (4, 4, 20, 20)]
    assert [x for x, _ in dotted[0]] == pytest.approx(ends, abs=0.2)
    assert place_of(drawn, "odd")[0] == pytest.approx(across(12), abs=0.2)
    assert "40" in [text for _, _, text in texts(drawn)]
    assert len(marks(drawn, "teacher")) == len(marks(drawn, "student")) == 1  # of one number


def test_loss_terms_are_told_apart_without_colour_and_by_a_key():
    names = ("student_cross_entropy", "student_distillation", "teacher_distillation")
    lines = curves(*(("qkd", f"loss {one}", step, 1.0 / step) for one in names for step in (1, 4)))
    drawn = loss_curves(lines, borders(("qkd", 4, "co-study")), "l")
    assert "qkd student cross entropy 0.25, student distillation 0.25, teacher" in drawn
    assert [
        len(paths(drawn, "stroke-width:1.4", f"--{of}", dash))
        for of, dash in (
            ("student", "stroke-dasharray"),
            ("teacher", "stroke-dasharray"),
            ("student", ""),
        )
    ] == [2, 2, 4]
    for name in names:
        assert place_of(drawn, f" {name.replace('_', ' ')}")
    many = [(f"loss {place}", step) for place in range(50) for step in (1, 2)]
    crowded = loss_curves(
        curves(*(("qkd", one, step, 1.0) for one, step in many)),
        borders(("qkd", 2, "co-study")),
        "l",
    )
    assert " 49" not in [text for _, _, text in texts(crowded)]


def intervals(**layers):
    """Curves of one method: ``layer_side=values`` at steps 1, 2, ..."""
    return curves(
        *(
            ("qkd", f"interval {name.replace('_', '.', 1)}_quantizer.interval", step, value)
            for name, values in layers.items()
            for step, value in enumerate(values, 1)
        )
    )


def test_intervals_are_relative_to_their_first():
    lines = intervals(conv1_weight=(2.0, 1.0), fc_weight=(1.0, 1.5), fc_input=(4.0, 6.0))
    found = of_layers(pd.concat([lines, curves(*QKD)], ignore_index=True))
    assert found.to_numpy().tolist() == [
        ["conv1", "weights", 1, 1.0],
        ["conv1", "weights", 2, 0.5],
        ["fc", "weights", 1, 1.0],
        ["fc", "weights", 2, 1.5],
        ["fc", "inputs", 1, 1.0],
        ["fc", "inputs", 2, 1.5],
    ]
    drawn = interval_curves(lines, borders(("qkd", 2, "self-study")), "i")
    assert "first logged: conv1 weights 0.50; fc weights 1.50, inputs 1.50" in drawn


def test_of_a_quantizer_the_first_scalar_is_drawn():
    lines = curves(
        *(
            ("qkd", f"interval a.weight_quantizer.{scalar}", step, value * step)
            for scalar, value in (("interval", 1.0), ("offset", 7.0))
            for step in (1, 3)
        )
    )
    assert of_layers(lines)["value"].tolist() == [1.0, 3.0]


def test_what_has_no_interval_or_begins_at_zero_is_left_out():
    assert of_layers(intervals(a_weight=(0.0, 1.0))).empty
    assert of_layers(curves(*QKD)).empty
    assert interval_curves(curves(*QKD), borders(("qkd", 20, "self-study")), "i") is None


def test_of_many_layers_some_are_drawn_the_first_and_the_last_among_them():
    layers = {f"{number}_weight": (1.0, 2.0) for number in range(53)}
    drawn = interval_curves(intervals(**layers), borders(("qkd", 2, "self-study")), "i")
    titles = [text for _, _, text in texts(drawn) if text.isdigit() and text not in ("0", "2")]
    assert (len(set(titles)), titles[-1]) == (11, "52")
    assert "first logged: 0 weights 2.00" in drawn


def test_methods_that_share_a_course_share_a_line():
    falling = [(step, 0.01 * (1 - step / 20)) for step in range(1, 21)]
    lines = curves(
        *((name, "learning_rate", *point) for name in ("qkd", "_qat") for point in falling),
        *(("other", "learning_rate", step, 0.002) for step in (1, 20)),
        *(("qkd", "teacher_learning_rate", *point) for point in falling),
    )
    drawn = learning_rates(lines, "r")
    shown = [text.strip() for _, _, text in texts(drawn)]
    assert {"qkd, _qat", "other"} <= set(shown)
    rates = [float(text) for text in shown if re.fullmatch(r"0\.\d{4}", text)]
    assert rates == [0.0, 0.0025, 0.005, 0.0075]
    assert [len(points(d)) for d in paths(drawn, "stroke:var(--teacher)")] == [20]
    students = [points(d) for d in paths(drawn, "stroke:var(--student)", "stroke-width:1.4")]
    assert sorted(len(line) for line in students) == [2, 3, 3, 20]  # two, and the key's


def test_weights_before_are_dashed_and_those_after_solid():
    rows = [
        row
        for layer in "abcdef"
        for moment, shares, clipped in (
            ("before", (25, 25, 50, 0), 25.0),
            ("after", (0, 40, 60, 0), 6.25),
        )
        for row in bins(layer, moment, shares, clipped)
    ]
    learned = frame("layer scalar before after", ("a", "interval", 0.5, 0.25))
    drawn = weight_histograms(frame("layer moment left right share clipped", *rows), learned, "w")
    assert "a clipped 25.0 %, then 6.2 %, interval 0.5, then 0.25; c clipped" in drawn
    names = [text for _, _, text in texts(drawn) if len(text) == 1 and text.isalpha()]
    assert names == ["a", "c", "d", "f"]
    assert "clipped 25.0 \N{RIGHTWARDS ARROW} 6.2 %</text>" in drawn
    down = scale([(value, place_of(drawn, str(value))[1]) for value in (20, 40)])
    after = [points(d) for d in paths(drawn, "stroke:var(--student)", "stroke-width:1.4")]
    before = [points(d) for d in paths(drawn, "stroke-dasharray:3.6,2.4")]
    assert len(after) == len(before) == 5  # four layers and the key
    for line, shares in ((after[0], (0, 40, 60, 0)), (before[0], (25, 25, 50, 0))):
        ground = line[0][1]
        heights = [point[1] - ground for point in line[1:-1:2]]
        assert heights == pytest.approx([down(share) - down(0) for share in shares], abs=0.3)
    first, below = next((x, y) for x, y, text in texts(drawn) if text == f"{MINUS}1")
    assert first < next(x for x, y, text in texts(drawn) if text == "0" and y == below)


@pytest.mark.parametrize("logged", [1, 2])
def test_what_was_looked_at_once_has_no_curves(tmp_path, logged):
    toy = matrix(methods=(QAT,), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    for file in (tmp_path / "results" / "stages").glob("*w2a2*/metrics.jsonl"):
        file.write_text("".join(file.read_text().splitlines(keepends=True)[-logged:]))
    page = tmp_path / "index.html"
    build(tmp_path / "results", page, tmp_path / "no-reference")
    assert page.read_text().count(">Curves<") == logged - 1
