"""What the report collects of a run that a test wrote."""

from report.build import collect
from report.frames.cells import CellRow
from report.frames.tidy import rows
from report.reading.records import Status


def only_section(folder):
    """The one section of the results in ``folder``."""
    (section,) = collect(folder / "results", folder / "no-reference").sections
    return section


def cell_row(section, method, seed=0):
    """A cell of the section as a row."""
    found = rows(section.cells, CellRow)
    return next(row for row in found if (row.method, row.seed) == (method, seed))


def states(section):
    """The status of each cell by method and seed."""
    return {(row.method, row.seed): Status(row.status) for row in rows(section.cells, CellRow)}
