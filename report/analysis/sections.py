"""What is known of a matrix at a scale: its cells, its methods, and its contrasts by setting."""

from typing import NamedTuple

import pandas as pd

from benchmarks.analysis import was_seen
from benchmarks.matrix import ScaleName
from report.analysis.contrasts import Compared, compare_all
from report.analysis.layout import Layout
from report.analysis.methods import MethodRow, methods
from report.analysis.reference import Against, against
from report.frames.cells import cells
from report.frames.tidy import rows
from report.reading.paper import About, ClaimedNumber
from report.reading.readings import Readings


class Group(NamedTuple):
    """The cells and the methods of one setting, the contrasts among them, and by what spread these
    are judged. ``was_seen``: some of its runs were seen before the analysis was fixed."""

    setting: str
    place: int
    cells: pd.DataFrame
    methods: pd.DataFrame
    compared: tuple[Compared, ...]
    layouts: tuple[Layout, ...] = ()
    was_seen: bool = False


class Section(NamedTuple):
    """A matrix at a scale; ``against`` is what it is set beside, ``committed`` says in lines
    whether its bits are the committed run's."""

    readings: Readings
    cells: pd.DataFrame
    methods: pd.DataFrame
    is_reference: bool
    against: Against | None
    committed: tuple[str, ...]
    groups: tuple[Group, ...]

    @property
    def anchor(self) -> str:
        """The id of its section on the page."""
        return "-".join(self.readings.run.key)

    @property
    def scale(self) -> ScaleName:
        """The scale of its matrix."""
        return self.readings.run.matrix.scale


def section(
    readings: Readings,
    paper: dict[About, ClaimedNumber],
    reference: Readings | None = None,
    *,
    is_reference: bool = False,
    committed: tuple[str, ...] = (),
) -> Section:
    """Of a run, set beside the committed reference where there is one. Raises what is in BAD_FILE
    where the records cannot be put together."""
    frame = cells(readings)
    own = methods(frame, paper)
    return Section(
        readings,
        frame,
        own,
        is_reference,
        _against(own, reference, paper) if reference else None,
        committed,
        tuple(_groups(readings, frame, own)),
    )


def _against(own: pd.DataFrame, reference: Readings, paper: dict[About, ClaimedNumber]) -> Against:
    theirs = methods(cells(reference), paper)
    return against(rows(own, MethodRow), rows(theirs, MethodRow))


def _groups(readings: Readings, cells: pd.DataFrame, methods: pd.DataFrame) -> list[Group]:
    """The settings in their order; fixed contrasts are corrected within a setting."""
    matrix = readings.run.matrix
    days = [launch.date for launch in readings.run.launches]
    found = []
    own = dict(list(cells.groupby("setting", sort=False)))
    for setting, group in methods.groupby("setting", sort=False):
        of_setting = own[setting]
        trained = of_setting[of_setting["top1"].notna() & (of_setting["steps"] > 0)]
        seen = was_seen(matrix.name, matrix.scale, trained["seed"].tolist(), days)
        contrasts = matrix.contrasts_among(set(group["method"]))
        compared, layouts = compare_all(contrasts, of_setting, matrix.scale, was_seen=seen)
        place = int(group["place"].iloc[0])
        found.append(Group(str(setting), place, of_setting, group, compared, layouts, seen))
    return found
