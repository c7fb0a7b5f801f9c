"""A frozen teacher's logits, kept beside the records: a file for each teacher, draws of a seed and
arithmetic (torch-free).

A row is a step: the sha256 of the file's key, the step and the logits; then the logits themselves,
float32. Rows stand at their steps' places, so that a file grows in any order and by any number of
processes. What was never written, was half-written or is damaged has no valid sha256: it is not
there.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from qkd.records.lock import Lock
from qkd.spec import Data, Network, Stage
from qkd.spec.value import Count, Value, digest

FOLDER = "logits"  # of a results folder
SUFFIX = ".f32"
CHUNK = 16  # steps that one process claims at a time
SHA256_BYTES, FLOAT_BYTES = 32, 4


class Source(Value, kw_only=True):
    """What a frozen teacher's logits are a function of, its arithmetic and a step aside.

    ``start`` is the digest of the history that the teacher's weights come from, ``draws`` the seed
    of what is drawn in training.
    """

    network: Network
    start: str
    data: Data
    draws: int
    batch: Count

    @property
    def row_bytes(self) -> int:
        """Bytes of a step in its file."""
        return SHA256_BYTES + FLOAT_BYTES * self.batch * self.data.classes


def source_of(stage: Stage) -> Source | None:
    """Where a stage's frozen teacher's logits come from; None where they are not to be kept.

    That is where a term needs the teacher's features too; where the teacher is not the start that
    others share but was trained together with this student, so that nobody else has it; where its
    forward pass is not in float32; and where images are photos, whose logits (1,000 classes,
    millions of images) would take more disk than they save time.
    """
    history = stage.history
    teacher, recipe = history.teacher, history.recipe
    if teacher is None or teacher.start is None or history.data.photos is not None:
        return None
    phase = history.parts[-1].phase
    if not phase.needs_teacher or phase.compares_features:
        return None
    if (recipe.frozen_teacher_precision or recipe.precision) != "float32":
        return None
    is_start = phase.teacher_state == "start"
    if not is_start and any(part.phase.trains_teacher for part in history.parts):
        return None
    return Source(
        network=teacher.network,
        start=teacher.start.digest,
        data=history.data,
        draws=history.draws,
        batch=recipe.batch,
    )


def steps_of(stage: Stage) -> range:
    """The student's steps that a stage consists of."""
    return range(stage.history.steps - stage.steps, stage.history.steps)


class LogitsFile:
    """A file of rows, opened anew for each access: a shared file system then shows what others
    wrote.

    Args:
        folder: where the files are.
        source: whose logits they are.
        arithmetic: a text of all else that their bits depend on. It is part of the file's name, and
            of the key that every row is signed with.
    """

    def __init__(self, folder: Path, source: Source, arithmetic: str) -> None:
        self._key = hashlib.sha256(f"{digest(source)}\n{arithmetic}".encode()).digest()
        self.path = folder / f"{digest(source)}-{self._key.hex()[:16]}{SUFFIX}"
        self.row_bytes = source.row_bytes
        self.damaged = 0

    def read(self, steps: range) -> dict[int, bytes]:
        """The logits of those steps that are there, as bytes of float32; of consecutive ``steps``.

        Rows that hold something else than was written are counted in ``damaged``.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(steps.start * self.row_bytes)
                content = file.read(len(steps) * self.row_bytes)
        except FileNotFoundError:
            return {}
        found = {}
        for number, step in enumerate(steps):
            row = content[number * self.row_bytes : (number + 1) * self.row_bytes]
            signature, logits = row[:SHA256_BYTES], row[SHA256_BYTES:]
            if signature == self._signed(step, logits):
                found[step] = logits
            elif any(signature):
                self.damaged += 1
        return found

    def write(self, rows: Mapping[int, bytes]) -> None:
        """Writes rows by their steps; one that is there already is replaced.

        Raises OSError, and ValueError where a row is not as long as all are.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        with self.path.open("r+b") as file:  # others write other rows at the same time
            for step, logits in rows.items():
                if SHA256_BYTES + len(logits) != self.row_bytes:
                    raise ValueError(f"step {step} has {len(logits)} bytes of logits")
                file.seek(step * self.row_bytes)
                file.write(self._signed(step, logits) + logits)

    def claim(self, chunk: int) -> Lock:
        """What a process holds while it computes the steps of a chunk: entered, it raises Locked
        where another process does.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return Lock(self.path.with_name(f"{self.path.name}.{chunk}.lock"))

    def _signed(self, step: int, logits: bytes) -> bytes:
        return hashlib.sha256(self._key + step.to_bytes(8, "little") + logits).digest()


def files_of(folder: Path, sources: Iterable[str]) -> list[Path]:
    """All that is in the folder of the sources with these digests, in whatever arithmetic."""
    return sorted(path for one in sources for path in folder.glob(f"{one}-*"))
