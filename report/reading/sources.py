"""Which matrices there are to report: the user's, and the committed references."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import benchmarks
from benchmarks.committed import committed, compare, in_words
from benchmarks.matrix import Matrix
from benchmarks.plan import plan
from benchmarks.precision import asked
from qkd.records.launches import Launch, launches
from qkd.records.record import PRETRAINED, STAGES, Store, store_of
from qkd.spec.value import decode
from report.reading.records import BAD_FILE, Records, reason

REFERENCE = PRETRAINED.parent
MATRICES = "matrices"
SCALES = ("paper", "headline", "laptop", "smoke")

Key = tuple[str, str]


class Run(NamedTuple):
    """A matrix at a scale, and where its records are; ``launches`` are those of its results.

    ``is_ours``: it is one of the project's own matrices, which ``make`` knows by its name.
    """

    matrix: Matrix
    records: Records
    launches: tuple[Launch, ...] = ()
    is_ours: bool = False

    @property
    def key(self) -> Key:
        """The matrix's name and its scale."""
        return self.matrix.name, self.matrix.scale


class Shown(NamedTuple):
    """A section of the page: a run, whether it is the reference itself, else what it is set
    beside. ``committed`` are the lines that say whether its bits are the committed run's."""

    run: Run
    is_reference: bool
    reference: Run | None
    committed: tuple[str, ...] = ()


class Sources(NamedTuple):
    """All sections in the order of the page, and the matrix files that cannot be read."""

    sections: tuple[Shown, ...]
    problems: tuple[str, ...]


def find(results: Path, reference: Path = REFERENCE, matrix_file: Path | None = None) -> Sources:
    """The user's matrices, each beside its reference, then the references of which no run is.

    ``matrix_file`` is that of `Records`.
    """
    problems: list[str] = []
    mine = store_of(results)
    own = _runs(results / MATRICES, Records(mine, matrix_file), problems)
    references: dict[Key, Run] = {}
    for folder in sorted(path for path in reference.glob("*") if (path / MATRICES).is_dir()):
        store = Store(folder / STAGES, read_only=[PRETRAINED])
        references |= _runs(folder / MATRICES, Records(store), problems)
    theirs = committed(reference)
    sections = [
        Shown(
            own[key],
            False,
            references.get(key),
            tuple(in_words(compare(own[key].matrix.cells(), mine, theirs))),
        )
        for key in _ordered(own)
    ]
    alone = [key for key in _ordered(references) if key not in own]
    sections += [Shown(references[key], True, None) for key in alone]
    return Sources(tuple(sections), tuple(problems))


def holds_results(folder: Path) -> bool:
    """Whether the folder is one of results: with a launch's matrix, or with records; or ours, with
    the committed ones."""
    return any((folder / name).is_dir() for name in (MATRICES, STAGES, REFERENCE.name))


def _runs(folder: Path, records: Records, problems: list[str]) -> dict[Key, Run]:
    launched, unread = launches(folder.parent)
    problems += unread
    runs: dict[Key, Run] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            matrix = decode(path.read_bytes(), Matrix)
            plan(matrix.cells())
        except BAD_FILE as error:
            problems.append(f"{path.name} is no matrix that can be read: {reason(error)}")
            continue
        own = [one for one in launched if (one.matrix, one.scale) == (matrix.name, matrix.scale)]
        run = Run(matrix, records, tuple(own), _is_ours(matrix.name))
        if run.key in runs:
            problems.append(f"{path.name} describes {' at scale '.join(run.key)} a second time")
            continue
        runs[run.key] = run
    return runs


def _is_ours(name: str) -> bool:
    module = asked(name)[0].replace("-", "_")
    return (Path(benchmarks.__file__).parent / f"{module}.py").exists()


def _ordered(keys: Iterable[Key]) -> list[Key]:
    return sorted(keys, key=lambda key: (key[0], SCALES.index(key[1])))
