"""What a file of a user's says as code, as a digest (torch-free).

Comments, docstrings and layout do not count. Of a matrix file the body of `matrix` does not either:
no stage calls that function, and what it returns is in the ids.
"""

import ast
import hashlib
import stat
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

LARGEST = 2**24  # bytes: a record may name any file, and code is not larger
PLANS = "matrix"
# What only `matrix` uses of these is no code of a stage either: nothing in them is a network, a
# quantizer or a loss.
OF_PLANS = ("benchmarks", "msgspec", "qkd.data.standard", "qkd.phases", "qkd.spec", "qkd.weights")


def code_digest(path: Path, is_matrix: bool = False) -> str | None:
    """The sha256 of a file's code in 64 hexadecimal digits; None where no such file is there."""
    try:
        found = path.stat()
        regular = stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST
        if path.suffix != ".py" or not regular:
            return None
        return _digest_of_version(path, is_matrix, found.st_mtime_ns, found.st_size)
    except (OSError, ValueError):
        return None


@cache
def _digest_of_version(path: Path, is_matrix: bool, _time: int, _size: int) -> str:
    return digest_of(path.read_bytes(), is_matrix)


def digest_of(content: bytes, is_matrix: bool = False) -> str:
    """As `code_digest`, of a file's bytes; of what is no Python every byte counts."""
    try:
        tree = ast.parse(content)
        if is_matrix:
            tree.body = list(_without_plans(tree.body))
        content = repr(_plain(tree)).encode("utf-8", "surrogatepass")
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        pass
    return hashlib.sha256(content).hexdigest()


def _without_plans(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements, `matrix` without its body, and without the names of OF_PLANS that only it
    uses; all as they are where another statement names `matrix`."""
    plans = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == PLANS]
    names = _names([node for node in body if node not in plans])
    if PLANS in names:
        yield from body
        return
    for plan in plans:
        plan.body = []
    names |= _names(plans) | {"*"}
    for node in body:
        if isinstance(node, ast.ImportFrom) and _is_of_plans(node.module or ""):
            node.names = [alias for alias in node.names if (alias.asname or alias.name) in names]
            if not node.names:
                continue
        yield node


def _names(body: Sequence[ast.stmt]) -> set[str]:
    return {node.id for one in body for node in ast.walk(one) if isinstance(node, ast.Name)}


def _is_of_plans(module: str) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in OF_PLANS)


def _plain(node: Any) -> Any:
    """The tree as tuples, without what Python's versions write differently or does not matter."""
    if isinstance(node, list):
        return tuple(_plain(item) for item in node if not _is_docstring(item))
    if not isinstance(node, ast.AST):
        return type(node).__name__, repr(node)
    fields = tuple(
        (name, _plain(value))
        for name, value in ast.iter_fields(node)
        if name not in ("ctx", "kind", "type_comment", "type_ignores") and value not in (None, [])
    )
    return type(node).__name__, fields


def _is_docstring(node: Any) -> bool:
    """Also any other text that stands for itself, which does nothing."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
