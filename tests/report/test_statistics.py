from itertools import pairwise
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from report.analysis.statistics import (
    holm,
    mcnemar,
    mean_interval,
    noise_band,
    welch_interval,
)

P_VALUES = st.lists(st.floats(0, 1), max_size=8)


def test_a_mean_and_its_interval_by_hand():
    # stdev 1, standard error 1 / sqrt(3), t(0.975, 2) = 4.302653
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.n == 3
    assert interval.high == pytest.approx(2 + 4.302653 / 3**0.5, abs=1e-6)
    assert interval.low == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-6)


def test_one_value_has_no_interval():
    assert mean_interval([70.0]) == (70.0, None, None, 1)


def test_no_value_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01], family=6) == pytest.approx([0.06])
    assert holm([]) == []


def test_holm_counts_the_whole_family():
    with pytest.raises(ValueError, match="a family of 1"):
        holm([0.1, 0.2], family=1)


@given(P_VALUES)
def test_holm_keeps_the_order_and_lies_between_p_and_one(values):
    corrected = holm(values, family=8)
    pairs = sorted(zip(values, corrected, strict=True))
    assert all(p <= c <= 1 for p, c in pairs)
    assert all(a[1] <= b[1] for a, b in pairwise(pairs))


def test_a_welch_interval_by_hand():
    # variances 1 and 4, standard error sqrt(1/3 + 4/3), degrees of freedom 50/17, t(0.95) = 2.37
    interval = welch_interval([11.0, 12.0, 13.0], [8.0, 10.0, 12.0])
    assert interval.mean == 2.0
    freedom = (5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    assert freedom == pytest.approx(50 / 17)
    assert interval.high == pytest.approx(2 + 2.3716 * (5 / 3) ** 0.5, abs=2e-3)


def test_a_welch_interval_of_equal_values_has_no_width():
    assert welch_interval([2.0, 2.0], [1.0, 1.0]) == (1.0, 1.0, 1.0, 2)


def test_a_welch_interval_needs_two_values_on_both_sides():
    assert welch_interval([2.0], [1.0, 1.0]) == (1.0, None, None, 1)
    with pytest.raises(ValueError, match="on both sides"):
        welch_interval([], [1.0])


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    # Newcombe 1998, table I, method 3 (Wilson's interval without continuity correction)
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_the_noise_band_of_published_examples(right, images, low, high):
    band = noise_band(right, images)
    assert band == (
        pytest.approx(100 * right / images),
        pytest.approx(low, abs=0.005),
        pytest.approx(high, abs=0.005),
        images,
    )


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_noise_band_is_that_of_scipy(counts):
    band = noise_band(*counts)
    theirs = stats.binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert (band.low, band.high) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-9)


def test_the_noise_band_by_hand():
    # p 0.9, n 10,000, z 1.959964: (p + z^2 / 2n -+ z sqrt(p q / n + z^2 / 4n^2)) / (1 + z^2 / n)
    band = noise_band(9_000, 10_000)
    assert (band.low, band.high) == pytest.approx((89.39656, 90.57272), abs=1e-5)


@pytest.mark.parametrize(("right", "images"), [(-1, 5), (6, 5), (0, 0)])
def test_there_is_no_noise_band_of_what_cannot_be(right, images):
    with pytest.raises(ValueError, match="cannot be right"):
        noise_band(right, images)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_noise_band_holds_the_top1_and_lies_within_0_and_100(counts):
    mean, low, high, _ = noise_band(*counts)
    assert 0 <= low <= mean <= high <= 100
    assert noise_band(counts[1] - counts[0], counts[1]).low == pytest.approx(100 - high, abs=1e-9)


def test_mcnemars_test_by_hand():
    # Ten images on which the two differ, one of them the first's: 2 (1 + 10) / 2^10
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar(9, 1) == mcnemar(1, 9)
    assert mcnemar(3, 2) == mcnemar(4, 4) == mcnemar(0, 0) == 1.0
    with pytest.raises(ValueError, match="no two counts"):
        mcnemar(-1, 3)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemars_test_is_twice_a_binomial_tail(b, c):
    tail = sum(comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert mcnemar(b, c) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_exact_binomial_test(only_first, only_second):
    expected = (
        stats.binomtest(only_first, only_first + only_second).pvalue
        if only_first + only_second
        else 1.0
    )
    assert mcnemar(only_first, only_second) == pytest.approx(expected, rel=1e-9)
