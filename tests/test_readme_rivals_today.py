"""The table of the rivals of today, computed from the committed records without the report."""

from baselines.today import TITLES
from tests.test_readme import RESULTS, difference, judged, mean, table, told_spread, top1

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


def test_what_is_said_of_the_spread_and_of_the_rest_follows_too():
    text = " ".join(RESULTS.split())
    assert f"The rivals of today share a spread of {told_spread(FOUND)}" in text
    for name in ("qat-dampened", "qat-frozen"):
        assert f"{name} - qat: {difference(FOUND, f'{name} - qat')}" in text
    contrasts = [f"qkd-{name} - qat-{name}" for name in TITLES]
    contrasts += [f"qkd - {name}" for name in list(TRAININGS.values())[:7]]
    powers = [judged(FOUND, one).power for one in contrasts]
    assert f"half a point with a chance of {min(powers):.2f} to {max(powers):.2f}" in text
