"""Small multiples: panels of one size on a common vertical axis."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from report.figures.drawing import MUTED, NO_TICKS, Look, rules, shortened, ticks

MOST_KEYS = 8
COLUMNS = 4
WIDTH = 9.5  # inches, as all that follow
PANEL, GAP = 1.2, 0.72
LEFT, RIGHT, TOP, BOTTOM = 0.65, 0.1, 0.45, 0.55


class Panels(sns.FacetGrid):  # type: ignore[misc]  # seaborn has no types
    """seaborn's grid of panels, one for each value of the column ``of`` in the order of the rows,
    with this page's margins and one text for all axes of a kind. To be made within `style`."""

    def __init__(
        self,
        frame: pd.DataFrame,
        of: str,
        below: str,
        beside: str,
        *,
        columns: int = COLUMNS,
        width: float = WIDTH,
        panel: float = PANEL,
        bottom: float = BOTTOM,
    ) -> None:
        names = list(frame[of].unique())
        rows = -(-len(names) // columns)
        height = TOP + bottom + rows * (panel + GAP) - GAP
        super().__init__(
            frame,
            col=of,
            col_order=names,
            col_wrap=columns,
            sharex=False,
            despine=False,
            subplot_kws=NO_TICKS,
        )
        plt.close(self.figure)  # it is nobody's window
        self.figure.set_size_inches(width, height)
        self.figure.subplots_adjust(
            left=LEFT / width,
            right=1 - RIGHT / width,
            wspace=0.12,
            bottom=bottom / height,
            top=1 - TOP / height,
            hspace=GAP / panel,
        )
        self.columns = columns
        self.figure.text(LEFT / width, (bottom - 0.47) / height, below, color=MUTED)
        middle = (bottom + height - TOP) / 2 / height
        self.figure.text(0.02 / width, middle, beside, color=MUTED, rotation=90, va="center")
        for axes, name in zip(self.axes.flat, names, strict=True):
            axes.set_title(shortened(name), y=1, pad=16)

    def tight_layout(self, *_: Any, **__: Any) -> "Panels":
        """Nothing: the margins are known, and to look for them takes half of a figure's time."""
        return self

    def scale(self, low: float, high: float, most: int = 4) -> None:
        """The common vertical axis: numbers at the left, lines across all panels."""
        places = ticks(low, high, most)
        self.axes.flat[0].set_ylim(low, high)  # the others share it
        for place, axes in enumerate(self.axes.flat):
            if place % self.columns:
                axes.yaxis.set_visible(False)
            else:
                axes.set_yticks(places)
            rules(axes, y=places)

    def key(self, lines: dict[str, Look], rows: int = 1) -> None:
        """What each line is, by its name how it looks: below the panels at the right, or in several
        ``rows`` of their own at the left. None of too many."""
        if 1 < len(lines) <= MOST_KEYS:
            margin = LEFT / self.figure.get_figwidth()
            shown = [Line2D([], [], **look) for look in lines.values()]
            # A space, for matplotlib takes a name that begins with a line as none.
            texts = [f" {shortened(name, 40)}" for name in lines]
            self.figure.legend(
                shown,
                texts,
                ncols=-(-len(lines) // rows),
                handlelength=1.8,
                handletextpad=0.3,
                columnspacing=1.5,
                labelcolor=MUTED,
                borderaxespad=0,
                borderpad=0.2,
                **(
                    {"loc": "lower right"}
                    if rows == 1
                    else {"loc": "lower left", "bbox_to_anchor": (margin, 0)}
                ),
            )
