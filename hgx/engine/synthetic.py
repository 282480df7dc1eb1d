"""Small models of invented weights: what an engine is measured and tested with.

A dense llama whose matrices are all of one type. Its numbers mean nothing, but every one of them is
finite and normal: bytes are drawn from 0x04..0x33, and any F32, F16 or BF16 made of those is.

Scales are spread as those of a trained model are. llama.cpp looks them up in a table of 256 KiB on
most CPUs, so that scales from all over it fall out of the nearest cache: with them Q8_0 takes half
as long again (14.9 against 9.4 ms for the output head of Gemma 3 270M).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.errors import StorageError
from hgx.gguf.quant import by_name
from hgx.gguf.writer import Tensor, build_header, write_gguf
from hgx.store.atomic import shown_path, storage_error
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hgx.gguf.writer import Value

TYPES: Final = (
    *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"),
    *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    *("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"),
    *("TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0", "Q2_0"),
)
"""Types of matrices that llama.cpp multiplies with (build 11434, on the CPU)."""

_VOCABULARY: Final = ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)))
"""The least that llama.cpp takes for a tokenizer of the kind of SentencePiece."""

NOT_ASCII: Final = range(3 + 0x80, 3 + 0x100)
"""Tokens of bytes that are no character by themselves."""

_UNKNOWN, _CONTROL, _BYTE, _NORMAL = 2, 3, 6, 1  # kinds of tokens, as in llama.h

_LOWEST, _HIGHEST = 0x04, 0x33
_PIECE: Final = 4 * 1024**2

_SCALE_LOG2, _SCALE_SPREAD = -5.0, 0.5
"""Logarithm of the scales to base 2, and how it deviates: as in the matrices of Gemma 3 270M, which
deviate by 0.5 to 0.8 as a whole, and less among neighbours."""

_SIGNED: Final = frozenset({"Q4_0", "Q5_0", "Q3_K", "Q6_K", "IQ4_NL", "IQ4_XS"})
"""Types whose scales are as often negative."""

_SCALES_AT: Final = {
    **dict.fromkeys(("Q4_0", "Q5_0", "Q8_0", "Q1_0", "Q2_0", "IQ1_S", "IQ4_NL", "IQ4_XS"), (0,)),
    **dict.fromkeys(("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"), (0,)),
    **dict.fromkeys(("Q4_1", "Q5_1", "Q4_K", "Q5_K"), (0, 2)),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q6_K": (208,),
    "TQ1_0": (52,),
    "TQ2_0": (64,),
}
"""Bytes in a block before each F16 that scales it (``ggml-common.h``, llama.cpp build 11434); other
types have scales of another kind, or none."""

_EMBEDDING_TYPE: Final = "F16"

_NORM: Final = 1e-3
"""Weight of every norm: keeps results of quantised matrices, up to some hundreds each, in range."""


class Shape(NamedTuple):
    """A dense llama, in elements.

    Attributes:
        n_block: Transformer blocks.
        n_embd: Width of the hidden state.
        n_ff: Width of the feed-forward part.
        n_head: Attention heads; they divide ``n_embd``.
        n_head_kv: Of keys and values; they divide ``n_head``.
        n_vocab: Tokens, at least 259.
    """

    n_block: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int
    n_vocab: int = 512


def model_bytes(shape: Shape, kind: str) -> int:
    """Predict the size of the file of such a model.

    Raises:
        ValueError: A width is no whole number of the type's blocks.
    """
    header, data = build_header(_metadata(shape), _tensors(shape, kind))
    return len(header) + data


def write_model(path: Path, shape: Shape, kind: str, seed: int = 0) -> None:
    """Write such a model; the same arguments give the same bytes.

    Args:
        path: File to write.
        shape: Its sizes.
        kind: Type of all its matrices but the token embedding, which is F16.
        seed: Of the weights.

    Raises:
        ValueError: A width is no whole number of the type's blocks.
        StorageError: There is no room for it, or the place is not writable; no file is left.
    """
    size = model_bytes(shape, kind)
    pieces = {name: _piece(name, np.random.default_rng(seed)) for name in {kind, _EMBEDDING_TYPE}}

    def fill(tensor: Tensor) -> Iterator[bytes]:
        if len(tensor.shape) == 1:
            yield np.full(tensor.shape, _NORM, np.float32).tobytes()
            return
        piece = pieces[tensor.type]
        for begin in range(0, tensor.size, len(piece)):
            yield piece[: tensor.size - begin]

    try:
        free = shutil.disk_usage(path.parent).free
        if free < size:
            msg = f"a model for measuring needs {format_bytes(size)} in {shown_path(path.parent)}, "
            raise StorageError(f"{msg}where {format_bytes(free)} are free: free some space there")
        write_gguf(path, _metadata(shape), _tensors(shape, kind), fill)
    except OSError as error:
        raise storage_error("write", path, error) from error


def block_bytes(shape: Shape, kind: str) -> int:
    """Bytes of the matrices of one block."""
    return sum(tensor.size for tensor in _block(0, shape, kind) if len(tensor.shape) > 1)


def head_bytes(shape: Shape, kind: str) -> int:
    """Bytes of the matrix of the output head."""
    return by_name(kind).row_bytes(shape.n_embd) * shape.n_vocab


def _piece(kind: str, random: np.random.Generator) -> bytes:
    """Draw some whole blocks of a type."""
    block_bytes = by_name(kind).block_bytes
    size = (_PIECE // block_bytes, block_bytes)
    drawn = random.integers(_LOWEST, _HIGHEST, size, np.uint8, endpoint=True)
    for at in _SCALES_AT.get(kind, ()):
        scales = np.exp2(random.normal(_SCALE_LOG2, _SCALE_SPREAD, len(drawn)))
        if kind in _SIGNED:
            scales *= random.choice((-1.0, 1.0), len(drawn))
        drawn[:, at : at + 2] = scales.astype("<f2")[:, None].view(np.uint8)
    return drawn.tobytes()


def _metadata(shape: Shape) -> dict[str, Value]:
    more = [f"t{number}" for number in range(len(_VOCABULARY), shape.n_vocab)]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_NORMAL] * len(more)]
    return {
        "general.architecture": "llama",
        "general.name": "synthetic",
        "llama.block_count": shape.n_block,
        "llama.context_length": 32768,
        "llama.embedding_length": shape.n_embd,
        "llama.feed_forward_length": shape.n_ff,
        "llama.attention.head_count": shape.n_head,
        "llama.attention.head_count_kv": shape.n_head_kv,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [*_VOCABULARY, *more],
        "tokenizer.ggml.scores": [0.0] * (len(_VOCABULARY) + len(more)),
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def _tensors(shape: Shape, kind: str) -> list[Tensor]:
    tensors = [Tensor("token_embd.weight", (shape.n_embd, shape.n_vocab), _EMBEDDING_TYPE)]
    for index in range(shape.n_block):
        tensors += _block(index, shape, kind)
    return [
        *tensors,
        Tensor("output_norm.weight", (shape.n_embd,), "F32"),
        Tensor("output.weight", (shape.n_embd, shape.n_vocab), kind),
    ]


def _block(index: int, shape: Shape, kind: str) -> list[Tensor]:
    kv = shape.n_embd // shape.n_head * shape.n_head_kv
    matrices = {
        "attn_q": (shape.n_embd, shape.n_embd),
        "attn_k": (shape.n_embd, kv),
        "attn_v": (shape.n_embd, kv),
        "attn_output": (shape.n_embd, shape.n_embd),
        "ffn_gate": (shape.n_embd, shape.n_ff),
        "ffn_up": (shape.n_embd, shape.n_ff),
        "ffn_down": (shape.n_ff, shape.n_embd),
    }
    norms = ("attn_norm", "ffn_norm")
    return [
        *(Tensor(f"blk.{index}.{name}.weight", (shape.n_embd,), "F32") for name in norms),
        *(Tensor(f"blk.{index}.{name}.weight", size, kind) for name, size in matrices.items()),
    ]
