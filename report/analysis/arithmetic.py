"""Cells whose numbers may be pooled: those of a setting whose roundings are the same."""

import pandas as pd


def of_one_arithmetic(done: pd.DataFrame) -> pd.DataFrame:
    """Of a setting's cells that are done those whose roundings are those of the most trained ones;
    what was not trained stays."""
    trained = done[done["steps"] > 0]["arithmetic"]
    if trained.empty:
        return done
    most = trained.value_counts(sort=True).index[0]
    kept: pd.DataFrame = done[(done["arithmetic"] == most) | (done["steps"] == 0)]
    return kept


def pooled(cells: pd.DataFrame, setting: list[str], values: list[str]) -> pd.DataFrame:
    """The cells, ``values`` of those that are left out of their setting's means being NaN. The
    columns ``setting`` say which setting a cell is of."""
    done = cells[cells["top1"].notna()]
    kept = [index for _, own in done.groupby(setting) for index in of_one_arithmetic(own).index]
    odd = done.index.difference(kept)
    if odd.empty:
        return cells
    found = cells.copy()
    found.loc[odd, values] = float("nan")
    return found
