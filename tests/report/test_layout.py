"""The one-way layout: its pooled spread, Bartlett's test, and the tests that follow."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from report.analysis.layout import layout

VALUES = st.lists(st.floats(60, 95), min_size=2, max_size=6, unique=True)
GROUPS = st.lists(VALUES, min_size=2, max_size=5)


def named(groups):
    return dict(zip("abcde", groups, strict=False))


def vary(groups):
    return all(np.std(values, ddof=1) > 1e-3 for values in groups)


def test_the_pooled_spread_by_hand():
    # Squares within: 2 and 8, on 2 + 2 degrees of freedom; a single run adds none of either.
    found = layout({"a": [1.0, 2.0, 3.0], "b": [2.0, 4.0, 6.0], "c": [5.0]})
    assert (found.spread, found.freedom) == (pytest.approx(math.sqrt(2.5)), 4)
    # Variances 1 and 4, pooled 2.5: M = 4 ln 2.5 - 2 ln 1 - 2 ln 4 = 0.892574,
    # C = 1 + (1/2 + 1/2 - 1/4) / 3 = 1.25, M / C = 0.714059 on one degree of freedom
    assert found.bartlett == pytest.approx(stats.chi2.sf(0.714059, 1), abs=1e-6)
    assert found.is_pooled
    one = found.difference("a", "b")
    assert one == pytest.approx((-2.0, math.sqrt(2.5 * 2 / 3), 4))
    assert found.mean("b") == pytest.approx((4.0, math.sqrt(2.5 / 3), 4))


@given(GROUPS)
def test_bartletts_test_and_the_residual_are_those_of_their_formulas(groups):
    assume(vary(groups))
    found = layout(named(groups))
    sizes = np.array([len(values) for values in groups], float)
    variances = np.array([np.var(values, ddof=1) for values in groups])
    freedom = (sizes - 1).sum()
    pooled = ((sizes - 1) * variances).sum() / freedom
    assert found.freedom == freedom
    assert found.spread == pytest.approx(math.sqrt(pooled), rel=1e-9)
    statistic = freedom * math.log(pooled) - ((sizes - 1) * np.log(variances)).sum()
    statistic /= 1 + ((1 / (sizes - 1)).sum() - 1 / freedom) / (3 * (len(groups) - 1))
    expected = stats.chi2.sf(max(statistic, 0.0), len(groups) - 1)
    assert found.bartlett == pytest.approx(expected, abs=1e-7)


@given(VALUES, VALUES)
def test_of_two_methods_it_is_students_test_or_welchs(first, second):
    assume(vary([first, second]))
    found = layout({"a": first, "b": second})
    theirs = stats.ttest_ind(first, second, equal_var=found.is_pooled)
    one = found.difference("a", "b")
    assert one.p == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
    assert one.freedom == pytest.approx(theirs.df, rel=1e-6)
    assert one.interval() == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-6)
    assert found.difference("b", "a").mean == pytest.approx(-one.mean)


def test_a_spread_that_differs_is_not_pooled():
    groups = {"a": [70.0, 70.1, 70.2], "b": [70.0, 70.1, 69.9], "c": [60.0, 70.0, 80.0]}
    found = layout(groups)
    assert found.bartlett == pytest.approx(stats.bartlett(*groups.values()).pvalue)
    assert not found.is_pooled
    one = found.difference("a", "b")
    # Variances 0.01 both: error sqrt(0.02 / 3), 4 degrees of freedom
    assert one == pytest.approx((0.1, math.sqrt(0.02 / 3), 4.0))
    assert found.mean("c") == pytest.approx((70.0, 10 / math.sqrt(3), 2))


def test_what_does_not_vary_is_no_common_spread():
    found = layout({"a": [70.0, 70.0, 70.0], "b": [71.0, 72.0, 73.0], "c": [69.0, 69.0]})
    assert found.bartlett == 0.0
    one = found.difference("b", "a")
    assert one == pytest.approx((2.0, 1 / math.sqrt(3), 2.0))
    same = found.difference("a", "c")
    assert (same.mean, same.error, same.p) == (1.0, 0.0, None)
    none = layout({"a": [70.0, 70.0], "b": [71.0, 71.0]})
    assert (none.spread, none.bartlett, none.difference("a", "b").p) == (0.0, None, None)


def test_a_single_run_is_not_judged():
    found = layout({"a": [1.0, 2.0, 4.0], "b": [3.0], "c": []})
    assert found.difference("a", "b") == (pytest.approx(-2 / 3), None, 0.0)
    assert found.difference("a", "c") is None
    assert found.difference("a", "nobody") is None
    assert found.mean("c") is None
    assert found.mean("b") == (3.0, None, 0.0)
    assert found.bartlett is None
    assert layout({"a": [1.0]}) == ({"a": [1.0]}, None, 0, None)
