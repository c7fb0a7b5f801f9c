"""Which code of a user's a stage used, and whether it has changed since (torch-free).

An id holds the dotted name of a user's network, loss, hook or quantizer, not its code. So the
record of a stage that names one keeps a digest of each file of the user's that its process had
imported. Images have a digest of their own in the id, so that a reader's code needs none here.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from qkd.imports import names_user_code, user_modules
from qkd.records.code_digest import code_digest
from qkd.records.record import Record
from qkd.records.schema import Content
from qkd.spec import History

CodeDigest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
SHOWN = 12  # digits of a digest that a user is to type


class CodeFile(Content, kw_only=True):
    """A file of the user's: ``name`` is its path within the matrix file's folder (absolute where it
    lies elsewhere), ``sha256`` that of its code. ``accepted`` are those of other code, of which the
    user said that the numbers are the same."""

    name: str
    sha256: CodeDigest
    is_matrix: bool = False
    accepted: tuple[CodeDigest, ...] = ()


class Code(Content, kw_only=True):
    """code.json: the files of the user's that a stage used, and where their matrix file lay (empty
    in what was published)."""

    folder: str = ""
    files: tuple[CodeFile, ...]


class Change(NamedTuple):
    """A file whose code is ``now`` another one than the record's stage was trained with."""

    record: Record
    file: str
    now: str


class CodeChanged(ValueError):
    """Code of the user's is not that of a record, and nobody has said that it does not matter."""


_noted: WeakKeyDictionary[ModuleType, CodeFile] = WeakKeyDictionary()


def imported() -> Code | None:
    """The files of the user's that this process has imported, each as it was when it was first
    asked for here; None without a matrix file."""
    modules = user_modules()
    matrices = [module for module, is_matrix in modules.items() if is_matrix]
    if not matrices:
        return None
    folder = Path(str(matrices[-1].__file__)).resolve().parent
    for module, is_matrix in modules.items():
        path = Path(str(module.__file__)).resolve()
        digest = None if module in _noted else code_digest(path, is_matrix)
        if digest is not None:
            name = path.relative_to(folder) if path.is_relative_to(folder) else path
            _noted[module] = CodeFile(name=str(name), sha256=digest, is_matrix=is_matrix)
    files = [_noted[module] for module in modules if module in _noted]
    return Code(folder=str(folder), files=tuple(sorted(files, key=lambda file: file.name)))


def uses_user_code(history: History) -> bool:
    """Whether a network, a quantizer, a loss or a hook of the history is the user's."""
    return any(map(names_user_code, _names(msgspec.to_builtins(history))))


def _names(node: Any) -> Iterator[str]:
    """What ``factory``, ``quantizer``, ``loss`` and ``hook`` name, anywhere in JSON types."""
    for key, item in node.items() if isinstance(node, dict) else enumerate(node):
        if key in ("factory", "quantizer", "loss", "hook") and isinstance(item, str):
            yield item
        elif isinstance(item, (dict, list, tuple)):
            yield from _names(item)


def keep_code(record: Record, history: History, goes_on: bool) -> None:
    """Writes the user's files that a stage uses beside it, where it uses any. Of a stage that
    ``goes_on`` from its save, what is there stays, and files that were not imported then come to
    it."""
    code = imported() if uses_user_code(history) else None
    if code is None:
        return
    earlier = code_of(record) if goes_on else None
    if earlier is not None:
        known = {file.name for file in earlier.files}
        more = tuple(file for file in code.files if file.name not in known)
        files = sorted((*earlier.files, *more), key=lambda file: file.name)
        code = msgspec.structs.replace(earlier, files=tuple(files))
    record.write(record.code_file, code)


def code_of(record: Record) -> Code | None:
    """The user's files that the record's stage used; None: none, or they were not recorded.

    Raises BadRecord.
    """
    return record.read(record.code_file, Code) if record.code_file.exists() else None


def is_present(text: str) -> bool:
    """Whether a Code, as JSON, is that of the files beside the matrix file that is imported."""
    code, here = msgspec.json.decode(text, type=Code), imported()
    place = Path(here.folder) if here else Path(code.folder)
    return all(code_digest(place / file.name, file.is_matrix) == file.sha256 for file in code.files)


def require_imported(records: Iterable[Record]) -> None:
    """Raises CodeChanged where what this process has imported is not the code of the records."""
    code = imported()
    now = {file.name: file.sha256 for file in code.files} if code else {}
    for record in records:
        for change in _changes(record, code_of(record), now):
            raise CodeChanged(in_words([change]))


def changes(records: Iterable[Record], matrix_file: Path | None = None) -> list[Change]:
    """Where files are not as the records' stages used them: those that lie beside ``matrix_file``
    now, where that has the name of theirs, else those at their old place. A file that is not there
    is passed over, as is a record of which nothing is kept yet.

    Raises BadRecord.
    """
    found = []
    for record in records:
        code = code_of(record)
        if code is None or not (record.result_file.exists() or record.checkpoint_file.exists()):
            continue
        folder = _place(code, matrix_file)
        if folder is None:
            continue
        now = {file.name: code_digest(folder / file.name, file.is_matrix) for file in code.files}
        found += _changes(record, code, now)
    return found


def _place(code: Code, matrix_file: Path | None) -> Path | None:
    names = [file.name for file in code.files if file.is_matrix]
    if matrix_file is not None and matrix_file.name in names:
        return matrix_file.resolve().parent
    return Path(code.folder) if code.folder else None


def _changes(record: Record, code: Code | None, now: Mapping[str, str | None]) -> list[Change]:
    return [
        Change(record, file.name, present)
        for file in (code.files if code else ())
        if (present := now.get(file.name)) is not None
        and present not in (file.sha256, *file.accepted)
    ]


def accept(found: Iterable[Change]) -> None:
    """Keeps beside each record that the code of now gives its numbers too."""
    for change in found:
        code = code_of(change.record)
        assert code is not None  # noqa: S101 (a change is of a record with code)
        files = tuple(
            msgspec.structs.replace(file, accepted=(*file.accepted, change.now))
            if file.name == change.file
            else file
            for file in code.files
        )
        change.record.write(change.record.code_file, msgspec.structs.replace(code, files=files))


def in_words(found: Iterable[Change], listed: int = 3) -> str:
    """A line for each file: what has changed, which stages are not of it, what can be done."""
    by_file: dict[tuple[str, str], list[str]] = {}
    for change in found:
        by_file.setdefault((change.file, change.now), []).append(change.record.path.name)
    lines = []
    for (file, now), names in by_file.items():
        more = f" and {len(names) - listed} more" if len(names) > listed else ""
        count = f"{len(names)} stage{'s' if len(names) > 1 else ''}"
        lines.append(
            f"{file} is not the code that {count} used ({', '.join(names[:listed])}{more}). Give "
            "what you changed another name (its function or class, and FILE:NAME in the matrix), "
            f"or say that no number depends on it: ACCEPT={now[:SHOWN]}"
        )
    return "\n".join(lines)
