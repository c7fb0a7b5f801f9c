"""Frozen, validated values and their identity (torch-free).

A value's canonical form leaves out the fields that stand at their default and those that do not
change the numbers (marked ``Meta(extra=NOT_IDENTITY)``); its digest is the sha256 of that form.
"""

import hashlib
import json
import math
from typing import (
    Annotated,
    Any,
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


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every frozen value. Raises ValueError on a float that is not finite."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            _require_finite(getattr(self, name), f"{type(self).__name__}.{name}")


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

    Raises msgspec.ValidationError (a ValueError) that names the field.
    """
    return msgspec.convert(msgspec.to_builtins(value), type(value))


def decode(text: bytes | str, kind: type[V]) -> V:
    """A value from its JSON text; unknown fields and values of another type are errors."""
    return msgspec.json.decode(text, type=kind)


def encode(value: Value) -> bytes:
    """The whole value as indented JSON, with the fields that stand at their default."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


_identity_fields: dict[type, list[tuple[str, Any]]] = {}


def _fields_of_identity(kind: type[Value]) -> list[tuple[str, Any]]:
    """Name and default of the fields of ``kind`` that belong to its identity."""
    if kind not in _identity_fields:
        hints = get_type_hints(kind, include_extras=True)
        _identity_fields[kind] = [
            (field.name, _default(field))
            for field in msgspec.structs.fields(kind)
            if not _is_left_out(hints[field.name])
        ]
    return _identity_fields[kind]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _is_left_out(hint: Any) -> bool:
    if get_origin(hint) is not Annotated:
        return False
    metas = [meta for meta in get_args(hint)[1:] if isinstance(meta, msgspec.Meta)]
    return any((meta.extra or {}).get("identity") is False for meta in metas)


def canonical(value: object) -> Any:
    """The part of a value that changes numbers, as plain JSON types."""
    if isinstance(value, Value):
        tag = value.__struct_config__.tag
        form = {} if tag is None else {str(value.__struct_config__.tag_field): tag}
        for name, default in _fields_of_identity(type(value)):
            item = getattr(value, name)
            if default is msgspec.NODEFAULT or item != default:
                form[name] = canonical(item)
        return form
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [canonical(item) for item in value]
    return value


def digest(value: Value) -> str:
    """Sixteen hexadecimal digits that name the value.

    Equal for two values whose canonical forms are equal. Raises ValueError on an invalid value.
    """
    form = json.dumps(
        canonical(validated(value)), sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(form.encode()).hexdigest()[:DIGEST_LENGTH]
