"""The figure of weights before and after: small multiples, one panel a layer."""

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from report.figures.drawing import DASHED, DOTTED, MUTED, STUDENT, Look, as_svg, style
from report.figures.panels import Panels
from report.texts import MINUS, fixed, thinned

MOST_LAYERS = 4
BOTTOM = f"place in the quantizer's range: {MINUS}1 its lowest level, 1 its highest"
LOOKS: dict[str, Look] = {
    "before": {"color": MUTED, "linewidth": 1.2, "linestyle": DASHED},
    "after": {"color": STUDENT, "linewidth": 1.4},
}


def weight_histograms(bins: pd.DataFrame, learned: pd.DataFrame, name: str) -> Markup | None:
    """The share of each layer's weights in each bin of its quantizer's range: dashed before the
    first step, solid after the last. Of many layers some, the first and the last among them.

    ``bins``: layer, moment (``before`` or ``after``), left, right (the first and the last bin are
    open), share (% of the weights), clipped (%, of the layer at that moment); ``learned``: layer,
    scalar, before, after.
    """
    chosen = thinned(list(bins["layer"].unique()), MOST_LAYERS)
    shown = bins[bins["layer"].isin(chosen)]
    if shown.empty:
        return None
    with style():
        grid = Panels(shown, "layer", BOTTOM, "weights, %")
        for axes, layer in zip(grid.axes.flat, grid.col_names, strict=True):
            _panel(axes, shown[shown["layer"] == layer])
        grid.scale(0, 1.05 * shown["share"].max())
        grid.key(LOOKS)
        return as_svg(grid.figure, name, description(shown, learned))


def description(bins: pd.DataFrame, learned: pd.DataFrame) -> str:
    """The layers' shares clipped and learned scalars, before and after."""
    texts = []
    for layer, clipped in _clipped(bins).iterrows():
        own = learned[learned["layer"] == layer]
        scalars = zip(own["scalar"], own["before"], own["after"], strict=True)
        texts.append(
            f"{layer} clipped {fixed(clipped['before'], 1)} %, then {fixed(clipped['after'], 1)} %"
            + "".join(f", {scalar} {old:.3g}, then {new:.3g}" for scalar, old, new in scalars)
        )
    return f"Weights of each layer before the first step and after the last: {'; '.join(texts)}"


def _clipped(bins: pd.DataFrame) -> pd.DataFrame:
    """The percent clipped: a row a layer, a column a moment."""
    one = bins.drop_duplicates(["layer", "moment"])
    return one.pivot(index="layer", columns="moment", values="clipped").loc[bins["layer"].unique()]


def _panel(axes: Axes, bins: pd.DataFrame) -> None:
    before, after = _clipped(bins).iloc[0][["before", "after"]]
    text = f"clipped {fixed(before, 1)} \N{RIGHTWARDS ARROW} {fixed(after, 1)} %"
    axes.text(0, 1.02, text, transform=axes.transAxes, size=8, color=MUTED, va="bottom")
    for moment, look in LOOKS.items():
        own = bins[bins["moment"] == moment]
        edges = _closed(list(own["right"].iloc[:-1]))
        axes.stairs(own["share"], edges, clip_on=False, **look)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xticks([-1, 0, 1])
    above = axes.get_xaxis_transform()
    axes.plot(
        [-1, -1, float("nan"), 1, 1],
        [0, 1, float("nan"), 0, 1],
        transform=above,
        color=MUTED,
        linewidth=0.7,
        linestyle=DOTTED,
        clip_on=False,
    )


def _closed(edges: list[float]) -> list[float]:
    """The inner edges, and an end for each of the two open bins, as wide as its neighbour."""
    low, high = edges[1] - edges[0], edges[-1] - edges[-2]
    return [edges[0] - low, *edges, edges[-1] + high]
