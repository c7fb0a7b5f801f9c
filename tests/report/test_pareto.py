"""Accuracy against cost: which points lie on the front, and what the page shows of them."""

import math
import re
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plan import plan
from qkd.records.record import store_of
from qkd.spec import Bits
from report.analysis.pareto import MEASURES, front
from report.analysis.statistics import mean_interval
from report.figures.results import description
from report.reading.records import Records, Status
from tests.report.test_page import built, checked
from tests.support.report_records import (
    FP,
    KD,
    QAT,
    QKD,
    edit_result,
    matrix,
    write_done,
    write_matrix,
    write_run,
)

BYTES, OPERATIONS = MEASURES
W2A2, W4A4 = (Bits(weight=bits, activation=bits) for bits in (2, 4))
MACS = 1_000_000


def points(*found):
    """A frame of points: (cost, mean), or with a label before them."""
    named = [one if isinstance(one[0], str) else ("some", *one) for one in found]
    frame = pd.DataFrame(named, columns=["label", "cost", "mean"]).astype({"mean": float})
    return frame.assign(low=math.nan, high=math.nan, on_front=front(frame))


def on_front(*found):
    return [one for one, is_best in zip(found, points(*found)["on_front"], strict=True) if is_best]


def cost(bits, parameters=1000):
    return {
        "parameters": parameters,
        "packed_bytes": parameters * bits // 8,
        "float32_bytes": parameters * 4,
        "macs": MACS,
        "bit_operations": MACS * bits * bits,
    }


def write_costs(results, content, parameters=1000):
    for cell in content.cells():
        bits = cell.bits.weight if cell.bits else 32
        edit_result(
            results, cell.history, lambda result, b=bits: result.update(cost=cost(b, parameters))
        )


@pytest.fixture
def run(tmp_path):
    """Two methods at two widths and full precision, two seeds; no cost is recorded."""
    toy = matrix(methods=(FP, QKD, QAT), bits=(W2A2, W4A4), seeds=(0, 1))
    write_matrix(tmp_path / "results", toy)
    ends = {cell.history.digest: cell for cell in toy.cells() if cell.bits}
    for planned in plan(toy.cells()).stages.values():
        top1, cell = 90.0, ends.get(planned.digest)
        if cell:
            top1 = {"qkd": 70.0, "qat": 60.0}[cell.method.name] + cell.bits.weight + cell.seed
        write_done(tmp_path / "results", planned.stage, top1)
    return toy


def test_the_front_by_hand():
    cheap, dear, best, middle, beaten = (1, 60), (3, 60), (3, 70), (2, 65), (2.5, 64.9)
    assert on_front(cheap, middle, beaten, dear, best) == [cheap, middle, best]
    assert on_front(cheap, ("its equal", 1, 60)) == [cheap, ("its equal", 1, 60)]
    assert on_front() == []


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_front_rises_and_beats_everything_behind_it(pairs):
    candidates = sorted(pairs)
    best = on_front(*candidates)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(sorted(set(best))))
    for cost, mean in candidates:
        assert any(other[0] <= cost and other[1] >= mean for other in best)
        assert best.count((cost, mean)) in (0, candidates.count((cost, mean)))


def test_the_description_holds_the_numbers():
    candidates = points(("qat W2A2", 250, 60.5), ("kd W2A2", 300, 50), ("fp", 4000, 91))
    assert description(candidates, BYTES) == (
        "Test top-1 against bytes of the packed file. On the Pareto front: qat W2A2: 0.2 kB, "
        "60.50 %; fp: 4.0 kB, 91.00 %. Behind it, 1 more: 0.3 kB, 50.00 %."
    )
    assert description(candidates[:1], OPERATIONS).endswith("qat W2A2: 0.0 million, 60.50 %.")


def figures(page):
    return re.findall(r'aria-label="(Test top-1 against [^"]*)"', page)


def test_the_page_shows_both_figures_and_both_columns(tmp_path, run):
    write_costs(tmp_path / "results", run, parameters=100_000)
    page = built(tmp_path)
    checked(page)
    assert figures(page) == [
        "Test top-1 against bytes of the packed file. On the Pareto front: qkd W2A2: 25.0 kB, "
        "72.50 %; qkd W4A4: 50.0 kB, 74.50 %; fp fp: 400.0 kB, 90.00 %. Behind it, 2 more: 25.0 "
        "to 50.0 kB, 62.50 to 64.50 %.",
        "Test top-1 against bit operations for one image. On the Pareto front: qkd W2A2: 4.0 "
        "million, 72.50 %; qkd W4A4: 16.0 million, 74.50 %; fp fp: 1024.0 million, 90.00 %. Behind "
        "it, 2 more: 4.0 to 16.0 million, 62.50 to 64.50 %.",
    ]
    assert page.count(">packed, kB</th>") == page.count('aria-label="Methods"') == 3
    assert '<td class="number">25.0</td><td class="number">4.0</td>' in page
    half = mean_interval([72.0, 73.0]).high - 72.5
    assert f'<b>72.50</b> <span class="quiet">\N{PLUS-MINUS SIGN} {half:.2f}' in page


def test_one_cost_for_all_is_no_figure_but_a_column(tmp_path):
    toy = matrix(methods=(KD, QAT), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qat", 0): 70.0, ("kd", 0): 60.0})
    write_costs(tmp_path / "results", toy)
    page = built(tmp_path)
    checked(page)
    assert figures(page) == []
    assert "Accuracy against size" not in page
    assert ">packed, kB</th>" in page


def test_records_without_costs_read_as_before(tmp_path, run):
    page = built(tmp_path)
    checked(page)
    assert "9: 9 done" in page
    assert figures(page) == []
    assert ">packed, kB</th>" not in page


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("packed_bytes", 0, "packed_bytes"),
        ("packed_bytes", 2**63, "packed_bytes"),
        ("parameters", -1, "parameters"),
        ("macs", 1.5, "macs"),
        ("bit_operations", 1024 * MACS + 1, "at 1 to 32 bits"),
        ("bit_operations", MACS - 1, "at 1 to 32 bits"),
        ("float32_bytes", None, "float32_bytes"),
    ],
)
def test_a_cost_that_cannot_be_makes_the_record_unreadable(tmp_path, run, field, value, says):
    results = tmp_path / "results"
    write_costs(results, run)
    cell = next(iter(run.cells()))
    edit_result(results, cell.history, lambda result: result["cost"].update({field: value}))
    outcome = Records(store_of(results)).outcome(cell.history)
    assert outcome.status == Status.UNREADABLE
    assert says in outcome.message
