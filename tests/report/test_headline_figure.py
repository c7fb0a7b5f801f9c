"""The first screen's figure: where its marks stand, which are joined, and which are hollow."""

import math

import pytest

from report.figures.headline import headline
from report.texts import MINUS
from tests.report.drawn import gains, marks, paths, place_of, points, scale, texts

NAN = math.nan


def test_the_first_screen_s_figure_reaches_to_the_paper_s_length():
    shown = gains(
        ("fashion", "a", False, "qkd - kd", 0.01, 1.0, 0.0, 2.0),
        ("cifar", "b", False, "qkd - kd", 0.01, -1.0, NAN, NAN),
        ("cifar", "b", False, "qkd - kd", 0.1, 0.5, 0.0, 1.0),
        ("cifar", "b", False, "qkd - qat", 0.1, 2.0, 1.0, 3.0),
    )  # fmt: skip
    for narrow in (False, True):
        drawn = headline(shown, "h", narrow=narrow)
        assert f"qkd - kd: fashion +1.00 [0.00, 2.00] at 1 %, cifar {MINUS}1.00 at 1 %" in drawn
        titles = [place_of(drawn, name) for name in ("qkd - kd", "qkd - qat")]
        assert (titles[0][0] == titles[1][0]) == narrow
        ends = {text: (x, y) for x, y, text in texts(drawn)[::-1]}
        across = scale([(-2, ends["1"][0]), (0, ends["100"][0])])
        diamond, circles = marks(drawn, "student")[0], marks(drawn, "teacher")
        ten = across(-1)
        assert circles[1][0] == pytest.approx(ten, abs=0.2)
        # Two settings at one length: beside each other, by as much on each side.
        assert (diamond[0] + circles[0][0]) / 2 == pytest.approx(across(-2), abs=0.2)
        assert diamond[0] < circles[0][0]
        limit = [points(d) for d in paths(drawn, "stroke-dasharray:0.7,1.4")]
        assert [x for x, _ in limit[0]] == pytest.approx([across(0)] * 2, abs=0.2)
        assert [text for _, _, text in texts(drawn)].count("not run") == 2
        assert {" fashion", " cifar"} <= {text for _, _, text in texts(drawn)}


def test_a_line_joins_one_run_s_differences_and_those_seen_before_are_hollow():
    shown = gains(
        ("cifar", "old", True, "qkd - kd", 0.01, -1.0, NAN, NAN),
        ("cifar", "old", True, "qkd - kd", 0.02, -0.5, NAN, NAN),
        ("cifar", "new", False, "qkd - kd", 0.02, 0.5, NAN, NAN),
    )  # fmt: skip
    drawn = headline(shown, "h")
    filled, hollow = marks(drawn, "student"), marks(drawn, "paper")
    assert (len(filled), len(hollow)) == (1, 2)
    (line,) = (
        points(d)
        for d in paths(drawn, "fill:none", "stroke:var(--student)")
        if len(points(d)) == 2 and points(d)[0][0] != points(d)[1][0]
    )
    assert line == [pytest.approx(place, abs=0.2) for place in hollow]
    one_run = headline(shown.assign(run="old"), "h")
    assert len(marks(one_run, "paper")) == 2


def test_at_the_paper_s_length_nothing_is_said_to_be_missing():
    drawn = headline(gains(("a", "a", False, "qkd - kd", 1.0, 1.0, 0.0, 2.0)), "h")
    assert "not run" not in drawn
    assert headline(gains(("a", "a", False, "qkd - kd", 0.0, 1.0, 0.0, 2.0)), "h") is None
