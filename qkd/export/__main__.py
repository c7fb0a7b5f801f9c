"""``python -m qkd.export STAGE``: exports the networks of one done stage."""

import argparse
import sys
from pathlib import Path

from qkd.export.table import tell
from qkd.export.writing import export
from qkd.imports import load_file
from qkd.records.files import print_plainly_where_needed, printable


def main() -> int:
    """Exports one stage; returns an exit code."""
    print_plainly_where_needed()
    parser = argparse.ArgumentParser(description="Exports the networks of one done stage.")
    parser.add_argument("stage", help="a stage's digest, or its record's name or folder")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--matrix-file", type=Path, help="a user's matrix that the stage names")
    arguments = parser.parse_args()
    try:
        if arguments.matrix_file is not None:
            load_file(arguments.matrix_file)
        return tell(
            *export(arguments.results, arguments.stage, arguments.data, arguments.matrix_file)
        )
    except (OSError, ValueError) as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
