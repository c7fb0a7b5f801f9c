"""Groups of figures measured, told as they come, and kept in a machine's file."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.settings import SettingsError
from benchmarks.speed.figures import FOLDER, Figure, MachineSpeed, Point
from qkd.records.files import write_atomically
from qkd.spec.value import encode

Groups = Mapping[str, Callable[[], Iterable[Figure | Point]]]


def asked(groups: Groups, only: str, skipped: dict[str, str]) -> Groups:
    """The groups whose names hold one of the words that ONLY= has, between commas; all where it has
    none. The others are added to ``skipped``. Raises SettingsError for a word that no name holds.
    """
    words = [word.strip() for word in only.split(",") if word.strip()]
    for word in words:
        if not any(word in name for name in groups):
            raise SettingsError(f"ONLY={only}: no group of make speed is named {word!r}")
    if not words:
        return groups
    chosen = {name: one for name, one in groups.items() if any(word in name for word in words)}
    skipped.update({name: f"not asked for (ONLY={only})" for name in groups if name not in chosen})
    return chosen


def told(
    what: str, measure: Callable[[], Iterable[Figure | Point]], skipped: dict[str, str]
) -> list[Figure | Point]:
    """Measures a group, and prints each figure as it comes. A group that fails (no compiler, no
    memory) is skipped with its reason; its earlier figures stay."""
    print(what, flush=True)
    found: list[Figure | Point] = []
    try:
        for one in measure():
            name = one.name if isinstance(one, Figure) else f"{one.axis} {one.value}"
            print(f"  {name}: {one.ratio:.2f}", flush=True)
            found.append(one)
    except Exception as error:  # a library's, a compiler's, a machine's: any
        skipped[what] = f"{type(error).__name__}: {error}"[:300]
        print(f"  skipped: {skipped[what]}", flush=True)
    if not found and what not in skipped:
        skipped[what] = "there are no records of it: make ablation"
    return found


def show(speed: MachineSpeed) -> None:
    """Prints the table, and what was not measured."""
    table = Table(title=f"Speed of {speed.machine.processor}, {speed.machine.threads} thread")
    for column in ("measured", "ratio", "middle half", "goal", ""):
        table.add_column(column, justify="left" if column == "measured" else "right")
    for figure in speed.figures:
        sign = "<=" if figure.better == "lower" else ">="
        table.add_row(
            f"{figure.group}: {figure.name}",
            f"{figure.ratio:.2f}",
            "" if figure.low is None else f"{figure.low:.2f} to {figure.high:.2f}",
            "" if figure.goal is None else f"{sign} {figure.goal:.2f}",
            {True: "met", False: "missed", None: ""}[figure.met],
        )
    Console().print(table)
    for what, why in speed.skipped.items():
        print(f"not measured: {what}: {why}")


def keep(speed: MachineSpeed, results: Path) -> None:
    """Writes the machine's file and prints its table."""
    path = results / FOLDER / f"{speed.machine.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, encode(speed))
    show(speed)
    print(f"written to {path}; make report shows it")
