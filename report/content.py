"""What is known of a section before it is put into words: its cells, methods and contrasts."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.matrix import Matrix
from report.cells import Readings
from report.comparison import Against
from report.contrasts import Compared, compare_all
from report.setting import Setting
from report.summary import Summary


class Group(NamedTuple):
    """The methods of one setting, and the contrasts among them."""

    setting: Setting
    methods: tuple[Summary, ...]
    compared: tuple[Compared, ...]


class Content(NamedTuple):
    """A matrix at a scale: its cells, its methods, and what it is set beside."""

    readings: Readings
    summaries: list[Summary]
    is_reference: bool
    against: Against | None
    groups: tuple[Group, ...]

    @property
    def anchor(self) -> str:
        """The id of its section on the page."""
        return "-".join(self.readings.run.key)


def groups(matrix: Matrix, methods: Sequence[Summary]) -> tuple[Group, ...]:
    """The methods by setting, in their order; fixed contrasts are corrected within a setting."""
    found: dict[Setting, list[Summary]] = {}
    for summary in methods:
        found.setdefault(summary.setting, []).append(summary)
    return tuple(
        Group(setting, tuple(own), _compared(matrix, own)) for setting, own in found.items()
    )


def _compared(matrix: Matrix, methods: Sequence[Summary]) -> tuple[Compared, ...]:
    contrasts = matrix.contrasts_among({summary.name for summary in methods})
    return tuple(compare_all(contrasts, methods, matrix.scale))
