"""Files of torch.save are read without running anything in them, whatever lies beside the tensors.

torch itself refuses a whole file for one unknown class in it: a namespace of arguments, a path, a
numpy number. Here such classes become stand-ins, which take what they are given and do nothing.
"""

import io
import pickletools
import warnings
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from typing import Any, NoReturn

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

ZIP = b"PK"
TORCHSCRIPT = b"constants.pkl"
PICKLES = 5  # of a file older than torch 1.6: magic number, version, machine, content, storages


class UnsafeFile(ValueError):
    """A file that is none of torch.save, or that cannot be read without running code in it."""


class _Kind(type):
    """Says that it is dict where torch's reader asks whether items may be set on its object."""

    def __eq__(cls, other: object) -> bool:
        return cls is other or other is dict

    __hash__ = type.__hash__


class StandIn(list[Any], metaclass=_Kind):
    """In place of an object of a class that torch does not know: built, filled, and inert."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setitem__(self, _key: Any, _value: Any) -> None:
        """Nothing is kept."""

    def __setstate__(self, _state: object) -> None:
        """Nothing is kept."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def unpickled(data: bytes) -> Any:
    """The content of a file of torch.save, its tensors on the CPU, unknown objects as stand-ins.

    Raises UnsafeFile, in words of one line.
    """
    if data.startswith(ZIP) and TORCHSCRIPT in data:
        raise UnsafeFile("it is a TorchScript archive: save the network's state_dict() instead")
    names: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old pickles: what matters of them is an error
            names = sorted(set(_unknown(data)))
            with safe_globals([(_stand_in(name), name) for name in names]):
                return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises what the file makes it raise
        _refuse(error, names)


def _unknown(data: bytes) -> Iterator[str]:
    """The names of functions and classes in the file that torch does not take for safe."""
    if data.startswith(ZIP):
        yield from get_unsafe_globals_in_checkpoint(io.BytesIO(data))
        return
    file = io.BytesIO(data)
    for _ in range(PICKLES):
        for operation, argument, _ in pickletools.genops(file):
            if operation.name == "GLOBAL":
                yield _of_today(*str(argument).split(" ", maxsplit=1))


def _of_today(module: str, name: str) -> str:
    """A name as Python 3 has it: protocol 2, which torch writes, has Python 2's."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


def _stand_in(name: str) -> type:
    return _Kind(name, (StandIn,), {"__module__": StandIn.__module__})


def _refuse(error: Exception, names: list[str]) -> NoReturn:
    """In words of our own: torch's end in advice to load the file unsafely."""
    blocked = [
        name for name in names if f"module {name.partition('.')[0]} is blocked" in str(error)
    ]
    if blocked:
        raise UnsafeFile(f"it would run {', '.join(blocked)}: do not use it") from error
    raise UnsafeFile(
        "it is damaged, or not of torch.save or safetensors, or in a way of pickling that cannot "
        f"be read safely ({type(error).__name__}): save the network's state_dict() anew"
    ) from error
