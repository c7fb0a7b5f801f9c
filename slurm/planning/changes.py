"""A user's code that is not what the stages of a matrix were trained with (torch-free)."""

from pathlib import Path

from benchmarks.plan import plan
from benchmarks.settings import SettingsError
from qkd.records.code import Change, CodeChanged, accept, changes, code_of, in_words
from qkd.records.record import Record
from slurm.planning.matrices import is_file, with_earlier
from slurm.planning.work import Work


def changed(work: Work) -> list[Change]:
    """Where the files of the user's are not as the matrix's stages used them, earlier launches'
    seeds included: the report shows all of them as one. Raises BadRecord."""
    return changes(_records(work), Path(work.settings.matrix))


def unsettled(work: Work) -> list[Change]:
    """The same, after what ACCEPT= says does not matter is kept beside the records as such.

    Raises SettingsError where ACCEPT= names no code of these stages.
    """
    found, words = changed(work), work.settings.accept
    known = {change.now for change in found}
    if words:
        codes = filter(None, map(code_of, _records(work)))
        known |= {file for code in codes for one in code.files for file in one.accepted}
    for word in words:
        if not any(digest.startswith(word) for digest in known):
            raise SettingsError(f"ACCEPT={word} is no code that these stages ask about")
    settled = [change for change in found if change.now.startswith(words)] if words else []
    accept(settled)
    return [change for change in found if change not in settled]


def require_settled(work: Work) -> None:
    """Raises CodeChanged where anything is unsettled: nothing is to be trained over, nor beside."""
    left = unsettled(work)
    if left:
        raise CodeChanged(f"{in_words(left)}\nNothing was trained")


def _records(work: Work) -> list[Record]:
    """Those of the matrix that are there; none of a matrix of ours, which names our code alone."""
    if not is_file(work.settings.matrix):
        return []
    planned = plan(with_earlier(work.matrix, work.settings.results).cells()).stages.values()
    found = (work.store.found(one.stage.history) for one in planned)
    return [record for record in found if record is not None]
