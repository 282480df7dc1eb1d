"""Write GGUF files for tests: real headers and tensor tables, sparse data.

A file takes as much disk as its header, whatever the size of the model it describes, so that
models of hundreds of gigabytes are test cases. The vocabulary is a bare count
(``tokenizer.ggml.model = "no_vocab"``), which llama.cpp loads too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.gguf.writer import ALIGNMENT, Tensor, Value, build_header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["ALIGNMENT", "Tensor", "Value", "build", "write_gguf"]


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
    return build_header(metadata, [Tensor(*row) for row in tensors], version=version)
