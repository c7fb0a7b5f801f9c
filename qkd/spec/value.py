"""Frozen, validated values and their identity (torch-free).

A value's canonical form leaves out the fields that stand at their default and those that do not
change the numbers (marked ``Meta(extra=NOT_IDENTITY)``); its digest is the sha256 of that form.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from functools import cache, cached_property
from typing import (
    Annotated,
    Any,
    NoReturn,
    Self,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

NOT_IDENTITY = {"identity": False}
DIGEST_LENGTH = 16

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$")]
ImportPath = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_]\w*$")
]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Scalar = bool | int | float | str


class FrozenDict(dict[str, Any]):
    """A dictionary that cannot be changed, so that what a value keeps of itself stays true."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a value is frozen: make another one, with msgspec.structs.replace")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return type(self), (dict(self),)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Base of every frozen value. Raises ValueError on a float that is not finite.

    It keeps what was worked out of it (``dict=True`` gives it the place): large values share most
    of their parts, and each part is checked and written once.
    """

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            item = getattr(self, name)
            if isinstance(item, (float, tuple, list, dict)):
                _require_finite(item, f"{type(self).__name__}.{name}")
            if isinstance(item, dict) and not isinstance(item, FrozenDict):
                msgspec.structs.force_setattr(self, name, FrozenDict(item))

    @cached_property
    def _validated(self) -> Self:
        return validated(self)

    @cached_property
    def _text(self) -> str:
        return _canonical_text(self)

    @cached_property
    def _digest(self) -> str:
        text = _canonical_text(validated(self))
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


V = TypeVar("V", bound=Value)


def _require_finite(value: object, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}: only finite numbers are allowed")
    if isinstance(value, dict):
        for key, item in value.items():
            _require_finite(item, f"{where}[{key!r}]")
    elif isinstance(value, (tuple, list)):
        for item in value:
            _require_finite(item, where)


def validated(value: V) -> V:
    """The same value, its types and constraints checked (construction alone checks neither).

    Values within it are checked once, however many they are part of. Raises
    msgspec.ValidationError (a ValueError) that names the field.
    """
    kind = type(value)
    try:
        fields = {name: _parts_validated(getattr(value, name)) for name in kind.__struct_fields__}
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError:
        # All of it from the top, for an error that names the field by its whole path.
        return msgspec.convert(msgspec.to_builtins(value), kind)


def _parts_validated(item: Any) -> Any:
    """The item with the values within it validated, and all else as JSON types."""
    if isinstance(item, Value):
        return item._validated
    if isinstance(item, (tuple, list)):
        return [_parts_validated(one) for one in item]
    if isinstance(item, dict):
        return {key: _parts_validated(one) for key, one in item.items()}
    return item


def decode(text: bytes | str, kind: type[V]) -> V:
    """A value from its JSON text; unknown fields and values of another type are errors."""
    return msgspec.json.decode(text, type=kind)


def encode(value: Value) -> bytes:
    """The whole value as indented JSON, with the fields that stand at their default."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


@cache
def _fields_of_identity(kind: type[Value]) -> list[tuple[str, str, Any]]:
    """Of each field that belongs to the identity of ``kind``: its key in the canonical text, its
    name and its default, in the order of the names."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        (f"{_plain_text(field.name)}:", field.name, _default(field))
        for field in sorted(msgspec.structs.fields(kind), key=lambda field: field.name)
        if not _is_left_out(hints[field.name])
    ]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _is_left_out(hint: Any) -> bool:
    if get_origin(hint) is not Annotated:
        return False
    metas = [meta for meta in get_args(hint)[1:] if isinstance(meta, msgspec.Meta)]
    return any((meta.extra or {}).get("identity") is False for meta in metas)


_plain_text = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _canonical_text(value: Value) -> str:
    """The part of a value that changes numbers as JSON, its keys sorted, without a space."""
    fields = (
        (key, getattr(value, name), default)
        for key, name, default in _fields_of_identity(type(value))
    )
    return _braced(key + _written(item) for key, item, default in fields if item != default)


def _written(item: Any) -> str:
    if isinstance(item, Value):
        return item._text
    if isinstance(item, dict):
        return _braced(f"{_plain_text(key)}:{_written(item[key])}" for key in sorted(item))
    if isinstance(item, (tuple, list)):
        return "[" + ",".join(map(_written, item)) + "]"
    return _plain_text(item)


def _braced(members: Iterable[str]) -> str:
    return "{" + ",".join(members) + "}"


def canonical(value: Value) -> dict[str, Any]:
    """The part of a value that changes numbers, as plain JSON types."""
    form: dict[str, Any] = json.loads(_canonical_text(value))
    return form


def digest(value: Value) -> str:
    """Sixteen hexadecimal digits that name the value.

    Equal for two values whose canonical forms are equal. Raises ValueError on an invalid value.
    """
    return value._digest
