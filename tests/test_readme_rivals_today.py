"""The table of the rivals of today, computed from the committed records without the report."""

from scipy import stats

from baselines.today import TITLES
from benchmarks.analysis import was_seen
from tests.support.by_rule import difference, judged, mean, told_spread
from tests.support.readmes import RESULTS, flat, table, top1

FOUND = top1("laptop", "rivals-today")
TRAININGS = {
    "Apprentice (plain KD)": "apprentice",
    "plain KD from its own float self": "kd-self",
    "QKD with its own float self": "qkd-self",
    "DKD": "dkd",
    "DIST": "dist",
    "QFD": "qfd",
    "QFD from its own float self": "qfd-self",
    "plain QAT": "qat",
    "plain QAT, oscillations dampened": "qat-dampened",
    "plain QAT, oscillating weights frozen": "qat-frozen",
}


def test_the_quantizers_of_today_are_those_of_the_committed_records():
    shown = table(RESULTS, "quantizer of today")
    assert sorted(shown.index) == sorted(TITLES.values())
    for name, title in TITLES.items():
        qat, qkd = f"qat-{name}", f"qkd-{name}"
        expected = [mean(FOUND[qat]), mean(FOUND[qkd]), difference(FOUND, f"{qkd} - {qat}")]
        assert list(shown.loc[title]) == expected, title


def test_the_trainings_of_today_are_those_of_the_committed_records():
    shown = table(RESULTS, "training of today")
    assert sorted(shown.index) == sorted(TRAININGS)
    for title, name in TRAININGS.items():
        expected = [mean(FOUND[name]), difference(FOUND, f"qkd - {name}")]
        assert list(shown.loc[title]) == expected, title


CONTRASTS = [
    *(f"qkd-{name} - qat-{name}" for name in TITLES),
    *(f"qkd - {name}" for name in list(TRAININGS.values())[:7]),
]


def test_what_is_said_of_spread_power_and_of_oscillations_follows_too():
    text = flat(RESULTS)
    assert f"share a spread of {told_spread(FOUND)}" in text
    for name in ("qat-dampened", "qat-frozen"):
        assert difference(FOUND, f"{name} - qat") in text
    powers = [judged(FOUND, one).power for one in CONTRASTS]
    assert f"half a point with a chance of {min(powers):.2f} to {max(powers):.2f}" in text


def test_what_is_told_in_place_of_verdicts_is_holms_over_the_fixed_contrasts():
    told = [judged(FOUND, one) for one in CONTRASTS]
    ps = [2 * float(stats.t.sf(abs(one.mean) / one.error, one.freedom)) for one in told]
    order = sorted(range(len(ps)), key=ps.__getitem__)
    corrected, highest = dict.fromkeys(CONTRASTS, 0.0), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[CONTRASTS[place]] = highest
    assert [name for name, p in corrected.items() if p < 0.05] == ["qkd - dist"]
    halves = [one.error * float(stats.t.ppf(0.95, one.freedom)) for one in told]
    within = [abs(one.mean) + half < 0.5 for one, half in zip(told, halves, strict=True)]
    equivalent = [name for name, small in zip(CONTRASTS, within, strict=True) if small]
    assert equivalent == ["qkd - qfd-self"]
    text = flat(RESULTS)
    assert was_seen("rivals-today", "laptop", (0, 1, 2))  # so that it has no verdicts
    assert "QKD less DIST alone falls below 0.05" in text
    assert "QKD less QFD from its own float self alone has its 90 % interval within half" in text
