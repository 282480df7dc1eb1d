"""Write GGUF files for tests: real headers and tensor tables, sparse data.

A file takes as much disk as its header, whatever the size of the model it describes, so that
models of hundreds of gigabytes are test cases. The vocabulary is a bare count
(``tokenizer.ggml.model = "no_vocab"``), which llama.cpp loads too.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.gguf.quant import by_name

if TYPE_CHECKING:
    from pathlib import Path

ALIGNMENT: Final = 32

Scalar = bool | int | float | str
Value = Scalar | Sequence[Scalar]


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
        """Bytes of its data."""
        return math.prod(self.shape[1:]) * by_name(self.type).row_bytes(self.shape[0])


def write_gguf(
    path: Path,
    metadata: Mapping[str, Value],
    tensors: Sequence[Tensor | tuple[str, tuple[int, ...], str]],
    *,
    version: int = 3,
) -> Path:
    """Write a header and a tensor table, then extend the file to its full size without data.

    Args:
        path: File to write.
        metadata: Keys and values; the type of a value follows from its Python type.
        tensors: Name, shape (contiguous dimension first) and type of each tensor.
        version: GGUF version to declare.

    Returns:
        The path.
    """
    header, data_bytes = build(metadata, tensors, version=version)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + data_bytes)
    return path


def build(
    metadata: Mapping[str, Value],
    tensors: Sequence[Tensor | tuple[str, tuple[int, ...], str]],
    *,
    version: int = 3,
) -> tuple[bytes, int]:
    """Return the header, padded to where the data begins, and the bytes of data behind it."""
    rows = [Tensor(*row) for row in tensors]
    ends = list(accumulate(_padded(row.size) for row in rows))
    parts = [b"GGUF", struct.pack("<IQQ", version, len(rows), len(metadata))]
    for key, value in metadata.items():
        parts += [_string(key), _typed(value)]
    for row, offset in zip(rows, [0, *ends], strict=False):
        dims = struct.pack(f"<I{len(row.shape)}Q", len(row.shape), *row.shape)
        parts += [_string(row.name), dims, struct.pack("<IQ", by_name(row.type).id, offset)]
    header = b"".join(parts)
    return header.ljust(_padded(len(header)), b"\0"), ends[-1] if ends else 0


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Value) -> bytes:
    kind = _kind(value)
    if kind != 9:
        return struct.pack("<I", kind) + _plain(kind, value)
    assert isinstance(value, Sequence)
    inner = max((_kind(item) for item in value), default=4)
    body = b"".join(_plain(inner, item) for item in value)
    return struct.pack("<IIQ", kind, inner, len(value)) + body


def _kind(value: Value) -> int:
    match value:
        case bool():
            return 7
        case int():
            return 4 if 0 <= value < 2**32 else 5 if -(2**31) <= value < 0 else 10
        case float():
            return 6
        case str():
            return 8
        case _:
            return 9


def _plain(kind: int, value: Value) -> bytes:
    if isinstance(value, str):
        return _string(value)
    return struct.pack({4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q"}[kind], value)
