"""``python -m report``: from QKD_RESULTS (results) to QKD_REPORT (report/index.html)."""

import os
import sys
from pathlib import Path

from rich.console import Console

from report.build import build
from report.terminal import print_summary


def main() -> int:
    """Builds the report and prints its path last; 1 where it cannot be written."""
    results = Path(os.environ.get("QKD_RESULTS", "").strip() or "results")
    output = Path(os.environ.get("QKD_REPORT", "").strip() or "report/index.html")
    try:
        report = build(results, output)
    except OSError as error:
        print(f"The report cannot be written to {output}: {error}", file=sys.stderr)
        return 1
    print_summary(report.contents, Console())
    for problem in report.problems:
        print(problem)
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
