"""Estimates with their errors: by hand, by independent formulas, and against scipy."""

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from report.analysis.estimates import Estimate, power, satterthwaite, weighted_mean

MEANS = st.floats(-5, 5)
ERRORS = st.floats(0.01, 5)
FREEDOMS = st.integers(1, 40)
ESTIMATES = st.builds(Estimate, MEANS, ERRORS, FREEDOMS)


def test_a_test_and_an_interval_by_hand():
    # t = 2 on 4 degrees of freedom: two-sided p 0.116117; t(0.975, 4) = 2.776445
    one = Estimate(1.0, 0.5, 4)
    assert one.p == pytest.approx(0.116117, abs=1e-6)
    assert one.interval() == pytest.approx((1 - 1.388223, 1 + 1.388223), abs=1e-6)
    # t(0.95, 4) = 2.131847
    assert one.interval(0.90) == pytest.approx((1 - 1.065923, 1 + 1.065923), abs=1e-6)


def test_what_has_no_spread_has_no_test():
    assert (Estimate(1.0).p, Estimate(1.0).interval()) == (None, (None, None))
    same = Estimate(1.0, 0.0, 4)
    assert (same.p, same.interval(), same.is_tested) == (None, (1.0, 1.0), False)


@given(ESTIMATES)
def test_the_interval_excludes_zero_where_p_is_below_its_level(one):
    low, high = one.interval(0.95)
    if abs(one.p - 0.05) > 1e-9:
        assert (low > 0 or high < 0) == (one.p < 0.05)


def test_the_difference_of_two_estimates_by_hand():
    # errors 0.3 and 0.4: 0.5; freedom 0.25^2 / (0.09^2 / 4 + 0.16^2 / 9) = 12.8352
    one = Estimate(0.7, 0.3, 4).less(Estimate(0.2, 0.4, 9))
    assert one.mean == pytest.approx(0.5)
    assert one.error == pytest.approx(0.5)
    assert one.freedom == pytest.approx(12.8352, abs=1e-4)
    assert Estimate(0.7, 0.3, 4).less(Estimate(0.2)) == (pytest.approx(0.5), None, 0.0)


@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=6, unique=True),
    st.lists(st.floats(-3, 3), min_size=2, max_size=6, unique=True),
)
def test_the_degrees_of_freedom_of_a_sum_are_welchs(first, second):
    parts = [float(stats.sem(values)) ** 2 for values in (first, second)]
    if min(parts) < 1e-6:
        return
    freedom = satterthwaite(parts, [len(first) - 1, len(second) - 1])
    expected = stats.ttest_ind(first, second, equal_var=False).df
    assert freedom == pytest.approx(expected, rel=1e-6)


def test_a_weighted_mean_by_hand():
    # weights 1 and 1/4: mean 1.75 / 1.25 = 1.4; shares 0.8 and 0.2: squared error
    # (1 + 4 (0.16 / 10 + 0.16 / 20)) / 1.25 = 0.8768
    # Q = 0.4^2 + 1.6^2 / 4 = 0.8 on one degree: p 0.371093; freedom 1.25^2 / (1/10 + 1/320)
    found = weighted_mean([Estimate(1.0, 1.0, 10), Estimate(3.0, 2.0, 20), Estimate(9.0)])
    assert found.estimate == pytest.approx((1.4, 0.936376, 15.151515), abs=1e-6)
    assert found.settings == 2
    assert found.homogeneity == pytest.approx(0.371093, abs=1e-6)


def test_the_mean_of_one_setting_is_that_setting():
    found = weighted_mean([Estimate(0.3, 0.2, 8)])
    assert found.estimate == pytest.approx((0.3, 0.2, 8))
    assert (found.settings, found.homogeneity) == (1, None)
    assert weighted_mean([]) is weighted_mean([Estimate(1.0), Estimate(1.0, 0.0, 3)]) is None


def test_the_interval_of_a_weighted_mean_covers_what_it_says():
    # Three settings of three methods with three runs, all alike: six degrees of freedom each
    draws = numpy.random.default_rng(1)
    size, found = 2000, []
    variances = draws.chisquare(6, (size, 3)) / 6
    means = draws.normal(0, (2 / 3) ** 0.5, (size, 3))
    for mean, variance in zip(means, variances, strict=True):
        errors = (variance * 2 / 3) ** 0.5
        one = weighted_mean([Estimate(m, e, 6) for m, e in zip(mean, errors, strict=True)])
        low, high = one.estimate.interval()
        found.append(low <= 0 <= high)
    assert 0.93 < numpy.mean(found) < 0.97


# Of fewer degrees a setting's weight says so little that it may take away more than it adds.
KNOWN = st.builds(Estimate, MEANS, ERRORS, st.integers(9, 40))


@given(st.lists(KNOWN, min_size=1, max_size=6), KNOWN)
def test_a_further_setting_adds_evidence(estimates, another):
    before, after = weighted_mean(estimates), weighted_mean([*estimates, another])
    assert after.estimate.error < before.estimate.error
    means = [one.mean for one in (*estimates, another)]
    assert min(means) - 1e-9 <= after.estimate.mean <= max(means) + 1e-9
    least = min(one.freedom for one in estimates)
    assert before.estimate.freedom >= least - 1e-9


def test_the_power_of_a_published_example():
    # G*Power's manual, means of two dependent groups: dz 0.5, alpha 0.05, n 34
    assert power(34**-0.5, 33, 0.5, 0.05) == pytest.approx(0.8077775, abs=1e-6)
    # Cohen 1988, two means: d 0.5, 64 a group, alpha 0.05: 0.80
    assert power(math.sqrt(2 / 64), 126, 0.5, 0.05) == pytest.approx(0.8015, abs=1e-4)


def test_the_power_at_the_ends():
    assert power(0.3, 4, 0.0, 0.05) == pytest.approx(0.05)
    assert power(0.0, 4, 0.5, 0.05) == 1.0


@given(error=st.floats(1e-6, 1e3), freedom=FREEDOMS)
def test_the_power_is_a_chance(error, freedom):
    assert 0.049 <= power(error, freedom, 0.5, 0.05) <= 1.0


@pytest.mark.parametrize("freedom", [1, 2, 4, 16])
def test_the_power_is_steady_where_another_formula_takes_over(freedom):
    border = 0.5 / 20
    assert power(border * 1.0001, freedom, 0.5, 0.05) == pytest.approx(
        power(border * 0.9999, freedom, 0.5, 0.05), abs=0.002
    )


@pytest.mark.parametrize("freedom", [2, 7, 49])
@pytest.mark.parametrize("error", [0.1, 0.3, 2.0])
def test_the_power_is_that_of_the_noncentral_t_distribution(freedom, error):
    critical = stats.t.ppf(0.975, freedom)
    outside = sum(stats.nct.sf(critical, freedom, side * 0.5 / error) for side in (1, -1))
    assert power(error, freedom, 0.5, 0.05) == pytest.approx(outside, rel=1e-9)
