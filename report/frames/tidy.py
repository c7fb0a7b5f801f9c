"""Rows of one kind as a frame, and back: a NamedTuple says what its columns are called and hold."""

from collections.abc import Iterable
from types import UnionType
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import pandas as pd

R = TypeVar("R", bound=NamedTuple)


def tidy(kind: type[R], rows: Iterable[R]) -> pd.DataFrame:
    """A column for each field, of the type that it is declared with: numbers that may be None are
    floats, NaN where they are. Texts stay Python's own, which may hold what no encoding has."""
    found = list(rows)
    columns = list(zip(*found, strict=True)) or [()] * len(kind._fields)
    dtypes = [_dtype(hint) for hint in get_type_hints(kind).values()]
    series = {
        name: pd.Series(list(values), dtype=dtype)
        for name, values, dtype in zip(kind._fields, columns, dtypes, strict=True)
    }
    return pd.DataFrame(series)


def rows(frame: pd.DataFrame, kind: type[R]) -> list[R]:
    """The frame's rows as values of the kind, which must be among its columns."""
    columns = (frame[name].tolist() for name in kind._fields)
    return [kind(*values) for values in zip(*columns, strict=True)]


def _dtype(hint: Any) -> type:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if hint in (bool, int):
        return hint  # type: ignore[no-any-return]
    return float if {*kinds} <= {int, float, type(None)} else object
