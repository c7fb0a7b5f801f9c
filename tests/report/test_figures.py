"""Figures: what is drawn where, what a screen reader says, names that attack, bytes that repeat."""

import math
import re
import xml.dom.minidom
from html import escape

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from report.analysis.pareto import MEASURES
from report.build import build
from report.figures.drawing import as_svg, shortened, standalone, style
from report.figures.headline import headline
from report.figures.lengths import by_length
from report.figures.results import accuracy, forest, pareto
from report.figures.speed import growth
from report.figures.training import (
    accuracy_curves,
    interval_curves,
    learning_rates,
    loss_curves,
)
from report.figures.weights import weight_histograms
from report.page.section import MOST_DRAWN
from report.texts import MINUS
from tests.report.drawn import (
    bins,
    borders,
    curves,
    frame,
    gains,
    marks,
    paths,
    place_of,
    points,
    scale,
    texts,
)
from tests.support.report_records import QAT, matrix, write_run

NAN = math.nan
ATTACK = "_$x_1$ {0} <script>alert('x')</script>&\"' #010101 d=\"1.234\" \x1b[31m\u4e2d\ud800"


def methods(*rows):
    return frame("method mean low high n", *rows)


def contrasts(*rows):
    return frame("label fixed mean low high n", *rows)


def all_figures(name):
    """Every figure, of things that are called ``name``; and of nothing."""
    cells = frame("method seed top1", (name, 0, 70.0), (name, 1, 71.0))
    differences = frame("label seed points", (name, 0, 1.0))
    of_lengths = frame("label steps seed points", (name, 20, 0, 1.0))
    lengths = frame(
        "label fixed steps mean low high",
        (name, True, 20, 1.0, 0.0, 2.0), (name, True, 80, 1.0, NAN, NAN),
    )  # fmt: skip
    costs = frame(
        "label cost mean low high on_front",
        (name, 1e3, 70.0, 69.0, 71.0, True), ("b", 9e3, 60.0, NAN, NAN, False),
    )  # fmt: skip
    series = (
        "student", "teacher", "learning_rate", "teacher_learning_rate", f"loss {name}",
        "loss student_cross_entropy", f"interval {name}.weight_quantizer.interval",
    )  # fmt: skip
    lines = curves(*((name, one, step, 1.0 / step) for one in series for step in (1, 2)))
    ends = borders((name, 1, name), (name, 2, "tutoring"))
    histogram = bins(name, "before", (0, 50, 50, 0)) + bins(name, "after", (0, 60, 40, 0))
    layers = frame("layer moment left right share clipped", *histogram)
    learned = frame("layer scalar before after", (name, name, 1.0, 2.0))
    shares = gains(
        (name, name, False, name, 0.01, 1.0, 0.0, 2.0),
        ("b", "b", True, name, 0.01, 1.0, NAN, NAN),
    )  # fmt: skip
    calls = {
        "accuracy": lambda cut: accuracy(
            cut(cells), cut(methods((name, 70.5, 69.0, 72.0, 2))), "a"
        ),
        "forest": lambda cut: forest(
            cut(contrasts((name, True, 1.0, 0.0, 2.0, 2))), cut(differences), "a"
        ),
        "pareto": lambda cut: pareto(cut(costs), MEASURES[0], "a"),
        "accuracy curves": lambda cut: accuracy_curves(cut(lines), cut(ends), "a"),
        "loss curves": lambda cut: loss_curves(cut(lines), cut(ends), "a"),
        "intervals": lambda cut: interval_curves(cut(lines), cut(ends), "a"),
        "learning rates": lambda cut: learning_rates(cut(lines), "a"),
        "weights": lambda cut: weight_histograms(cut(layers), cut(learned), "a"),
        "lengths": lambda cut: by_length(cut(lengths), cut(of_lengths), "a"),
        "growth": lambda cut: growth(cut(frame("axis value ratio", (name, name, 2.0))), "a"),
        "headline": lambda cut: headline(cut(shares), "a"),
        "narrow headline": lambda cut: headline(cut(shares), "a", narrow=True),
    }
    return calls


KINDS = list(all_figures("x"))


@pytest.mark.parametrize("kind", KINDS)
def test_of_nothing_there_is_no_figure(kind):
    assert all_figures("x")[kind](lambda whole: whole.iloc[:0]) is None
    assert all_figures("x")[kind](lambda whole: pd.DataFrame(columns=whole.columns)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_attacks_is_text(kind):
    drawn = all_figures(ATTACK)[kind](lambda whole: whole)
    assert "<script" not in drawn
    assert "\x1b" not in drawn
    xml.dom.minidom.parseString(standalone(drawn).encode())  # noqa: S318 (raises)
    shown = " ".join(text for _, _, text in texts(drawn))
    assert "var(" not in shown
    if kind in ("accuracy", "forest", "pareto"):  # the names that are written whole
        assert escape(shortened(ATTACK, 40), quote=False) in shown


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_frame_gives_the_same_bytes_and_leaves_nothing_open(kind):
    draw = all_figures("x")[kind]
    assert draw(lambda whole: whole) == draw(lambda whole: whole)
    assert plt.get_fignums() == []


AXES = {
    "accuracy": {"test top-1, %"},
    "forest": {"difference in test top-1, points (band: 0.5 points each way)"},
    "pareto": {"bytes of the packed file, kB (logarithmic)", "test top-1, %"},
    "accuracy curves": {"steps of the student", "held-out top-1, %"},
    "loss curves": {"steps of the student", "loss"},
    "intervals": {"steps of the student", "interval, relative to its first"},
    "learning rates": {"steps of the student", "learning rate"},
    "weights": {f"place in the quantizer's range: {MINUS}1 its lowest level, 1 its highest"},
    "lengths": {"steps of training, logarithmic (band: 0.5 points each way)"},
    "headline": {"length of training, % of the paper's (logarithmic)", "points of test top-1"},
}


@pytest.mark.parametrize("kind", AXES)
def test_the_axes_say_what_they_show(kind):
    drawn = all_figures("x")[kind](lambda whole: whole)
    assert set(re.findall(r">([^<]*)</text>", drawn)) >= AXES[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_colours_are_the_page_s_and_ids_the_figure_s_own(kind):
    drawn = str(all_figures("x")[kind](lambda whole: whole))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) == set()
    assert 'role="img"' in drawn
    ids = re.findall(r'\bid="([^"]*)"', drawn)
    assert all(one.startswith("a-") for one in ids)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'(?:url\(|href=")#([^)"]*)', drawn)) <= set(ids)


def test_a_dot_a_seed_and_a_diamond_a_mean_stand_at_their_numbers():
    cells = frame("method seed top1", ("qkd", 0, 72.0), ("qkd", 1, 71.0), ("qat", 0, 70.0))
    cells.loc[3] = ("qat", 1, NAN)
    shown = methods(
        ("qkd", 71.5, 71.1, 71.9, 2), ("qat", 70.0, NAN, NAN, 1), ("kd", NAN, NAN, NAN, 0)
    )
    drawn = accuracy(cells, shown, "a")
    assert 'qkd 71.50 [71.10, 71.90]; qat 70.00"' in drawn
    at = scale([(value, place_of(drawn, str(value))[0]) for value in (70.0, 72.0)])
    rows = [place_of(drawn, name)[1] for name in ("qkd", "qat")]
    dots = sorted(marks(drawn, "muted"))
    assert [x for x, _ in dots] == pytest.approx([at(70), at(71), at(72)], abs=0.2)
    assert dots[0][1] - dots[1][1] == pytest.approx(rows[1] - rows[0], abs=0.2)
    diamonds = marks(drawn, "student")
    assert [x for x, _ in diamonds] == pytest.approx([at(71.5), at(70)], abs=0.2)
    assert [y for _, y in diamonds] == pytest.approx([dots[1][1], dots[0][1]], abs=0.2)
    (line,) = [points(d) for d in paths(drawn, "stroke:var(--student)", "stroke-width:1.6")]
    assert [x for x, _ in line] == pytest.approx([at(71.1), at(71.9)], abs=0.2)
    assert "kd" not in [text for _, _, text in texts(drawn)]


def test_contrasts_fixed_before_are_filled_and_the_others_hollow():
    differences = frame("label seed points", ("a", 0, 1.0), ("a", 1, 2.0), ("b", 0, -1.0))
    shown = contrasts(("a", True, 1.5, -4.85, 7.85, 2), ("b", False, -1.0, NAN, NAN, 1))
    drawn = forest(shown, differences, "a")
    assert f'a +1.50 [{MINUS}4.85, 7.85]; b {MINUS}1.00"' in drawn
    at = scale([(value, place_of(drawn, str(value))[0]) for value in (0, 2)])
    assert [x for x, _ in marks(drawn, "student")] == pytest.approx([at(1.5)], abs=0.2)
    assert [x for x, _ in marks(drawn, "paper")] == pytest.approx([at(-1)], abs=0.2)
    zero, *_ = (points(d) for d in paths(drawn, "stroke:var(--muted)", "stroke-width:0.8"))
    assert [x for x, _ in zero] == pytest.approx([at(0)] * 2, abs=0.2)


def test_the_front_is_a_stepped_line_through_diamonds():
    costs = frame(
        "label cost mean low high on_front",
        ("qat W2A2", 1e3, 60.5, NAN, NAN, True), ("kd W2A2", 1e3, 50.0, 49.0, 51.0, False),
        ("fp", 1e5, 91.0, 90.0, 92.0, True),
    )  # fmt: skip
    drawn = pareto(costs, MEASURES[0], "p")
    assert (
        "Test top-1 against bytes of the packed file. On the Pareto front: qat W2A2: 1.0 kB, "
        "60.50 %; fp: 100.0 kB, 91.00 %. Behind it, 1 more: 1.0 kB, 50.00 %."
    ) in drawn
    best = marks(drawn, "student")
    front, *_ = paths(drawn, "fill:none", "stroke:var(--student)")
    corner = (best[1][0], best[0][1])
    assert points(front) == [pytest.approx(p, abs=0.2) for p in (best[0], corner, best[1])]
    assert len(marks(drawn, "paper")) == 1
    assert pareto(costs.assign(cost=1.0), MEASURES[0], "p") is None


def test_differences_stand_at_their_length_and_on_one_scale():
    lengths = frame(
        "label fixed steps mean low high",
        ("a", True, 400, 1.0, 0.0, 2.0), ("a", True, 1600, 2.0, NAN, NAN),
        ("b", False, 400, -2.0, -3.0, -1.0), ("b", False, 1600, 1.0, 0.5, 1.5),
    )  # fmt: skip
    differences = frame("label steps seed points", ("a", 400, 0, 0.5), ("a", 400, 1, 1.5))
    drawn = by_length(lengths, differences, "n")
    assert (
        "a +1.00 [0.00, 2.00] after 400 steps, +2.00 after 1,600 steps; "
        f"b {MINUS}2.00 [{MINUS}3.00, {MINUS}1.00] after 400 steps"
    ) in drawn
    down = scale([(value, place_of(drawn, str(value))[1]) for value in (0, 2)])
    filled, hollow = marks(drawn, "student"), marks(drawn, "paper")
    for (low, high), rise in ((filled, 1), (hollow, 3)):
        assert high[1] - low[1] == pytest.approx(down(rise) - down(0), abs=0.2)
    first, second = (x for x, _, text in texts(drawn) if text == "400")
    assert [filled[0][0], hollow[0][0]] == pytest.approx([first, second], abs=0.2)
    dots = marks(drawn, "muted")
    assert [x for x, _ in dots] == pytest.approx([first, first], abs=0.2)


def test_one_wide_interval_leaves_the_others_legible():
    shown = contrasts(("a", True, 1.0, -500.0, 502.0, 2), ("b", True, 2.0, 1.0, 3.0, 2))
    drawn = forest(shown, frame("label seed points"), "a")
    numbers = [float(t) for _, _, t in texts(drawn) if re.fullmatch(r"\d+(\.\d)?", t)]
    assert max(numbers) <= 4


def test_a_figure_made_smaller_says_what_it_said():
    with style():
        figure = Figure(figsize=(1, 1))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, 72)
        axes.set_ylim(72, 0)
        axes.plot([0, 10, 10, 20, 30, 30], [5, 5, 7.5, 8, 8, 8], clip_on=False)
        one = as_svg(figure, "toy", "a line")
        axes.plot([1, 2], [1, 3], color="C0", clip_on=False)
        axes.text(0, 0, '1.23456 style="fill: none"')
        two = as_svg(figure, "toy", "a line")
    assert re.findall(r' d="([^"]*)"', one) == ["M0 5H10V7.5L20 8H30H30"]
    assert "<g" not in one
    # Two that look alike: in a group that says how, and in their order.
    assert re.findall(r' d="([^"]*)"', two) == ["M0 5H10V7.5L20 8H30H30", "M1 1L2 3"]
    assert two.count("stroke-width") == 1
    assert '1.23456 style="fill: none"</text>' in two


@pytest.mark.parametrize("kind", KINDS)
def test_places_are_in_tenths_of_a_point(kind):
    drawn = str(all_figures("x")[kind](lambda whole: whole))
    places = re.findall(r' (?:d|x|y)="([^"]*)"', drawn)
    assert places
    assert not [one for one in places if re.search(r"\.\d{2}", one)]


@pytest.mark.parametrize("more", [0, 1])
def test_a_page_of_many_settings_draws_the_first_and_says_so(tmp_path, more):
    for place in range(MOST_DRAWN + more):
        toy = matrix(methods=(QAT,), seeds=(0,), name=f"toy{place}")
        write_run(tmp_path / "results", toy, {("qat", 0): 70.0})
    build(tmp_path / "results", tmp_path / "index.html", tmp_path / "no-reference")
    page = (tmp_path / "index.html").read_text()
    assert page.count("this one has its tables alone") == more
    assert page.count('-accuracy">') == MOST_DRAWN
