"""What each block of a model keeps per token, from the metadata of its architecture.

Facts as in llama.cpp build 11434 (``llama-hparams.cpp``, ``llama-model.cpp``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.core.workload import KvShape

if TYPE_CHECKING:
    from hgx.gguf.hyper import Hyper

_STATE_BYTES: Final = 4
"""Recurrent state is kept as F32."""

_INTERVAL: Final = 4
"""Every so many blocks one attends, where recurrent ones alternate and the file gives no number."""

_RESULTS: Final = 10
_RESULTS_ALONE: Final = 18
"""Results of inner width that a recurrent mixer holds at once, beside attention blocks and in a
model of nothing else, where their order is not known; on the safe side."""


class BlockShape(NamedTuple):
    """One block as the metadata describes it, in elements.

    Attributes:
        kv: What it keeps per token.
        n_head: Attention heads; 0 without attention.
        head_k: Width of the key a head compares with.
        head_v: Width of the value a head gives.
        query: Width of all queries, before they move to the space of latent keys if there is one.
        latent: Whether keys and values are latent (MLA), shared by all heads.
        mixer: Width of all results a recurrent mixer holds at once; 0 without one.
    """

    kv: KvShape
    n_head: int = 0
    head_k: int = 0
    head_v: int = 0
    query: int = 0
    latent: bool = False
    mixer: int = 0


def block_shapes(hyper: Hyper) -> tuple[BlockShape, ...]:
    """Describe every block that a token passes through.

    Raises:
        ModelError: The metadata lacks what its architecture needs, or contradicts itself.
    """
    heads = hyper.per_block("attention.head_count")
    given = hyper.has("attention.head_count_kv")
    kv_heads = hyper.per_block("attention.head_count_kv") if given else heads
    attends, recurs = _mixers(hyper, kv_heads)
    windows = _windows(hyper, attends)
    state = _state_bytes(hyper, max(heads))
    return tuple(
        _block(
            hyper,
            index,
            heads=(heads[index], kv_heads[index]) if attends[index] else (0, 0),
            window=windows[index],
            state=state if recurs[index] else 0,
        )
        for index in range(hyper.n_trunk)
    )


def _block(
    hyper: Hyper, index: int, *, heads: tuple[int, int], window: int | None, state: int
) -> BlockShape:
    n_head, n_kv = heads
    mixer = _mixer_width(hyper) if state else 0
    if not n_head:
        return BlockShape(KvShape(state_bytes=state), mixer=mixer)
    # llama.cpp divides by the first block's heads, wherever the file gives no width of a head.
    each = hyper.required("embedding_length") // (
        hyper.per_block("attention.head_count")[0] or n_head
    )
    head_k = hyper.scalar("attention.key_length", each)
    head_v = hyper.scalar("attention.value_length", each)
    if window is not None:
        head_k = hyper.scalar("attention.key_length_swa", head_k)
        head_v = hyper.scalar("attention.value_length_swa", head_v)
    # llama.cpp keeps no V where keys are latent: the values are a part of them.
    latent = hyper.has("attention.key_length_mla")
    keeps = hyper.arch.kv_blocks is None or index < hyper.arch.kv_blocks
    keeps = keeps and index < hyper.n_block - hyper.scalar("attention.shared_kv_layers")
    kv = KvShape(
        k_width=n_kv * head_k if keeps else 0,
        v_width=n_kv * head_v if keeps and not latent else 0,
        window=window,
        state_bytes=state,
    )
    query = n_head * hyper.scalar("attention.key_length_mla", head_k)
    return BlockShape(kv, n_head, head_k, head_v, query, latent, mixer)


def _mixers(hyper: Hyper, kv_heads: tuple[int, ...]) -> tuple[list[bool], list[bool]]:
    """Which blocks attend, and which keep a recurrent state."""
    has_kv = [count > 0 for count in kv_heads[: hyper.n_trunk]]
    match hyper.arch.recurrence:
        case "none":
            recurs = [False] * hyper.n_trunk
        case "all":
            return [False] * hyper.n_trunk, [True] * hyper.n_trunk
        case "beside attention":
            return has_kv, [True] * hyper.n_trunk
        case "no kv heads":
            recurs = [not has for has in has_kv]
        case "no heads or ff":
            widths = hyper.per_block("feed_forward_length")
            recurs = [not has and not width for has, width in zip(has_kv, widths, strict=False)]
        case "interval":
            every = max(hyper.scalar("full_attention_interval", _INTERVAL), 1)
            listed = hyper.listed("attention.recurrent_layers")
            flags = listed or [(index + 1) % every for index in range(hyper.n_trunk)]
            recurs = [bool(flag) for flag in flags[: hyper.n_trunk]]
    return [has and not does for has, does in zip(has_kv, recurs, strict=True)], recurs


def _windows(hyper: Hyper, attends: list[bool]) -> list[int | None]:
    arch = hyper.arch
    no_windows: list[int | None] = [None] * hyper.n_trunk
    if arch.period is None or arch.needs_blocks not in {None, hyper.n_trunk}:
        return no_windows
    window = hyper.scalar("attention.sliding_window", arch.window or 0)
    if not window:
        return no_windows
    flags = hyper.listed("attention.sliding_window_pattern")
    if flags is None:
        period = hyper.scalar("attention.sliding_window_pattern", arch.period)
        whole = 0 if arch.global_first else period - 1
        flags = [not period or index % period != whole for index in range(hyper.n_trunk)]
    return [window if flag and has else None for flag, has in zip(flags, attends, strict=False)]


def _state_bytes(hyper: Hyper, n_head: int) -> int:
    """Bytes of recurrent state of one block and conversation: convolution and memory."""
    n_embd = hyper.required("embedding_length")
    conv = max(hyper.scalar("ssm.conv_kernel") - 1, 0)
    if head := hyper.scalar("wkv.head_size"):
        elements = n_embd * (hyper.scalar("token_shift_count", 2) + head)
    elif cells := hyper.scalar("shortconv.l_cache"):
        elements = n_embd * (cells - 1)
    elif head := hyper.scalar("kda.head_dim"):
        elements = n_head * head * (3 * (conv or 3) + head)
    else:
        inner, state = hyper.scalar("ssm.inner_size"), hyper.scalar("ssm.state_size")
        groups = hyper.scalar("ssm.group_count")
        elements = conv * (inner + 2 * groups * state) + state * inner
    return _STATE_BYTES * elements


def _mixer_width(hyper: Hyper) -> int:
    inner = max(hyper.scalar("ssm.inner_size"), hyper.required("embedding_length"))
    return inner * (_RESULTS_ALONE if hyper.arch.recurrence == "all" else _RESULTS)
