"""Integers at their true width in a file: 2-bit weights take 2 bits.

It is a safetensors file: nothing in it is executed, and the format's own checks refuse a truncated
or an oversized one. Each layer's codes are bytes (`packed_bits`). Every other tensor is stored as
it is, the scales and the offsets as one tensor each. The header has each layer's shape, bits,
lowest and highest code, and a checksum over header and tensors.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from qkd.records.files import write_atomically
from qkd.spec.value import Value, decode, validated

SCALES, OFFSETS = ".scales", ".offsets"  # no tensor of a network has a name with a dot in front


Code = Annotated[int, msgspec.Meta(ge=-(2**15), le=2**15 - 1)]


class BadPackedFile(ValueError):
    """A packed file that cannot be used: damaged, foreign, or of another version."""


class Integers(NamedTuple):
    """A tensor as ``scale * codes + offset``.

    ``codes`` are int16 of the tensor's shape, from ``lowest`` to ``highest``, which are less than
    2^``bits`` apart; ``scale`` and ``offset`` are float32 scalars in the tensor's own unit.
    """

    codes: Tensor
    bits: int
    lowest: int
    highest: int
    scale: Tensor
    offset: Tensor

    def values(self) -> Tensor:
        """The tensor itself, in float32."""
        return self.codes.float() * self.scale + self.offset


class Packed(NamedTuple):
    """What a packed file holds: tensors as integers, and those that stay as they are, by name."""

    integers: dict[str, Integers]
    tensors: dict[str, Tensor]

    def values(self) -> dict[str, Tensor]:
        """Every tensor by name, the integers as the float32 values that they stand for."""
        return {name: one.values() for name, one in self.integers.items()} | self.tensors


class _Layer(Value, kw_only=True):
    shape: tuple[Annotated[int, msgspec.Meta(ge=0)], ...]
    bits: Annotated[int, msgspec.Meta(ge=1, le=8)]
    lowest: Code
    highest: Code

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.highest - self.lowest < 2**self.bits:
            raise ValueError(
                f"codes from {self.lowest} to {self.highest} do not fit into {self.bits} bits"
            )


class _Header(Value, kw_only=True):
    format: Literal["packed integers"] = "packed integers"
    version: Literal[1] = 1
    layers: dict[str, _Layer]
    sha256: str = ""


def packed_bits(codes: Tensor, bits: int) -> Tensor:
    """Numbers from 0 to 2^bits - 1 as one row of bits, lowest bit first: uint8 (bytes).

    The last byte is filled up with zeros.
    """
    numbers = codes.numpy().astype(np.uint8).reshape(-1, 1)
    as_bits = np.unpackbits(numbers, axis=1, count=bits, bitorder="little")
    return torch.from_numpy(np.packbits(as_bits, bitorder="little"))


def unpacked_bits(packed: Tensor, bits: int, count: int) -> Tensor:
    """The first ``count`` numbers of what `packed_bits` returned: int16 (count)."""
    as_bits = np.unpackbits(packed.numpy(), count=count * bits, bitorder="little")
    numbers = np.packbits(as_bits.reshape(count, bits), axis=1, bitorder="little")
    return torch.from_numpy(numbers.reshape(count).astype(np.int16))


def encode(content: Packed) -> bytes:
    """The file's bytes; the same bytes from the same content.

    Raises ValueError where codes lie outside their bounds, where the bounds do not fit into the
    bits, where a name is both in ``integers`` and in ``tensors``, and where a scale or offset is no
    float32 scalar.
    """
    layers: dict[str, _Layer] = {}
    tensors = {name: _on_the_cpu(tensor) for name, tensor in content.tensors.items()}
    ordered = sorted(content.integers.items())
    for name, one in ordered:
        if name in tensors:
            raise ValueError(f"{name} is to be packed both as integers and as it is")
        tensors[name] = _packed_layer(name, one)
        shape = tuple(one.codes.shape)
        layers[name] = validated(
            _Layer(shape=shape, bits=one.bits, lowest=one.lowest, highest=one.highest)
        )
    if ordered:
        tensors[SCALES] = _stacked([one.scale for _, one in ordered])
        tensors[OFFSETS] = _stacked([one.offset for _, one in ordered])
    header = _Header(layers=layers)
    header = msgspec.structs.replace(header, sha256=_checksum(header, tensors))
    # One key: the library writes several in an order that changes from run to run.
    metadata = {"header": msgspec.json.encode(header).decode()}
    return save({name: tensor.numpy() for name, tensor in tensors.items()}, metadata)


# What a file that `write` did not write may raise.
FOREIGN = (SafetensorError, ValueError, TypeError, RuntimeError, OSError, KeyError, OverflowError)


def write(path: Path, content: Packed) -> None:
    """Writes a packed file, whole or not at all. Raises ValueError as `encode`, and OSError."""
    write_atomically(path, encode(content))


def read(path: Path) -> Packed:
    """What `write` was given, bit for bit.

    Raises BadPackedFile, naming the file and what is wrong with it, and FileNotFoundError.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = decode((file.metadata() or {}).get("header", ""), _Header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        checksum = _checksum(msgspec.structs.replace(header, sha256=""), tensors)
        if checksum != header.sha256:
            raise ValueError("its checksum is not that of its content")
        return _content(header, tensors)
    except FileNotFoundError:
        raise
    except FOREIGN as error:
        raise BadPackedFile(
            f"{path} is no whole packed file of version 1: {error}. Export it again"
        ) from error


def _on_the_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _packed_layer(name: str, one: Integers) -> Tensor:
    codes = _on_the_cpu(one.codes)
    if codes.numel() and not one.lowest <= codes.min() <= codes.max() <= one.highest:
        raise ValueError(
            f"{name} has codes from {codes.min()} to {codes.max()}, outside {one.lowest} to "
            f"{one.highest}"
        )
    return packed_bits(codes - one.lowest, one.bits)


def _stacked(scalars: list[Tensor]) -> Tensor:
    for scalar in scalars:
        if scalar.dtype != torch.float32 or scalar.ndim:
            raise ValueError(f"a scale or offset is no float32 scalar: {scalar}")
    return _on_the_cpu(torch.stack(scalars))


def _checksum(header: _Header, tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of the header, its own checksum aside, and of every tensor."""
    sha = hashlib.sha256(msgspec.json.encode(header))
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha.update(tensor.numpy().tobytes())
    return sha.hexdigest()


def _content(header: _Header, tensors: dict[str, Tensor]) -> Packed:
    """The content of a file whose checksum is right. Raises ValueError where it is not whole."""
    names = list(header.layers)
    scales, offsets = (_scalars(tensors, name, len(names)) for name in (SCALES, OFFSETS))
    integers = {
        name: _integers(name, header.layers[name], tensors.pop(name), scale, offset)
        for name, scale, offset in zip(names, scales, offsets, strict=True)
    }
    return Packed(integers, tensors)


def _scalars(tensors: dict[str, Tensor], name: str, count: int) -> tuple[Tensor, ...]:
    if not count:
        return ()
    found = tensors.pop(name)
    if found.dtype != torch.float32 or found.shape != (count,):
        raise ValueError(f"{name} is not one float32 number for each of {count} layers")
    return found.unbind()


def _integers(name: str, layer: _Layer, packed: Tensor, scale: Tensor, offset: Tensor) -> Integers:
    count = math.prod(layer.shape)
    needed = -(-count * layer.bits // 8)
    if packed.dtype != torch.uint8 or packed.shape != (needed,):
        raise ValueError(
            f"{name} takes {needed} bytes, not {packed.dtype} of shape {list(packed.shape)}"
        )
    numbers = unpacked_bits(packed, layer.bits, count)
    codes = (numbers + layer.lowest).reshape(layer.shape)
    if count and codes.max() > layer.highest:
        raise ValueError(f"{name} has a code above the highest, {layer.highest}")
    return Integers(codes, layer.bits, layer.lowest, layer.highest, scale.clone(), offset.clone())
