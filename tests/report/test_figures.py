"""Figures of training: which curves there are, and that their descriptions state the numbers."""

import json
import re

import pytest
from matplotlib.figure import Figure

from report.build import build, collect
from report.contrasts import compare_all
from report.curves import curves, thinned
from report.drawing import as_svg, style
from report.figures import accuracy, forest
from report.section import MOST_DRAWN
from report.summary import summaries
from report.training_figures import (
    accuracy_curves,
    interval_curves,
    learning_rates,
    of_layers,
)
from tests.support.report_records import QAT, QKD, matrix, write_run


def with_intervals(tmp_path, **values):
    """A run of two seeds of QKD whose lines have intervals: ``layer_side=(first, later)``."""
    toy = matrix(methods=(QKD, QAT), seeds=(0, 1))
    write_run(tmp_path / "results", toy, {("qkd", 0): 72.0, ("qkd", 1): 71.0, ("qat", 0): 70.0})
    for record in (tmp_path / "results" / "stages").glob("*w2a2*"):
        file = record / "metrics.jsonl"
        lines = [json.loads(text) for text in file.read_text().splitlines()]
        for line in lines:
            line["intervals"] = {
                f"{name.replace('_', '.', 1)}_quantizer.interval": own[line["step"] > 1]
                for name, own in values.items()
            }
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (content,) = collect(tmp_path / "results", tmp_path / "no-reference").contents
    return content


def test_intervals_are_the_mean_over_seeds_by_layer_relative_to_their_first(tmp_path):
    content = with_intervals(
        tmp_path, conv1_weight=(2.0, 1.0), fc_weight=(1.0, 1.5), fc_input=(4.0, 6.0)
    )
    found = curves(content.summaries[0], content.readings.run.records)
    layers = of_layers(found.intervals)
    assert list(layers) == ["conv1", "fc"]
    assert {side: points[-1] for side, points in layers["fc"].items()} == {
        "weight": (20, 1.5), "input": (20, 1.5),
    }  # fmt: skip
    assert layers["conv1"]["weight"][:2] == ((1, 1.0), (2, 0.5))
    drawn = str(interval_curves(found, "toy"))
    assert "first logged: conv1 weights 0.50; fc weights 1.50, inputs 1.50" in drawn


def test_records_without_intervals_give_no_figure(tmp_path):
    content = with_intervals(tmp_path)
    found = curves(content.summaries[0], content.readings.run.records)
    assert found.intervals == {}
    assert interval_curves(found, "toy") is None


def test_an_interval_that_begins_at_zero_is_left_out():
    assert of_layers({"a.weight_quantizer.x": ((1, 0.0), (2, 1.0))}) == {}
    assert of_layers({"a.something": ((1, 1.0),)}) == {}


def test_of_many_layers_some_are_chosen_the_first_and_the_last_among_them():
    items = [str(number) for number in range(53)]
    chosen = thinned(items, 12)
    assert (len(chosen), chosen[0], chosen[-1]) == (12, "0", "52")
    assert thinned(items[:12], 12) == tuple(items[:12])


@pytest.mark.parametrize("logged", [1, 2])
def test_what_was_looked_at_once_has_no_curves(tmp_path, logged):
    toy = matrix(methods=(QAT,), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    for file in (tmp_path / "results" / "stages").glob("*w2a2*/metrics.jsonl"):
        file.write_text("".join(file.read_text().splitlines(keepends=True)[-logged:]))
    page = tmp_path / "index.html"
    build(tmp_path / "results", page, tmp_path / "no-reference")
    assert page.read_text().count(">Curves<") == logged - 1


def test_descriptions_state_the_numbers(tmp_path):
    toy = matrix(methods=(QKD, QAT), seeds=(0, 1))
    values = {("qkd", 0): 72.0, ("qkd", 1): 71.0, ("qat", 0): 70.0, ("qat", 1): 70.0}
    write_run(tmp_path / "results", toy, values)
    (content,) = collect(tmp_path / "results", tmp_path / "no-reference").contents
    methods = summaries(content.readings.cells)
    # t(0.975, 1) = 12.706, half width 12.706 * 0.5 = 6.35
    assert "qkd 71.50 [65.15, 77.85]; qat 70.00 [70.00, 70.00]" in str(accuracy(methods, "a"))
    compared = compare_all(toy.contrasts_among({"qkd", "qat"}), methods, "smoke")
    minus = "\N{MINUS SIGN}"
    assert f"qkd {minus} qat +1.50 [{minus}4.85, 7.85]" in str(forest(compared, "f"))
    found = curves(methods[0], content.readings.run.records)
    assert "in %: qkd 71.50, teacher 90.00" in str(accuracy_curves([found], "c"))


def test_a_figure_made_smaller_says_what_it_said(tmp_path):
    content = with_intervals(tmp_path, conv1_weight=(2.0, 1.0))
    found = curves(content.summaries[0], content.readings.run.records)
    falling = tuple((step, 0.01 * (1 - step / 20)) for step in range(1, 21))
    drawn = str(learning_rates([found._replace(learning_rate=falling)], "rates"))
    rates = [float(text) for text in re.findall(r">(0\.\d{4})</text>", drawn)]
    assert rates == [0.0, 0.0025, 0.005, 0.0075, 0.01]
    places = re.findall(r' (?:d|x|y)="([^"]*)"', drawn)
    assert places
    assert not [one for one in places if re.search(r"\.\d{2}", one)]


def test_a_line_in_fewer_characters_goes_through_the_same_points():
    with style():
        figure = Figure(figsize=(1, 1))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, 72)
        axes.set_ylim(72, 0)
        axes.plot([0, 10, 10, 20, 30, 30], [5, 5, 7.5, 8, 8, 8], clip_on=False)
        drawn = str(as_svg(figure, "toy", "a line"))
    assert re.findall(r' d="([^"]*)"', drawn) == ["M0 5H10V7.5L20 8H30H30"]
    assert "<g" not in drawn
    assert "</g>" not in drawn


@pytest.mark.parametrize("more", [0, 1])
def test_a_page_of_many_settings_draws_the_first_and_says_so(tmp_path, more):
    for place in range(MOST_DRAWN + more):
        toy = matrix(methods=(QAT,), seeds=(0,), name=f"toy{place}")
        write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    build(tmp_path / "results", tmp_path / "index.html", tmp_path / "no-reference")
    page = (tmp_path / "index.html").read_text()
    assert page.count("this one has its tables alone") == more
    assert page.count('-accuracy">') == MOST_DRAWN
