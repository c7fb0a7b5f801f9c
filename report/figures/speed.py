"""The figure of how cost grows: one panel for each thing that grows."""

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from report.figures.drawing import STUDENT, as_svg, rules, shortened, style, ticks
from report.figures.panels import WIDTH

HEIGHT, BESIDE = 2.3, 3


def growth(points: pd.DataFrame, name: str) -> Markup | None:
    """Cost relative to the base, one panel an axis. None without points.

    ``points``: axis, value (as text, in the order of its panel), ratio.
    """
    if points.empty:
        return None
    names = list(points["axis"].unique())
    rows = -(-len(names) // BESIDE)
    texts = []
    with style():
        figure = Figure(figsize=(WIDTH, HEIGHT * rows), layout="constrained")
        grid = figure.subplots(rows, BESIDE, squeeze=False).ravel()
        for axes, axis in zip(grid, names, strict=False):
            own = points[points["axis"] == axis]
            axes.plot(range(len(own)), own["ratio"], "o-", color=STUDENT)
            axes.set_xticks(range(len(own)), [shortened(str(value)) for value in own["value"]])
            axes.set_title(shortened(axis, 40))
            top = 1.1 * float(own["ratio"].max())
            places = ticks(0, top, 5)
            axes.set_ylim(0, top)
            axes.set_yticks(places)
            rules(axes, y=places)
            values = zip(own["value"], own["ratio"], strict=True)
            texts.append(f"{axis}: {', '.join(f'{value} {ratio:.2f}' for value, ratio in values)}")
        for axes in grid[len(names) :]:
            axes.set_axis_off()
        return as_svg(figure, name, f"Cost relative to the base. {'; '.join(texts)}")
