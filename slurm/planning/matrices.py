"""From MATRIX=... to a matrix whose every cell has its id, and back from the records."""

import json
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.matrix import DEFAULT_SEEDS, Grid, Matrix, select
from benchmarks.precision import with_precision
from benchmarks.settings import Settings, SettingsError
from qkd.imports import load_file
from qkd.records.files import printable, write_atomically
from qkd.spec import NUMERICS, Data, Network, Weights
from qkd.spec.value import decode, encode, validated
from qkd.weights.files import sha256_of

MATRICES = "matrices"
BUILT_IN = (
    "ablation",
    "rivals",
    "rivals-today",
    "cifar",
    "imagenet",
    "imagenet-100",
    "tiny-imagenet",
    "sensitivity",
    "tuning",
    "lengths",
    "evidence",
    "cifar100",
    "mobilenet",
    "longer",
)


def is_file(name: str) -> bool:
    """Whether MATRIX names a user's file rather than one of ours."""
    return name.endswith(".py")


def build(settings: Settings, unread: bool = False) -> Matrix:
    """The matrix that was asked for, validated.

    Where it does not say them, digests of its data and weights are read, and its networks counted;
    not of data that no cell of ONLY= uses. With ``unread`` data that cannot be read is left out
    too, and the reason is printed: the plan's cost is known all the same, but not which of its
    stages are done.

    Raises SettingsError for an unknown name, and DataError where data is needed and not there.
    """
    path = Path(settings.matrix)
    module = _module(settings.matrix)
    if getattr(module, "matrix", None) is None:
        raise SettingsError(f"MATRIX={settings.matrix} has no function matrix(scale, seeds)")
    seeds = _of_the_user(path, lambda: _seeds(module, settings))
    matrix = _of_the_user(path, lambda: module.matrix(settings.scale, seeds))
    if not isinstance(matrix, Matrix):
        raise SettingsError(f"MATRIX={settings.matrix}: matrix() returned no Matrix")
    matrix = with_precision(matrix, settings.precision or None, settings.teacher_precision or None)
    matrix = validated(msgspec.structs.replace(matrix, numerics=NUMERICS))
    chosen = {cell.pair.data.name for cell in select(list(matrix.cells()), settings.only)}
    unread = unread and _is_priced(matrix)
    return _counted(_identified(matrix, settings.data, chosen, unread), settings.data, path)


def _module(name: str) -> Any:
    """The module that MATRIX names: a user's file, or one of ours."""
    if is_file(name):
        path = Path(name)
        if not path.is_file():
            raise SettingsError(f"MATRIX={name}: there is no such file")
        return _of_the_user(path, lambda: load_file(path))
    if name in BUILT_IN:
        return import_module(f"benchmarks.{name.replace('-', '_')}")
    names = ", ".join(BUILT_IN)
    raise SettingsError(f"MATRIX={name} is unknown: it may be {names}, or the path of a .py file")


def _seeds(module: Any, settings: Settings) -> tuple[int, ...]:
    """SEEDS=, else those of the scale: by the module's DEFAULT_SEEDS where it has some, else by
    those of all. Raises SettingsError where one of our matrices has no such scale, or the seeds of
    a user's are not known for it.
    """
    known = getattr(module, "DEFAULT_SEEDS", DEFAULT_SEEDS)
    if settings.scale not in known and not (settings.seeds and is_file(settings.matrix)):
        raise SettingsError(
            f"MATRIX={settings.matrix} has no scale {settings.scale}: take SCALE= of "
            f"{', '.join(known)}"
        )
    return settings.seeds or tuple(known[settings.scale])


def _of_the_user(path: Path, call: Callable[[], Any]) -> Any:
    """What a user's code returns; whatever it raises becomes an error that names its line."""
    try:
        return call()
    except SettingsError:
        raise
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name != "_of_the_user"]
        own = [frame for frame in frames if Path(frame.filename).name == path.name]
        line = f", line {own[-1].lineno}" if own else ""
        raise SettingsError(f"{path}{line}: {type(error).__name__}: {error}") from error


def _identified(matrix: Matrix, folder: Path, chosen: set[str], unread: bool) -> Matrix:
    """Every chosen data set with its digest and every file of weights with its sha256: those that
    have none are read. With ``unread`` data that cannot be read stays without."""
    data: dict[str, str] = {}
    weights: dict[str, str] = {}

    def fill(node: dict[str, Any]) -> None:
        if node.get("digest") == "" and "reader" in node and node["name"] in chosen:
            if node["reader"] not in data:
                data[node["reader"]] = _digest(msgspec.convert(node, Data), folder, unread)
            node["digest"] = data[node["reader"]]
        if node.get("sha256") == "" and "source" in node:
            if node["source"] not in weights:
                weights[node["source"]] = sha256_of(msgspec.convert(node, Weights), folder)
            node["sha256"] = weights[node["source"]]

    return _changed(matrix, fill)


def _digest(data: Data, folder: Path, unread: bool) -> str:
    from qkd.data.cache import identify  # numpy, which a plan does not otherwise need
    from qkd.data.images import DataError

    try:
        return identify(data, folder).digest
    except DataError as error:
        if not unread:
            raise
        print(printable(f"{data.name} cannot be read: {error}"), file=sys.stderr)
        print(
            "costs are right without it; what is done is not known, so every stage counts as to do",
            file=sys.stderr,
        )
        return ""


def _changed(matrix: Matrix, change: Callable[[dict[str, Any]], None]) -> Matrix:
    """The matrix after ``change`` has seen each of its values, histories' ones included, as JSON
    types."""
    plain = msgspec.to_builtins(matrix)

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            change(node)
        if isinstance(node, (dict, list, tuple)):
            for item in node.values() if isinstance(node, dict) else node:
                walk(item)

    walk(plain)
    return msgspec.convert(plain, Matrix)


def _is_priced(matrix: Matrix) -> bool:
    return all(grid.pair.student_macs and grid.pair.teacher_macs for grid in matrix.grids)


def _counted(matrix: Matrix, folder: Path, path: Path) -> Matrix:
    """Every pair with the cost of its networks, which the file at ``path`` may have made."""
    if _is_priced(matrix):
        return matrix
    from qkd.data.cache import load
    from qkd.measures.macs import count  # torch, which a plan does not otherwise need

    def counted(network: Network, shape: tuple[int, int, int]) -> int:
        macs: int = _of_the_user(path, lambda: count(network, shape))
        return macs

    grids = []
    for grid in matrix.grids:
        pair = grid.pair
        if not pair.data.digest:  # of no chosen cell
            grids.append(grid)
            continue
        channels, height, width = load(pair.data, folder).test.shape
        shape = (channels, height, width)
        pair = msgspec.structs.replace(
            pair,
            student_macs=pair.student_macs or counted(pair.student, shape),
            teacher_macs=pair.teacher_macs or counted(pair.teacher, shape),
        )
        grids.append(msgspec.structs.replace(grid, pair=pair))
    return msgspec.structs.replace(matrix, grids=tuple(grids))


def remember(matrix: Matrix, results: Path) -> Matrix:
    """Writes what was planned beside the records, for the report; returns it.

    Seeds of earlier launches stay where nothing but the seed differs, and so do digests of data
    that this launch had no need to read.
    """
    matrix = with_earlier(matrix, results)
    path = _place(matrix, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, encode(matrix))
    return matrix


def with_earlier(matrix: Matrix, results: Path) -> Matrix:
    """The matrix with what stays of earlier launches, as `remember` would write it."""
    earlier = _remembered(_place(matrix, results))
    if earlier is None:
        return matrix
    matrix = _with_earlier_digests(matrix, earlier)
    return _with_earlier_seeds(matrix, earlier) if earlier.numerics == matrix.numerics else matrix


def _place(matrix: Matrix, results: Path) -> Path:
    return results / MATRICES / f"{matrix.name}-{matrix.scale}.json"


def _remembered(path: Path) -> Matrix | None:
    """What an earlier launch wrote; one that cannot be read is written anew."""
    try:
        return decode(path.read_bytes(), Matrix)
    except (FileNotFoundError, ValueError):
        return None


def _with_earlier_digests(matrix: Matrix, earlier: Matrix) -> Matrix:
    known: dict[str, str] = {}

    def collect(node: dict[str, Any]) -> None:
        if node.get("digest") and "reader" in node:
            known[json.dumps({**node, "digest": ""}, sort_keys=True)] = node["digest"]

    def fill(node: dict[str, Any]) -> None:
        if node.get("digest") == "" and "reader" in node:
            node["digest"] = known.get(json.dumps(node, sort_keys=True), "")

    _changed(earlier, collect)
    return _changed(matrix, fill)


def _with_earlier_seeds(matrix: Matrix, earlier: Matrix) -> Matrix:
    def apart_from_seeds(grid: Grid) -> Grid:
        return msgspec.structs.replace(grid, seeds=())

    grids = []
    for grid in matrix.grids:
        same = [g for g in earlier.grids if apart_from_seeds(g) == apart_from_seeds(grid)]
        seeds = set(grid.seeds).union(*(g.seeds for g in same))
        grids.append(msgspec.structs.replace(grid, seeds=tuple(sorted(seeds))))
    return msgspec.structs.replace(matrix, grids=tuple(grids))
