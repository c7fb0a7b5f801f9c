"""The summary on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qkd.records.files import printable
from report.analysis.methods import MethodRow
from report.analysis.sections import Section
from report.frames.tidy import rows
from report.page.table import mean_cell


def print_summary(sections: Sequence[Section], console: Console) -> None:
    """A table of the methods' means for each setting of the user's own runs, then whether these
    end in the committed runs' bits. The committed runs are named; before any run they are shown.

    Names come from the user's files: no markup, no control characters.
    """
    own = [one for one in sections if not one.is_reference]
    for section in own or sections:
        matrix, scale = section.readings.run.key
        kind = " (the committed reference)" if section.is_reference else ""
        for group in section.groups:
            title = f"{matrix} at scale {scale}{kind}: {group.setting}"
            console.print(Text(printable(title)), soft_wrap=True)
            table = Table()
            table.add_column("method")
            table.add_column("test top-1, %", justify="right")
            table.add_column("n", justify="right")
            table.add_column("status")
            for one in rows(group.methods, MethodRow):
                cells = one.method, mean_cell(one.mean, one.high).plain, str(one.n), one.status
                table.add_row(*(Text(printable(cell)) for cell in cells))
            console.print(table)
    for section in sections:
        matrix, scale = section.readings.run.key
        for line in section.committed:
            console.print(Text(printable(f"{matrix} at scale {scale}: {line}")), soft_wrap=True)
    committed = dict.fromkeys(one.readings.run.key[0] for one in sections if one.is_reference)
    if own and committed:
        names = printable(", ".join(committed))
        console.print(Text(f"also in the report, committed: {names}"), soft_wrap=True)
