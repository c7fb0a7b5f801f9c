"""From MATRIX=... to a matrix whose every cell has its id, and back from the records."""

import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.matrix import DEFAULT_SEEDS, Grid, Matrix
from benchmarks.settings import Settings, SettingsError
from qkd.data.cache import identify, load
from qkd.data.images import DataError
from qkd.files import write_atomically
from qkd.imports import load_file
from qkd.spec import NUMERICS, Data
from qkd.value import decode, encode, validated

MATRICES = "matrices"
BUILT_IN = ("ablation", "rivals")


def is_file(name: str) -> bool:
    """Whether MATRIX names a user's file rather than one of ours."""
    return name.endswith(".py")


def build(settings: Settings) -> Matrix:
    """The matrix that was asked for, validated, its data read once and its networks counted where
    it does not say.

    Raises SettingsError for an unknown name, and DataError where data is needed and not there.
    """
    path = Path(settings.matrix)
    module = _module(settings.matrix)
    if getattr(module, "matrix", None) is None:
        raise SettingsError(f"MATRIX={settings.matrix} has no function matrix(scale, seeds)")
    seeds = settings.seeds or _of_the_user(path, lambda: _own_seeds(module, settings))
    matrix = _of_the_user(path, lambda: module.matrix(settings.scale, seeds))
    if not isinstance(matrix, Matrix):
        raise SettingsError(f"MATRIX={settings.matrix}: matrix() returned no Matrix")
    matrix = msgspec.structs.replace(matrix, numerics=NUMERICS)
    identified = _identified(validated(matrix), settings.data)
    counted: Matrix = _of_the_user(path, lambda: _counted(identified, settings.data))
    return counted


def _module(name: str) -> Any:
    """The module that MATRIX names: a user's file, or one of ours."""
    if is_file(name):
        path = Path(name)
        if not path.is_file():
            raise SettingsError(f"MATRIX={name}: there is no such file")
        return _of_the_user(path, lambda: load_file(path))
    if name in BUILT_IN:
        return import_module(f"benchmarks.{name}")
    names = ", ".join(BUILT_IN)
    raise SettingsError(f"MATRIX={name} is unknown: it may be {names}, or the path of a .py file")


def _own_seeds(module: Any, settings: Settings) -> tuple[int, ...]:
    """The seeds of a scale: the module's DEFAULT_SEEDS where it has some, else those of all."""
    return tuple(getattr(module, "DEFAULT_SEEDS", DEFAULT_SEEDS)[settings.scale])


def _of_the_user(path: Path, call: Callable[[], Any]) -> Any:
    """What a user's code returns; whatever it raises becomes an error that names its line."""
    try:
        return call()
    except (DataError, SettingsError):
        raise
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name != "_of_the_user"]
        own = [frame for frame in frames if Path(frame.filename).name == path.name]
        line = f", line {own[-1].lineno}" if own else ""
        raise SettingsError(f"{path}{line}: {type(error).__name__}: {error}") from error


def _identified(matrix: Matrix, folder: Path) -> Matrix:
    """Every data set with its digest: those that have none are read."""
    plain = msgspec.to_builtins(matrix)
    known: dict[str, str] = {}

    def fill(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("digest") == "" and "reader" in node:
                if node["reader"] not in known:
                    known[node["reader"]] = identify(msgspec.convert(node, Data), folder).digest
                node["digest"] = known[node["reader"]]
            for item in node.values():
                fill(item)
        elif isinstance(node, (list, tuple)):
            for item in node:
                fill(item)

    fill(plain)
    return msgspec.convert(plain, Matrix) if known else matrix


def _counted(matrix: Matrix, folder: Path) -> Matrix:
    """Every pair with the cost of its networks."""
    if all(grid.pair.student_macs and grid.pair.teacher_macs for grid in matrix.grids):
        return matrix
    from qkd.macs import count  # torch, which a plan does not otherwise need

    grids = []
    for grid in matrix.grids:
        pair = grid.pair
        _, channels, height, width = load(pair.data, folder).test.images.shape
        shape = (channels, height, width)
        pair = msgspec.structs.replace(
            pair,
            student_macs=pair.student_macs or count(pair.student, shape),
            teacher_macs=pair.teacher_macs or count(pair.teacher, shape),
        )
        grids.append(msgspec.structs.replace(grid, pair=pair))
    return msgspec.structs.replace(matrix, grids=tuple(grids))


def remember(matrix: Matrix, results: Path) -> Matrix:
    """Writes what was planned beside the records, for the report; returns it.

    Seeds of earlier launches stay where nothing but the seed differs.
    """
    path = results / MATRICES / f"{matrix.name}-{matrix.scale}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    earlier = _remembered(path)
    if earlier is not None and earlier.numerics == matrix.numerics:
        matrix = _with_earlier_seeds(matrix, earlier)
    write_atomically(path, encode(matrix))
    return matrix


def _remembered(path: Path) -> Matrix | None:
    """What an earlier launch wrote; one that cannot be read is written anew."""
    try:
        return decode(path.read_bytes(), Matrix)
    except (FileNotFoundError, ValueError):
        return None


def _with_earlier_seeds(matrix: Matrix, earlier: Matrix) -> Matrix:
    def apart_from_seeds(grid: Grid) -> Grid:
        return msgspec.structs.replace(grid, seeds=())

    grids = []
    for grid in matrix.grids:
        same = [g for g in earlier.grids if apart_from_seeds(g) == apart_from_seeds(grid)]
        seeds = set(grid.seeds).union(*(g.seeds for g in same))
        grids.append(msgspec.structs.replace(grid, seeds=tuple(sorted(seeds))))
    return msgspec.structs.replace(matrix, grids=tuple(grids))
