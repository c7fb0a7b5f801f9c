"""The done cells of a matrix, exported one after the other."""

import sys
from pathlib import Path

from qkd.export.table import tell
from qkd.export.writing import export
from qkd.records.files import printable
from qkd.records.record import State
from slurm.planning.matrices import is_file
from slurm.planning.work import Work


def export_cells(work: Work) -> int:
    """Exports the stage that each chosen cell ends in, and says which is at work.

    One that is not done, or cannot be exported, is told in a line and leaves the others. Returns
    1 where a form of any is not there although it should be, or a stage could not be exported.
    """
    settings = work.settings
    matrix_file = Path(settings.matrix) if is_file(settings.matrix) else None
    stages = list(dict.fromkeys(digest for _, digest in work.plan.cell_stages))
    records = [work.record(digest) for digest in stages]
    done = [record for record in records if record.state() == State.DONE]
    code = 0
    for number, record in enumerate(done, 1):
        print(printable(f"[{number} of {len(done)}] {record.path.name}"), flush=True)
        try:
            found = export(settings.results, record.digest, settings.data, matrix_file)
        except (OSError, ValueError) as error:
            print(printable(f"error: {error}"), file=sys.stderr)
            code = 1
        else:
            code = max(code, tell(*found))
    if len(done) < len(records):
        print(f"{len(records) - len(done)} of {len(records)} stages are not done: make run")
    return code if done else 1
