"""Write GGUF files (version 3, little endian): a header, the tensor table, and data piece by piece.

The layout is that of ggml's ``docs/gguf.md``; see ``hgx.gguf.header`` for the reader. The type of a
metadata entry follows from its Python type.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.gguf.quant import by_name

if TYPE_CHECKING:
    from pathlib import Path

ALIGNMENT: Final = 32
"""Every tensor's data begins at a multiple of it, in bytes; the format's default."""

Scalar = bool | int | float | str
Value = Scalar | Sequence[Scalar]

_U32, _I32, _F32, _BOOL, _STRING, _ARRAY, _U64 = 4, 5, 6, 7, 8, 9, 10
_FORMATS: Final = {_U32: "<I", _I32: "<i", _F32: "<f", _BOOL: "<?", _U64: "<Q"}


class Tensor(NamedTuple):
    """One row of the tensor table.

    Attributes:
        name: As llama.cpp names it, ``blk.0.attn_q.weight``.
        shape: Elements per dimension, the contiguous one first.
        type: Name of its quantisation type, ``Q4_K``.
    """

    name: str
    shape: tuple[int, ...]
    type: str

    @property
    def size(self) -> int:
        """Bytes of its data.

        Raises:
            ValueError: Its rows are no whole number of the type's blocks.
        """
        return math.prod(self.shape[1:]) * by_name(self.type).row_bytes(self.shape[0])


Fill = Callable[[Tensor], Iterable[bytes]]
"""Gives the data of a tensor in pieces, which together have its size."""


def build_header(
    metadata: Mapping[str, Value], tensors: Sequence[Tensor], *, version: int = 3
) -> tuple[bytes, int]:
    """Return the header, padded to where the data begins, and the bytes of data behind it.

    Args:
        metadata: Keys and values.
        tensors: The tensor table.
        version: GGUF version to declare.

    Raises:
        ValueError: A tensor's rows are no whole number of its type's blocks.
    """
    ends = list(accumulate(_padded(tensor.size) for tensor in tensors))
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_string(key), _typed(value)]
    for tensor, offset in zip(tensors, [0, *ends], strict=False):
        dims = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        number = by_name(tensor.type).id
        parts += [_string(tensor.name), dims, struct.pack("<IQ", number, offset)]
    header = b"".join(parts)
    return header.ljust(_padded(len(header)), b"\0"), ends[-1] if ends else 0


def write_gguf(
    path: Path, metadata: Mapping[str, Value], tensors: Sequence[Tensor], fill: Fill
) -> None:
    """Write a file, one piece of data after the other, so that memory does not grow with it.

    Args:
        path: File to write; one that is there is replaced.
        metadata: Keys and values.
        tensors: The tensor table.
        fill: Gives the data.

    Raises:
        OSError: It could not be written; what was written is gone.
    """
    header, _ = build_header(metadata, tensors)
    try:
        with path.open("wb") as file:
            file.write(header)
            for tensor in tensors:
                for piece in fill(tensor):
                    file.write(piece)
                file.write(bytes(_padded(tensor.size) - tensor.size))
    except BaseException:  # an interrupt too: half a model is of no use
        path.unlink(missing_ok=True)
        raise


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Value) -> bytes:
    kind = _kind(value)
    if isinstance(value, (bool, int, float, str)):
        return struct.pack("<I", kind) + _plain(kind, value)
    inner = max((_kind(item) for item in value), default=_U32)
    if inner == _U32 and all(item < 2**31 for item in value if isinstance(item, int)):
        inner = _I32  # llama.cpp wants kinds of tokens so, and takes either elsewhere
    body = b"".join(_plain(inner, item) for item in value)
    return struct.pack("<IIQ", kind, inner, len(value)) + body


def _kind(value: Value) -> int:
    match value:
        case bool():
            return _BOOL
        case int():
            return _U32 if 0 <= value < 2**32 else _I32 if -(2**31) <= value < 0 else _U64
        case float():
            return _F32
        case str():
            return _STRING
        case _:
            return _ARRAY


def _plain(kind: int, value: Scalar) -> bytes:
    return _string(value) if isinstance(value, str) else struct.pack(_FORMATS[kind], value)
