"""The summary on a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qkd.records.files import printable
from report.content import Content
from report.table import mean_cell


def print_summary(contents: tuple[Content, ...], console: Console) -> None:
    """A table of the methods' means for each setting of each matrix.

    Names come from the user's files: no markup, no control characters.
    """
    for content in contents:
        matrix = content.readings.run.matrix
        kind = " (the committed reference)" if content.is_reference else ""
        for group in content.groups:
            title = f"{matrix.name} at scale {matrix.scale}{kind}: {group.setting.label}"
            console.print(Text(printable(title)), soft_wrap=True)
            table = Table()
            table.add_column("method")
            table.add_column("test top-1, %", justify="right")
            table.add_column("n", justify="right")
            table.add_column("status")
            for summary in group.methods:
                interval = summary.interval
                n = str(interval.n if interval else 0)
                cells = summary.name, mean_cell(interval).plain, n, summary.status
                table.add_row(*(Text(printable(cell)) for cell in cells))
            console.print(table)
