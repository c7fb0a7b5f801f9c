import pytest

from benchmarks.contrasts import PHASES, Contrast, explored
from report.analysis.contrasts import compare_all
from report.analysis.statistics import Interval, power_paired
from report.analysis.verdicts import equivalence
from report.frames.curves import MOST_POINTS, Border, borders, curves
from report.frames.tidy import rows
from report.page.sentences import note, sentence
from report.page.tables import contrast_table
from report.texts import thinned
from tests.report.collected import only_section
from tests.support.report_records import KD, QAT, QKD, SS_CS, matrix, write_run

FIXED = tuple(contrast for contrast in PHASES if contrast.fixed)
EXPLORATORY = tuple(contrast for contrast in PHASES if not contrast.fixed)


def cells_of(tmp_path, top1s):
    seeds = tuple(sorted({seed for _, seed in top1s}))
    write_run(tmp_path / "results", matrix(methods=(QKD, QAT, KD, SS_CS), seeds=seeds), top1s)
    return only_section(tmp_path).cells


def values(**methods):
    return {(m, seed): v for m, all_of_m in methods.items() for seed, v in enumerate(all_of_m)}


def test_fixed_contrasts_are_paired_by_seed_and_corrected_over_all_six(tmp_path):
    top1s = values(qkd=[71.0, 72.0, 73.0], qat=[70.0, 70.0, 70.0], kd=[70.0, 71.5, 72.0])
    del top1s["kd", 2]
    cells = cells_of(tmp_path, top1s)
    assert len(FIXED) == 6
    compared = {one.contrast.label[6:]: one for one in compare_all(PHASES, cells, "paper")[:2]}
    against_qat, against_kd = compared["qat"], compared["kd"]
    assert against_qat.differences == {0: 1.0, 1: 2.0, 2: 3.0}
    assert against_qat.paired.p == pytest.approx(0.07418, abs=1e-5)
    assert against_qat.corrected == pytest.approx(6 * 0.07418, abs=1e-4)
    assert against_kd.differences == {0: 1.0, 1: 0.5}
    assert [one.verdict for one in compare_all(FIXED, cells, "paper")[2:4]] == [
        "not run",
        "not run",
    ]


def test_a_clear_difference_is_supported_and_its_opposite_contradicted(tmp_path):
    low, high = [70.0, 70.1, 70.2, 70.1, 70.0], [73.0, 73.2, 73.1, 73.2, 73.0]
    cells = cells_of(tmp_path, values(qkd=high, qat=low, kd=[v + 3.1 for v in low]))
    verdicts = {one.contrast.label: one for one in compare_all(FIXED, cells, "paper")}
    by_name = {(one.contrast.first, one.contrast.second): one for one in verdicts.values()}
    assert by_name["qkd", "qat"].verdict == "supported"
    text = sentence(by_name["qkd", "qat"]).replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith("QKD is higher than plain QAT by 3.02 points [2.92, 3.12] (n = 5, ")
    assert text.endswith("Holm p < 0.001): supported.")
    assert by_name["qkd", "kd"].verdict == "undecided"
    assert by_name["kd", "qat"].paired.p is None


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_only_at_the_papers_scale_is_a_claim_supported_or_contradicted(tmp_path, scale):
    low, high = [70.0, 70.1, 70.2, 70.1, 70.0], [73.0, 73.2, 73.1, 73.2, 73.0]
    cells = cells_of(tmp_path, values(qkd=high, qat=low, kd=high))
    by_name = {one.contrast.label: one for one in compare_all(FIXED, cells, scale)}
    against_qat, claim_2 = by_name[FIXED[0].label], by_name[FIXED[5].label]
    is_paper = scale == "paper"
    assert against_qat.verdict == ("supported" if is_paper else "higher")
    assert claim_2.verdict == ("contradicted" if is_paper else "higher")
    assert sentence(against_qat).endswith(": supported." if is_paper else ": higher here.")
    turned = cells_of(tmp_path / "turned", values(qkd=low, qat=high))
    first = compare_all(FIXED, turned, scale)[0]
    assert first.verdict == ("contradicted" if is_paper else "lower")


def test_the_power_is_given_before_and_after_correction(tmp_path):
    # differences 0.3, -0.1, 0.1, 0.5, -0.3: mean 0.1, spread sqrt(0.1)
    qkd = [70.3, 69.9, 70.1, 70.5, 69.7]
    cells = cells_of(tmp_path, values(qkd=qkd, qat=[70.0] * 5, kd=[70.0] * 5))
    one = compare_all(FIXED, cells, "laptop")[0]
    assert one.power == pytest.approx(power_paired(5, 0.1**0.5, 0.5, 0.05))
    assert one.corrected_power == pytest.approx(power_paired(5, 0.1**0.5, 0.5, 0.05 / 6))
    assert one.corrected_power < one.power
    text = f"was {one.power:.2f}, at least {one.corrected_power:.2f} after correction."
    assert sentence(one).endswith(f"undecided; the power to see 0.5 points {text}")
    (shown,) = contrast_table([one], "toy").rows
    assert shown.cells[-2].text == f"{one.corrected_power:.2f}"
    (alone,) = compare_all((explored("qkd", "qat", "?"),), cells, "laptop")
    assert alone.power == one.power
    assert alone.corrected_power is None


def test_a_lower_mean_is_stated_with_the_interval_of_what_is_stated(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[70.0, 70.5], qat=[71.0, 71.0]))
    text = sentence(compare_all(FIXED, cells, "paper")[0]).replace("\N{NO-BREAK SPACE}", " ")
    # differences -1, -0.5; t(0.975, 1) = 12.706, half width 3.18
    assert "QKD is lower than plain QAT by 0.75 points [\N{MINUS SIGN}2.43, 3.93]" in text
    assert "undecided; the power to see 0.5 points was 0." in text


def test_identical_differences_are_undecided_without_a_warning(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[70.0, 71.0], qat=[70.0, 71.0], kd=[69.0, 70.0]))
    first, second = compare_all(FIXED, cells, "paper")[:2]
    assert sentence(first).startswith("QKD equals plain QAT in each of 2 runs")
    assert sentence(second).startswith("QKD is higher than plain KD by 1.00 points in each of 2")
    assert first.verdict == second.verdict == "undecided"


def test_exploratory_contrasts_are_not_corrected(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[71.0, 72.0, 73.0], qat=[70.0, 70.0, 70.0]))
    assert all(one.paired is None for one in compare_all(EXPLORATORY, cells, "paper"))
    both = Contrast(first="qkd", second="qat"), explored("qkd", "qat", "the same, explored")
    kept, found = compare_all((*both, Contrast(first="qkd", second="kd")), cells, "laptop")[:2]
    assert kept.paired.p == found.paired.p == pytest.approx(0.07418, abs=1e-5)
    # A family of two, one of which was not run.
    assert kept.corrected == pytest.approx(2 * 0.07418, abs=1e-4)
    assert kept.corrected_power == pytest.approx(power_paired(3, 1.0, 0.5, 0.05 / 2))
    assert found.corrected == found.paired.p


def test_the_note_counts_the_fixed_contrasts_and_names_the_sign_that_is_predicted(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[71.0], qat=[70.0]))
    text = note(compare_all(PHASES, cells, "paper"))
    assert "6 contrasts were fixed before any run, and corrected as one family" in text
    assert "For kd \N{MINUS SIGN} qat the paper predicts a negative difference." in text
    text = note(compare_all(FIXED[:1], cells, "paper"))
    assert "1 contrast was fixed before any run" in text
    assert "negative" not in text
    assert "fixed" not in note(compare_all(EXPLORATORY, cells, "paper"))
    assert note([]) == ""


def test_a_method_without_words_of_its_own_is_named_as_it_is(tmp_path):
    cells = cells_of(tmp_path, values(qkd=[71.0], kd=[70.0]))
    contrast = Contrast(first="ss+cs", second="fp")
    assert sentence(compare_all((contrast,), cells, "smoke")[0]) == "SS+CS against fp: not run."
    contrast = Contrast(first="qkd-lsq", second="kd")
    assert sentence(compare_all((contrast,), cells, "smoke")[0]).startswith("qkd-lsq against")


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
