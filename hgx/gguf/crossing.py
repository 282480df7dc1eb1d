"""What llama.cpp moves between two devices of a pipeline, beside the hidden state.

Its scheduler gives an operation without weights to the device of the operation before it. Two
things follow. The norm that a block begins with is computed by the device before it. And where a
block begins with a recurrent mixer, the mixer's state comes before what is left to do of the mixer
before: that is done by the next device, which is given its results, and gives one back.

Facts: ``ggml-backend.cpp`` and ``models/mamba-base.cpp`` of llama.cpp build 11434, and what its
scheduler says of its splits (``GGML_SCHED_DEBUG=2``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hgx.gguf.mixers import Mixer
    from hgx.gguf.scratch import Widths

_SCANNING: Final = frozenset({"mamba", "mamba2", "rwkv7"})
"""Mixers that leave operations without weights to be done when the next block begins."""


class Crossing(NamedTuple):
    """Elements per token that a next device is given, and those that it gives back."""

    handed: int = 0
    returned: int = 0


def crossings(blocks: Sequence[Widths]) -> tuple[Crossing, ...]:
    """Say for each block what crosses where a stage ends with it; for the last block, nothing."""
    return tuple(_crossing(blocks[index::-1], blocks[index + 1 :]) for index in range(len(blocks)))


def _crossing(before: Sequence[Widths], behind: Sequence[Widths]) -> Crossing:
    if not behind:
        return Crossing()
    norm = behind[0].embd if behind[0].normed else 0
    left, next_ = _unfinished(before), _beginning(behind)
    if left is None or next_ is None:
        return Crossing(norm)
    if left.kind == "rwkv7":
        # Two halves of its channel mix; the first block's values go to all others.
        return Crossing(norm + 3 * left.inner, left.inner)
    product = left.mixed + left.inner + (left.rank if left.kind == "mamba2" else 0)
    return Crossing(norm + product, left.inner)


def _unfinished(before: Iterable[Widths]) -> Mixer | None:
    """The last mixer, where nothing made llama.cpp finish it; blocks are given backwards."""
    for block in before:
        if block.expert_ff or (block.attn and block.mixer is None):
            return None
        if block.mixer:
            return block.mixer if block.mixer.kind in _SCANNING else None
    return None


def _beginning(behind: Iterable[Widths]) -> Mixer | None:
    """The next mixer, where its state comes first of all."""
    for block in behind:
        if block.attn:
            return None
        if block.mixer:
            return block.mixer if block.mixer.kind in _SCANNING else None
    return None
