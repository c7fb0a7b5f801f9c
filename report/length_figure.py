"""The figure of contrasts by the length of training: small multiples, one panel a contrast."""

from markupsafe import Markup
from matplotlib.axes import Axes

from report.contrasts import EFFECT
from report.drawing import BAND, MUTED, PAPER, STUDENT, as_svg, shortened, small_multiples, style
from report.figures import apart
from report.lengths import Lengths, Several, difference

BESIDE = "points of test top-1"


def by_length(found: Several, name: str) -> Markup:
    """Each contrast's paired differences at each length, in steps on a logarithmic axis."""
    below = f"steps of training, logarithmic (band: {EFFECT} points each way)"
    widest = max(
        abs(value)
        for one in found.contrasts
        for at in one.found
        for value in at.compared.differences.values()
    )
    with style():
        figure, grid = small_multiples(len(found.contrasts), below, BESIDE)
        for axes, contrast in zip(grid, found.contrasts, strict=True):
            _panel(axes, contrast, found.steps)
        grid[0].set_ylim(-1.6 * max(widest, EFFECT), 1.6 * max(widest, EFFECT))
        return as_svg(figure, name, description(found))


def description(found: Several) -> str:
    """Each contrast's mean difference with its interval, by length."""
    return "Paired differences by length of training, points, mean and 95 % interval: " + "; ".join(
        f"{one.contrast.label} "
        + ", ".join(f"{difference(at.paired)} after {at.steps:,} steps" for at in one.found)
        for one in found.contrasts
    )


def _panel(axes: Axes, contrast: Lengths, steps: tuple[int, ...]) -> None:
    axes.set_title(shortened(contrast.contrast.label))
    axes.axhspan(-EFFECT, EFFECT, color=BAND, linewidth=0)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.tick_params(length=0)
    axes.set_xscale("log")
    axes.set_xlim(steps[0] / 2, steps[-1] * 2)
    ticks = [round(tick) for tick in apart(steps)]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    face = STUDENT if contrast.contrast.fixed else PAPER
    for at in contrast.found:
        dots = list(at.compared.differences.values())
        axes.scatter([at.steps] * len(dots), dots, 16, MUTED, linewidth=0, zorder=3)
        mean, low, high = at.paired[:3]
        if at.paired.p is not None and low is not None and high is not None:
            axes.plot([at.steps] * 2, [low, high], color=STUDENT, linewidth=1.6, zorder=3)
        axes.plot(
            [at.steps], [mean], "D", color=STUDENT, markerfacecolor=face, markersize=6, zorder=4
        )
