"""The header of a GGUF file: what it says of the model, without its vocabulary and its weights.

Layout (ggml ``docs/gguf.md``): magic, version, number of tensors and of metadata entries, the
entries, the tensor table, padding, data. Little endian throughout. Arrays that nobody asks for,
such as a vocabulary of a million strings, are walked over and only counted.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.errors import ModelError
from hgx.gguf.cursor import Cursor
from hgx.gguf.quant import QuantType, by_id
from hgx.gguf.source import ByteSource, open_file
from hgx.units import format_bytes

if TYPE_CHECKING:
    import os

Scalar = bool | int | float | str
Numbers = tuple[bool | int | float, ...]

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_STRING, _ARRAY = 8, 9
_FORMATS: Final = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))
"""Struct format of each fixed-size value type, by its number in the file."""

_KEPT_STRING = 1024
"""Longest string that is kept, in bytes; a chat template is longer and only its presence counts."""

_KEPT_ARRAY = 1024
"""Longest array of numbers that is kept; llama.cpp allows 512 blocks."""

_MAX_NAME = 65535
_MAX_ENTRIES = 1 << 16
_MAX_TENSORS = 1 << 17
_MAX_DIMS = 4
_MAX_ELEMENTS = 1 << 63


class TensorInfo(NamedTuple):
    """One row of the tensor table.

    Attributes:
        name: As in the file, ``blk.0.attn_q.weight``.
        shape: Elements per dimension, the contiguous one first.
        type: How its elements are stored.
        offset: Where its data begins, in bytes from the beginning of all data.
        size: Bytes of its data.
    """

    name: str
    shape: tuple[int, ...]
    type: QuantType
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """Number of its elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """What one GGUF file says before its data.

    Attributes:
        name: What the file is called in messages.
        file_bytes: Its size.
        metadata: Scalars, short strings and short arrays of numbers, by key.
        lengths: Length of every array and of every string too long to be kept, by key.
        tensors: Its tensor table, in order of offset.
    """

    name: str
    file_bytes: int
    metadata: dict[str, Scalar | Numbers]
    lengths: dict[str, int]
    tensors: tuple[TensorInfo, ...]

    def has(self, key: str) -> bool:
        """Whether the file has this metadata entry, kept or not."""
        return key in self.metadata or key in self.lengths

    def text(self, key: str) -> str | None:
        """The string of this key, or None where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        """The whole number of this key, or None where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def numbers(self, key: str) -> Numbers | None:
        """The array of numbers of this key, or None where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, tuple) else None


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read the header of one file; of a split model, of that part only.

    Raises:
        ModelError: It is missing, not GGUF, of another version, damaged or cut short.
    """
    with open_file(path) as source:
        return parse_header(source)


def parse_header(source: ByteSource) -> Header:
    """Read a header from any source of bytes.

    Memory is bounded by the tensor table and short metadata, time by the length of the header.

    Raises:
        ModelError: It is not GGUF, of another version, damaged or cut short.
    """
    cursor = Cursor(source)
    _check_magic(cursor)
    n_tensor, n_entry = cursor.u64(), cursor.u64()
    # The least an entry takes is a key of one letter and a byte; a tensor, a name and one number.
    if n_entry > min(_MAX_ENTRIES, cursor.remaining // 14):
        cursor.fail(f"{n_entry} metadata entries are announced")
    if n_tensor > min(_MAX_TENSORS, cursor.remaining // 24):
        cursor.fail(f"{n_tensor} tensors are announced")
    metadata: dict[str, Scalar | Numbers] = {}
    lengths: dict[str, int] = {}
    for _ in range(n_entry):
        key = _name(cursor)
        if key in metadata or key in lengths:
            cursor.fail(f"the metadata key {key!a} occurs twice")
        _read_value(cursor, key, metadata, lengths)
    alignment = _alignment(cursor, metadata)
    tensors = _read_tensors(cursor, n_tensor, alignment)
    _check_complete(source, -(-cursor.position // alignment) * alignment, tensors)
    return Header(source.name, source.size, metadata, lengths, tensors)


def _check_magic(cursor: Cursor) -> None:
    source = cursor.source
    first = source.read(0, 8)
    if first[:4] != _MAGIC:
        msg = f"{source.name} is not a GGUF file: it begins with {first[:4]!r}; name a .gguf file"
        raise ModelError(msg)
    cursor.skip(len(_MAGIC))
    version = cursor.u32()
    if version in _VERSIONS:
        return
    if int.from_bytes(first[4:], "big") in _VERSIONS:
        msg = f"{source.name} is a big-endian GGUF file: get the little-endian one of this model"
    else:
        advice = "convert the model again" if version < 2 else "update hgx or get version 3"
        msg = f"{source.name} is GGUF version {version}, hgx reads 2 and 3: {advice}"
    raise ModelError(msg)


def _name(cursor: Cursor) -> str:
    length = cursor.u64()
    if not 0 < length <= _MAX_NAME:
        cursor.fail(f"a name of {length} bytes")
    return cursor.take(length).decode(errors="replace")


def _read_value(
    cursor: Cursor, key: str, metadata: dict[str, Scalar | Numbers], lengths: dict[str, int]
) -> None:
    kind = cursor.u32()
    if kind == _ARRAY:
        lengths[key], numbers = _read_array(cursor, key)
        if numbers is not None:
            metadata[key] = numbers
    elif kind == _STRING:
        length = cursor.u64()
        if length <= _KEPT_STRING:
            metadata[key] = cursor.take(length).decode(errors="replace")
        else:
            lengths[key] = length
            cursor.skip(length)
    else:
        metadata[key] = _unpack(cursor, key, kind, 1)[0]


def _read_array(cursor: Cursor, key: str) -> tuple[int, Numbers | None]:
    kind, count = cursor.u32(), cursor.u64()
    if kind == _ARRAY:
        cursor.fail(f"the metadata key {key!a} has an array of arrays")
    if kind == _STRING:
        cursor.skip_strings(count)
        return count, None
    if count <= _KEPT_ARRAY:
        return count, _unpack(cursor, key, kind, count)
    cursor.skip(count * struct.calcsize(_format(cursor, key, kind)))
    return count, None


def _unpack(cursor: Cursor, key: str, kind: int, count: int) -> Numbers:
    layout = struct.Struct(f"<{count}{_format(cursor, key, kind)}")
    return layout.unpack(cursor.take(layout.size))


def _format(cursor: Cursor, key: str, kind: int) -> str:
    if kind not in _FORMATS:
        cursor.fail(f"the metadata key {key!a} has the unknown value type {kind}")
    return _FORMATS[kind]


def _alignment(cursor: Cursor, metadata: dict[str, Scalar | Numbers]) -> int:
    value = metadata.get("general.alignment", 32)
    if not isinstance(value, int) or value < 1 or value & (value - 1):
        cursor.fail(f"general.alignment is {value!a}, not a power of two")
    return value


def _read_tensors(cursor: Cursor, count: int, alignment: int) -> tuple[TensorInfo, ...]:
    tensors: dict[str, TensorInfo] = {}
    expected = 0
    for _ in range(count):
        tensor = _read_tensor(cursor)
        if tensor.name in tensors:
            cursor.fail(f"the tensor {tensor.name!a} occurs twice")
        # llama.cpp refuses gaps and overlaps too, so a file that has them is damaged.
        if tensor.offset != expected:
            cursor.fail(f"the tensor {tensor.name!a} begins at {tensor.offset}, not {expected}")
        tensors[tensor.name] = tensor
        expected = -(-(expected + tensor.size) // alignment) * alignment
    return tuple(tensors.values())


def _read_tensor(cursor: Cursor) -> TensorInfo:
    name = _name(cursor)
    n_dim = cursor.u32()
    if not 0 < n_dim <= _MAX_DIMS:
        cursor.fail(f"the tensor {name!a} has {n_dim} dimensions")
    shape = struct.unpack(f"<{n_dim}Q", cursor.take(8 * n_dim))
    if not 0 < math.prod(shape) < _MAX_ELEMENTS:
        cursor.fail(f"the tensor {name!a} has the shape {shape}")
    number = cursor.u32()
    kind = by_id(number)
    if kind is None:
        cursor.fail(f"the tensor {name!a} has the unknown type {number}", " or update hgx")
    if shape[0] % kind.block:
        cursor.fail(
            f"the tensor {name!a} has rows of {shape[0]} elements, impossible in {kind.name},"
        )
    size = kind.row_bytes(shape[0]) * math.prod(shape[1:])
    return TensorInfo(name, shape, kind, cursor.u64(), size)


def _check_complete(source: ByteSource, data: int, tensors: tuple[TensorInfo, ...]) -> None:
    missing = data + tensors[-1].offset + tensors[-1].size - source.size if tensors else 0
    if missing > 0:
        msg = (
            f"{source.name} is incomplete: the last {format_bytes(missing)} ({missing} bytes) "
            f"are missing; {source.cure}"
        )
        raise ModelError(msg)
