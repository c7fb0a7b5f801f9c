"""The figure of weights before and after: small multiples, one panel a layer."""

from markupsafe import Markup
from matplotlib.axes import Axes

from qkd.records.files import printable
from report.curves import thinned
from report.drawing import MUTED, STUDENT, as_svg, shortened, small_multiples, style
from report.histograms import Histograms, LayerChange, LayerWeights
from report.words import MINUS, fixed

MOST_LAYERS = 4
BOTTOM = f"place in the quantizer's range: {MINUS}1 its lowest level, 1 its highest"


def weight_histograms(found: Histograms, name: str) -> Markup:
    """The share of each layer's weights in each bin of its quantizer's range: dashed before the
    first step, solid after the last. Of many layers some, the first and the last among them."""
    shown = thinned(found.layers, MOST_LAYERS)
    edges = _closed(found.edges)
    with style():
        figure, grid = small_multiples(len(shown), BOTTOM, "weights, %")
        for axes, layer in zip(grid, shown, strict=True):
            _panel(axes, layer, edges)
        return as_svg(figure, name, description(shown))


def description(layers: tuple[LayerChange, ...]) -> str:
    """The layers' shares clipped and learned scalars, before and after."""
    return "Weights of each layer before the first step and after the last: " + "; ".join(
        f"{printable(before.layer)} clipped {_percent(before)} %, then {_percent(after)} %"
        + "".join(
            f", {printable(name)} {value:.3g}, then {after.learned[name]:.3g}"
            for name, value in before.learned.items()
            if name in after.learned
        )
        for before, after in layers
    )


def _panel(axes: Axes, layer: LayerChange, edges: list[float]) -> None:
    before, after = layer
    axes.set_title(shortened(printable(before.layer)), pad=16)
    text = f"clipped {_percent(before)} \N{RIGHTWARDS ARROW} {_percent(after)} %"
    axes.text(0, 1.02, text, transform=axes.transAxes, size=8, color=MUTED, va="bottom")
    axes.grid(axis="y", clip_on=False)
    axes.tick_params(length=0)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xticks([-1, 0, 1])
    for end in (-1, 1):
        axes.axvline(end, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)))
    axes.stairs(_shares(before), edges, color=MUTED, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.stairs(_shares(after), edges, color=STUDENT, linewidth=1.4)


def _closed(edges: tuple[float, ...]) -> list[float]:
    """The edges, and an end for each of the two open bins, as wide as its neighbour."""
    low, high = edges[1] - edges[0], edges[-1] - edges[-2]
    return [edges[0] - low, *edges, edges[-1] + high]


def _shares(weights: LayerWeights) -> list[float]:
    """Percent of the weights in each bin."""
    elements = sum(weights.counts)
    return [100 * count / elements for count in weights.counts]


def _percent(weights: LayerWeights) -> str:
    return fixed(100 * weights.clipped, 1)
