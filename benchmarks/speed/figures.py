"""What `make speed` measures of a machine, as values (torch-free)."""

from typing import Literal

from msgspec.structs import replace

from qkd.spec.value import NotNegative, Value

FOLDER = "speed"


class Figure(Value, kw_only=True):
    """One measured ratio. Of work timed in turn, the median over the rounds, with the middle half
    of them as ``low`` and ``high``; both are None where there was one measurement.

    ``goal`` is what the ratio should not exceed (``better`` lower) or fall short of (higher); None
    where the figure is for comparison only.
    """

    group: str
    name: str
    ratio: NotNegative
    low: NotNegative | None = None
    high: NotNegative | None = None
    goal: NotNegative | None = None
    better: Literal["lower", "higher"] = "lower"
    met: bool | None = None
    note: str = ""


class Point(Value, kw_only=True):
    """The cost of one setting of an axis, relative to the axis' base."""

    axis: str
    value: str
    ratio: NotNegative


class Machine(Value, kw_only=True):
    """What was measured on; vendor, family, model and stepping are the processor's own."""

    name: str
    processor: str
    vendor: str = ""
    family: int | None = None
    model: int | None = None
    stepping: int | None = None
    device: str
    cores: int
    threads: int
    torch: str
    commit: str = ""
    dirty: bool | None = None
    date: str


class MachineSpeed(Value, kw_only=True):
    """All that one run of `make speed` found.

    ``workers`` is how many processes side by side gave a device (a CPU: the machine) the highest
    throughput; ``skipped`` says what was not measured, and why.
    """

    machine: Machine
    figures: tuple[Figure, ...]
    growth: tuple[Point, ...] = ()
    workers: int = 0
    skipped: dict[str, str] = {}  # noqa: RUF012 (a Struct copies it)


def judged(figure: Figure) -> Figure:
    """The figure with ``met`` following from its ratio and goal."""
    if figure.goal is None:
        return replace(figure, met=None)
    below = figure.ratio <= figure.goal
    return replace(figure, met=below if figure.better == "lower" else figure.ratio >= figure.goal)
