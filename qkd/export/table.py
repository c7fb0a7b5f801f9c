"""The table of an export on a terminal."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qkd.export.told import Told
from qkd.records.files import printable

NUMBERS = ("agrees, %", "images", "largest", "integer")
COLUMNS = ("form", "consumer", *NUMBERS, "verdict")


def tell(told: Told, folder: Path) -> int:
    """Prints what was exported, and how it was tried; returns 1 where a form is not there although
    it should be, or no graph is there at all."""
    console = Console()
    for form in told.forms:
        line = f"{folder / form.file}: {form.bytes:,} bytes" if form.file else ""
        print(printable(line or f"no {form.name}: {form.refused}"))
    if told.trials:
        console.print(_table(told))
        print(f"on {told.images:,} test images the network itself has top-1 {told.top1:.2f} %")
        for consumer, note in _notes(told).items():
            print(printable(f"{consumer}: {note}"))
    for name in told.unverified:
        print(f"{name} is not verified: no consumer of it is installed (make consumers)")
    for failure in told.failures:
        print(printable(f"not written: {failure}"), file=sys.stderr)
    graphs = [form for form in told.forms if form.file.endswith(".onnx")]
    return 1 if told.failures or not graphs else 0


def _notes(told: Told) -> dict[str, str]:
    """What is to be set, or known, of each consumer, with its version."""
    return {
        f"{trial.consumer} {trial.version}".strip(): trial.note
        for trial in told.trials
        if trial.note and not trial.is_failure
    }


def _table(told: Told) -> Table:
    table = Table()
    for title in COLUMNS:
        table.add_column(title, justify="right" if title in NUMBERS else "left")
    for trial in told.trials:
        cells = (
            trial.form,
            trial.consumer,
            "" if trial.agreement is None else f"{100 * trial.agreement:.2f}",
            f"{trial.images:,}" if trial.images else "",
            "" if trial.largest is None else f"{trial.largest:.1e}",
            f"{trial.integer_layers} of {trial.layers}" if trial.layers else "",
            trial.verdict,
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table
