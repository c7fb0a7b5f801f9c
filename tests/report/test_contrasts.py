import pytest
from scipy import stats

from benchmarks.contrasts import PHASES, Contrast, explored
from report.analysis.contrasts import compare_all, judged
from report.analysis.estimates import Estimate, power
from report.analysis.statistics import Interval
from report.analysis.verdicts import equivalence
from report.frames.curves import MOST_POINTS, Border, borders, curves
from report.frames.tidy import rows
from report.page import words
from report.page.sentences import note, sentence
from report.page.tables import contrast_table
from report.texts import thinned
from tests.report.collected import only_section
from tests.support.report_records import FP_TUNED, KD, QAT, QKD, SS_CS, matrix, write_run

FIXED = tuple(contrast for contrast in PHASES if contrast.fixed)
EXPLORATORY = tuple(contrast for contrast in PHASES if not contrast.fixed)
LOW, HIGH = [70.0, 70.1, 70.2, 70.1, 70.0], [73.0, 73.2, 73.1, 73.2, 73.0]


def cells_of(tmp_path, top1s):
    seeds = tuple(sorted({seed for _, seed in top1s}))
    write_run(tmp_path / "results", matrix(methods=(QKD, QAT, KD, SS_CS), seeds=seeds), top1s)
    return only_section(tmp_path).cells


def values(**methods):
    return {(m, seed): v for m, all_of_m in methods.items() for seed, v in enumerate(all_of_m)}


def compared(cells, scale="laptop", contrasts=FIXED, **options):
    """The contrasts by their two methods."""
    found = compare_all(contrasts, cells, scale, **options).compared
    return {(one.contrast.first, one.contrast.second): one for one in found}


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def test_two_families_are_fixed():
    families = {}
    for one in FIXED:
        families.setdefault(one.family, []).append((one.first, one.second))
    assert families == {
        "headline": [("qkd", "qat"), ("qkd", "kd"), ("qkd", "qat-cost")],
        "phases": [("qkd", "ss+tu"), ("qkd", "cs+tu"), ("qkd", "ss+cs"), ("kd", "qat")],
    }


def test_fixed_contrasts_are_judged_by_the_common_spread_and_corrected_by_families(tmp_path):
    # Squares within 2, 2, 2 and 0.5: 6.5 on 7 degrees of freedom, spread 0.963624
    top1s = values(qkd=[71.0, 72.0, 73.0], qat=[69.0, 70.0, 71.0], kd=[70.0, 71.0, 72.0])
    found = compared(cells_of(tmp_path, top1s | values(**{"ss+cs": [70.0, 71.0]})))
    one, other = found["qkd", "qat"], found["qkd", "kd"]
    error = 6.5**0.5 / 7**0.5 * (2 / 3) ** 0.5
    assert one.estimate == pytest.approx((2.0, error, 7))
    ps = [2 * stats.t.sf(mean / error, 7) for mean in (2.0, 1.0)]
    assert (one.estimate.p, other.estimate.p) == pytest.approx(ps)
    # Of the three headline contrasts one was not run: Holm takes the least p three times.
    assert (one.corrected, other.corrected) == pytest.approx((3 * ps[0], 2 * ps[1]))
    # Of the four of the phases kd - qat (p as of qkd - kd) and qkd - ss+cs were run.
    last = found["qkd", "ss+cs"]
    assert last.n == (3, 2)
    assert last.differences == {0: 1.0, 1: 1.0}
    assert last.estimate.mean == pytest.approx(1.5)
    p = 2 * stats.t.sf(1.5 / (6.5 / 7 * (1 / 3 + 1 / 2)) ** 0.5, 7)
    assert last.corrected == pytest.approx(min(1.0, 4 * p))
    assert found["kd", "qat"].corrected == pytest.approx(min(1.0, max(4 * p, 3 * ps[1])))
    assert [found["qkd", name].verdict for name in ("ss+tu", "cs+tu")] == ["not run"] * 2


def test_the_headline_is_three_contrasts_also_where_a_matrix_lacks_one(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[71.0, 72.0, 73.0], qat=[69.0, 70.0, 71.0]))
    of_trio = [one for one in FIXED if {one.first, one.second} <= {"qkd", "qat", "kd"}]
    one = compared(cells, contrasts=of_trio)["qkd", "qat"]
    assert one.corrected == pytest.approx(3 * one.estimate.p)
    error, freedom = one.estimate.error, one.estimate.freedom
    assert one.corrected_power == pytest.approx(power(error, freedom, 0.5, 0.05 / 3))


def test_where_the_spread_differs_each_contrast_has_welchs_test(tmp_path):
    top1s = {"qkd": [71.0, 72.0, 73.0], "qat": [70.0, 70.01, 70.02], "kd": [60.0, 70.0, 80.0]}
    found = compared(cells_of(tmp_path, values(**top1s)))
    theirs = stats.ttest_ind(top1s["qkd"], top1s["qat"], equal_var=False)
    one = found["qkd", "qat"].estimate
    assert (one.p, one.freedom) == pytest.approx((theirs.pvalue, theirs.df))


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_only_at_the_papers_scale_is_a_claim_supported_or_contradicted(tmp_path, scale):
    cells = cells_of(tmp_path, values(qkd=HIGH, qat=LOW, kd=HIGH))
    by_name = compared(cells, scale)
    against_qat, claim_2 = by_name["qkd", "qat"], by_name["kd", "qat"]
    is_paper = scale == "paper"
    assert against_qat.verdict == ("supported" if is_paper else "higher")
    assert claim_2.verdict == ("contradicted" if is_paper else "higher")
    text = plain(sentence(against_qat))
    # Squares within 0.028, 0.04 and 0.04 on 12 degrees: error 0.06; t(0.975, 12) = 2.178813
    assert text.startswith("QKD is higher than plain QAT by 3.02 points [2.89, 3.15] (n = 5, ")
    assert text.endswith("p < 0.001): supported." if is_paper else "p < 0.001): higher here.")
    turned = cells_of(tmp_path / "turned", values(qkd=LOW, qat=HIGH))
    word = "contradicted" if is_paper else "lower"
    assert compared(turned, scale)["qkd", "qat"].verdict == word


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_what_lies_within_half_a_point_is_equivalent(tmp_path, scale):
    cells = cells_of(tmp_path, values(qkd=LOW, qat=[value + 0.02 for value in LOW], kd=HIGH))
    one = compared(cells, scale)["qkd", "qat"]
    assert one.verdict == "equivalent"
    assert sentence(one).endswith("): equivalent.")


def test_the_words_of_an_estimate():
    # t(0.95, 10) = 1.812461: the 90 % interval is 0.181 to each side at error 0.1.
    assert judged(Estimate(0.3, 0.1, 10), 0.04) == "higher"
    assert judged(Estimate(-0.3, 0.1, 10), 0.04) == "lower"
    assert judged(Estimate(0.3, 0.1, 10), 0.06) == "equivalent"
    assert judged(Estimate(-0.32, 0.1, 10), 0.06) == "undecided"
    assert judged(Estimate(0.0, 0.0, 10), None) == "undecided"


def test_what_is_undecided_says_which_way_it_leans_and_what_could_have_been_seen(tmp_path):
    # differences in the mean 0.3 at a spread of sqrt(0.1)
    qkd = [70.5, 69.9, 70.1, 70.5, 69.7]
    qat = [70.2, 69.6, 69.8, 70.2, 69.4]
    one = compared(cells_of(tmp_path, values(qkd=qkd, qat=qat, kd=qat)))["qkd", "qat"]
    assert one.verdict == "undecided"
    error, freedom = one.estimate.error, one.estimate.freedom
    assert (freedom, error) == (12, pytest.approx((0.128 * 2 / 5) ** 0.5))
    assert one.power == pytest.approx(power(error, 12, 0.5, 0.05))
    assert one.corrected_power == pytest.approx(power(error, 12, 0.5, 0.05 / 3))
    assert one.corrected_power < one.power
    assert sentence(one).endswith(
        "undecided; the runs lean to higher, and no correction was passed; the power to see 0.5 "
        f"points was {one.power:.2f}, at least {one.corrected_power:.2f} after correction."
    )
    (shown,) = contrast_table([one], "toy").rows
    assert shown.cells[-2].text == f"{one.corrected_power:.2f}"


def test_a_lower_mean_is_stated_with_the_interval_of_what_is_stated(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[70.0, 70.5], qat=[71.0, 71.5]))
    text = plain(sentence(compared(cells)["qkd", "qat"]))
    # spread and error sqrt(0.125) and sqrt(0.125); t(0.975, 2) = 4.302653, half width 1.52
    assert "QKD is lower than plain QAT by 1.00 points [-0.52, 2.52]" in text
    assert "undecided; the runs lean to lower" in text


def test_runs_that_do_not_vary_are_undecided_without_a_warning(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[70.0, 70.0], qat=[70.0, 70.0], kd=[69.0, 69.0]))
    found = compared(cells)
    first, second = found["qkd", "qat"], found["qkd", "kd"]
    assert sentence(first).startswith("QKD equals plain QAT in each of 2 runs")
    assert sentence(second).startswith("QKD is higher than plain KD by 1.00 points in each of 2")
    assert first.verdict == second.verdict == "undecided"


def test_a_single_run_of_one_side_is_not_judged(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[70.0, 71.0, 72.0], qat=[65.0]))
    one = compared(cells)["qkd", "qat"]
    assert (one.n, one.verdict, one.corrected) == ((3, 1), "single run", None)
    assert sentence(one).endswith("by 6.00 points in a single run: undecided.")


def test_what_was_seen_before_or_was_not_fixed_has_intervals_and_no_verdict(tmp_path):
    cells = cells_of(tmp_path, values(qkd=HIGH, qat=LOW))
    seen = compared(cells, was_seen=True)["qkd", "qat"]
    assert seen.corrected < 0.001
    assert seen.verdict == "exploratory"
    assert sentence(seen).endswith("): exploratory.")
    assert contrast_table([seen], "toy").caption.startswith(words.SEEN)
    (loose,) = compared(cells, contrasts=(explored("qkd", "qat", "?"),)).values()
    assert (loose.verdict, loose.corrected) == ("exploratory", loose.estimate.p)
    assert loose.corrected_power is None
    assert compared(cells)["qkd", "qat"].verdict == "higher"


def test_quantized_methods_and_those_in_full_precision_have_each_their_spread(tmp_path):
    toy = matrix(methods=(QKD, QAT, FP_TUNED), seeds=(0, 1, 2))
    top1s = {"qkd": [70.0, 71.0, 72.0], "qat": [70.0, 71.0, 72.0], "fp-tuned": [90.0, 90.1, 90.2]}
    write_run(tmp_path / "results", toy, values(**top1s))
    layouts = compare_all(FIXED, only_section(tmp_path).cells, "laptop").layouts
    assert [(set(one.groups), round(one.spread, 6)) for one in layouts] == [
        ({"fp-tuned"}, 0.1),
        ({"qkd", "qat"}, 1.0),
    ]


def test_runs_of_another_arithmetic_are_never_pooled(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[70.0, 71.0, 72.0, 99.0], qat=[69.0, 70.0, 71.0, 99.0]))
    odd = (cells["seed"] == 3) & (cells["steps"] > 0)
    cells.loc[odd, "arithmetic"] = "another"
    one = compared(cells)["qkd", "qat"]
    assert (one.n, one.estimate.freedom) == ((3, 3), 4)
    assert one.estimate.mean == pytest.approx(1.0)


def test_the_note_tells_the_spread_and_counts_the_fixed_contrasts(tmp_path):
    # Variances 0.01, 0.01 and 0.01, then one of 100.
    alike = {"qkd": [70.0, 70.1, 70.2], "qat": [69.0, 69.1, 69.2], "kd": [68.0, 68.1, 68.2]}
    group = groups_of(tmp_path / "alike", alike)
    text = plain(note(group))
    assert "Spread over runs of 3 methods: 0.10 points (6 degrees of freedom); Bartlett's" in text
    assert "p = 1.000: contrasts are judged by this spread." in text
    assert "4 contrasts were fixed before any run, and corrected by Holm's method within" in text
    assert "For kd - qat the paper predicts a negative difference." in text
    other = groups_of(tmp_path / "other", alike | {"kd": [60.0, 70.0, 80.0]})
    assert "p < 0.001: it differs by method, and each contrast has Welch's test" in note(other)
    assert note(other._replace(compared=())) == ""


def groups_of(folder, top1s):
    write_run(
        folder / "results",
        matrix(methods=(QKD, QAT, KD, SS_CS), seeds=(0, 1, 2)),
        values(**top1s),
    )
    (group,) = only_section(folder).groups
    return group


def test_a_method_without_words_of_its_own_is_named_as_it_is(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[71.0], kd=[70.0]))
    contrast = Contrast(first="ss+cs", second="fp")
    assert sentence(one_of(contrast, cells)) == "SS+CS against fp: not run."
    contrast = Contrast(first="qkd-lsq", second="kd")
    assert sentence(one_of(contrast, cells)).startswith("qkd-lsq against")


def one_of(contrast, cells):
    ((one,), _) = compare_all((contrast,), cells, "smoke")
    return one


def test_a_curve_runs_along_the_path_of_stages(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[70.0, 72.0], qat=[60.0, 60.0]))
    found = curves(cells)
    points = {
        series: list(zip(own["step"], own["value"], strict=True))
        for series, own in found[found["method"] == "qkd"].groupby("series")
    }
    assert [step for step, _ in points["student"]] == list(range(1, 21))
    assert points["student"][0] == (1, 50.0)
    assert points["student"][-1] == (20, 71.0)
    assert [step for step, _ in points["teacher"]] == list(range(4, 14))
    assert points["loss student_cross_entropy"][1] == (2, 0.5)
    ends = borders(cells)
    assert rows(ends[ends["method"] == "qkd"], Border) == [
        ("qkd", 3, "self-study"),
        ("qkd", 13, "co-study"),
        ("qkd", 20, "tutoring"),
    ]


def test_a_thinned_curve_keeps_its_ends():
    points = thinned([(step, float(step)) for step in range(1000)], most=50)
    assert len(points) == 50
    assert points[0] == (0, 0.0)
    assert points[-1] == (999, 999.0)
    assert thinned([(1, 2.0)], MOST_POINTS) == ((1, 2.0),)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (-0.5, 0.5, "reproduced"),
        (-0.6, 0.0, "inconclusive"),
        (0.51, 0.9, "not reproduced"),
        (-2.0, -0.51, "not reproduced"),
        (-2.0, 2.0, "inconclusive"),
        (None, None, "single run"),
    ],
)
def test_the_verdicts_of_an_interval(low, high, word):
    assert equivalence(Interval(0.0, low, high, 3)) == word
