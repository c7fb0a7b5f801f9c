"""``python -m report``: from QKD_RESULTS (results) to QKD_REPORT (report/index.html)."""

import gc
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.settings import SettingsError, from_environment
from qkd.records.files import print_plainly_where_needed, printable
from qkd.records.output import is_unread, print_no_more
from report.build import Report, build
from report.page.terminal import print_summary
from report.reading.sources import holds_results


def main() -> int:
    """Builds the report and prints its path last; 1 where it cannot be written, 2 where a variable
    is unknown or has a value that it cannot have, or RESULTS= names no results."""
    try:
        settings = from_environment()
    except SettingsError as error:
        return _refused(error, 2)
    output = settings.report
    if not holds_results(settings.results):
        why = "holds no run" if settings.results.is_dir() else "is no folder"
        return _refused(f"RESULTS={settings.results} {why}: nothing was reported", 2)
    matrix_file = Path(settings.matrix) if settings.matrix.endswith(".py") else None
    try:
        report = build(settings.results, output, matrix_file=matrix_file)
    except OSError as error:
        return _refused(f"The report cannot be written to {output}: {error}", 1)
    try:
        _tell(report, output)
    except (BrokenPipeError, SystemExit) as error:
        if not is_unread(error):
            raise
        print_no_more()  # the report is written, and whoever reads this has seen enough
    return 0


def _tell(report: Report, output: Path) -> None:
    print_summary(report.sections, Console())
    for problem in report.problems:
        print(printable(problem))
    print(output, flush=True)


def _refused(why: object, code: int) -> int:
    """One line on stderr, and the exit code."""
    print(printable(" ".join(str(why).splitlines())), file=sys.stderr)
    return code


if __name__ == "__main__":
    print_plainly_where_needed()
    gc.disable()  # all that is read is kept: collecting took a tenth of the time of 10,000 stages
    sys.exit(main())
