"""The table of repeatability, computed from the committed runs without the command that made it."""

import json

import pandas as pd

from tests.support.launching import ROOT
from tests.support.readmes import README, RESULTS, table


def test_the_table_of_repeatability_follows_from_the_committed_runs_and_their_pairs():
    (file,) = (ROOT / "results" / "repeatability").glob("*.json")
    found = json.loads(file.read_bytes())
    runs, pairs = pd.DataFrame(found["runs"]), pd.DataFrame(found["pairs"])
    ours, theirs = (runs.loc[pairs[side]].reset_index() for side in ("first", "second"))
    same_set = ours.instructions == theirs.instructions
    assert (ours.bits == theirs.bits).all()
    assert (same_set != (ours.seed == theirs.seed)).all()  # one of the two differs, and one alone
    pairs = pairs.assign(
        bits=ours.bits,
        between=same_set.map({True: "seeds", False: "instruction sets"}),
        squared=(ours.top1 - theirs.top1) ** 2,
    )
    shown = table(RESULTS, "bits, between")
    assert len(shown) == 8
    for (bits, between), own in pairs.groupby(["bits", "between"]):
        title = f"{'full precision' if bits == 'FP' else bits}, {between}"
        answers = f"{100 * own.differing.mean():.2f}"
        rms = f"{own.squared.mean() ** 0.5:.2f}"
        weights = f"{100 * own.distance.mean():.2f}"
        assert list(shown.loc[title]) == [str(len(own)), answers, rms, weights], title
        if bits == "W2A2":
            assert f"{100 * own.differing.mean():.1f} %" in README
