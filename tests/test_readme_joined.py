"""What the settings of the fixed analysis say together, computed from the committed records
without the report."""

from tests.support.by_rule import joined, judged, told_agreement
from tests.support.fixed_settings import SETTINGS
from tests.support.readmes import RESULTS, flat, table


def test_the_mean_over_settings_weighs_by_precision_and_says_whether_they_agree():
    shown = table(RESULTS, "contrast over the three")
    assert list(shown.index) == ["qkd - kd", "qkd - qat", "kd - qat"]
    for name in shown.index:
        one, p = joined([judged(at.found, name) for at in SETTINGS])
        assert list(shown.loc[name]) == [one.text, told_agreement(p)], name
        assert (p < 0.05) == (name != "qkd - qat")
    assert "Of qkd - kd and of kd - qat the three do not agree" in flat(RESULTS)
