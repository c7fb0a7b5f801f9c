"""The cluster job that is to train a stage: job.json, beside the stage (torch-free)."""

import getpass
from typing import Annotated

import msgspec

from qkd.records.files import write_atomically
from qkd.records.record import Record
from qkd.spec.value import Value, decode, encode

FILE = "job.json"
JOBS = "jobs"  # a results folder's place for what jobs write and submitit keeps


class Note(Value, kw_only=True):
    """A stage's job.

    ``name`` is the job's own, which no other submission has. ``element`` is its place in an array,
    -1 in none. ``job`` is SLURM's id of the array or the job: "" before sbatch has answered, or
    where the launch was killed before it could write the answer. ``cluster`` and ``user``: whose
    queue it is in. ``folder`` holds what the job writes.
    """

    name: str
    element: Annotated[int, msgspec.Meta(ge=-1)]
    job: str = ""
    matrix: str
    scale: str
    cluster: str
    folder: str
    user: str = msgspec.field(default_factory=getpass.getuser)

    @property
    def place(self) -> tuple[str, int]:
        """Its name and its place in its array, by which the queue is searched."""
        return self.name, self.element

    @property
    def id(self) -> str:
        """``123_4``, ``123``, or "" where it is not known."""
        return f"{self.job}_{self.element}" if self.job and self.element >= 0 else self.job

    @property
    def stderr(self) -> str:
        """The path, as submitit names it, of what the job's first process wrote to stderr."""
        return f"{self.folder}/{self.id}_0_log.err"


def note_of(record: Record) -> Note | None:
    """The stage's job; None where there is none.

    Raises ValueError or OSError where its file cannot be read: that does not mean that there is
    none.
    """
    try:
        text = (record.path / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return decode(text, Note)
    except ValueError as error:
        raise ValueError(
            f"{record.path / FILE} cannot be read: {error}. Remove it if no job of the stage is "
            "in the queue"
        ) from error


def write_note(record: Record, note: Note) -> None:
    """Keeps the stage's job beside it."""
    write_atomically(record.path / FILE, encode(note))


def forget(record: Record) -> None:
    """The stage has no job any more."""
    (record.path / FILE).unlink(missing_ok=True)
