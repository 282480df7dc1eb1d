"""How much room the intermediate results of one block take, as llama.cpp's allocator places them.

ggml plans one buffer per device for all intermediate results of a graph: each takes the smallest
gap that is large enough, or the end, and gives it back after its last use. What that comes to
depends on the order and on the gaps, so it is replayed here rather than guessed from a formula.
Facts: ``ggml-alloc.c`` and ``llama-graph.cpp`` of llama.cpp build 11434. All sizes are elements of
four bytes per token, because every result grows with the number of tokens alike.
"""

from __future__ import annotations

from typing import NamedTuple


class Widths(NamedTuple):
    """Elements per token of a block's intermediate results; 0 for what it does not have.

    Attributes:
        embd: The hidden state.
        q: All query heads.
        kv: Keys and values together.
        attn: What attention gives, before its output projection.
        absorbed: Queries in the space of latent keys, with multi-head latent attention.
        ff: Dense or shared feed-forward.
        gated: Whether the feed-forward has a gate.
        expert_ff: Feed-forward of the experts that one token uses, together.
        expert_out: Their results before they are summed.
        router: Experts to choose from.
        mixer: All results a recurrent mixer holds at once.
    """

    embd: int
    q: int = 0
    kv: int = 0
    attn: int = 0
    absorbed: int = 0
    ff: int = 0
    gated: bool = True
    expert_ff: int = 0
    expert_out: int = 0
    router: int = 0
    mixer: int = 0


class _Arena:
    """Offsets in one buffer: best fit, else at the end."""

    def __init__(self) -> None:
        self.peak = 0
        self._used: list[tuple[int, int]] = []

    def new(self, size: int) -> tuple[int, int]:
        """Place a result and return where it lies."""
        gaps: list[tuple[int, int]] = []
        end = 0
        for begin, length in sorted(self._used):
            if begin - end >= size:
                gaps.append((begin - end, end))
            end = max(end, begin + length)
        place = (min(gaps)[1] if gaps else end, size)
        self._used.append(place)
        self.peak = max(self.peak, sum(place))
        return place

    def free(self, *places: tuple[int, int]) -> None:
        """Give back what is no longer used."""
        for place in places:
            self._used.remove(place)


def block_scratch(widths: Widths) -> int:
    """Elements per token that a device needs for a block's intermediate results.

    The block is run twice, because what it leaves behind decides where the next one finds room.
    """
    arena = _Arena()
    state = arena.new(widths.embd)
    for _ in range(2):
        state = _mixer(arena, state, widths)
        state = _feed_forward(arena, state, widths)
    # Routing has a dozen small results that are not replayed; what they displace was measured.
    routing = widths.embd if widths.expert_ff and not widths.absorbed else 0
    return arena.peak + routing


def _mixer(arena: _Arena, state: tuple[int, int], widths: Widths) -> tuple[int, int]:
    if not widths.q and not widths.mixer:
        return state
    norm = arena.new(widths.embd)
    if widths.mixer:
        arena.free(arena.new(widths.mixer))
    if not widths.q:
        return _residual(arena, state, norm, widths)
    query = arena.new(widths.q)
    cells = [arena.new(widths.kv // 2) for _ in range(2)]
    arena.free(norm)
    if widths.absorbed:
        latent = arena.new(widths.attn)
        whole = arena.new(widths.absorbed)
        arena.free(query, *cells, latent)
        query, cells = whole, []
    heads = arena.new(widths.attn)
    arena.free(query, *cells)
    return _residual(arena, state, heads, widths)


def _feed_forward(arena: _Arena, state: tuple[int, int], widths: Widths) -> tuple[int, int]:
    if not widths.ff and not widths.expert_ff:
        return state
    norm = arena.new(widths.embd)
    if not widths.expert_ff:
        product = _dense(arena, widths)
        arena.free(norm)
        return _residual(arena, state, product, widths)
    mixed = _experts(arena, widths)
    if widths.ff:
        product = _dense(arena, widths)
        shared = arena.new(widths.embd)
        arena.free(product, mixed)
        mixed = shared
    arena.free(norm, state)
    return mixed


def _dense(arena: _Arena, widths: Widths) -> tuple[int, int]:
    wide = [arena.new(widths.ff) for _ in range(1 + widths.gated)]
    product = arena.new(widths.ff)
    arena.free(*wide)
    return product


def _experts(arena: _Arena, widths: Widths) -> tuple[int, int]:
    chosen = arena.new(widths.router)
    wide = [arena.new(widths.expert_ff) for _ in range(2)]
    product = arena.new(widths.expert_ff)
    arena.free(*wide)
    results = arena.new(widths.expert_out)
    arena.free(product, chosen)
    mixed = arena.new(widths.embd)
    arena.free(results)
    return mixed


def _residual(
    arena: _Arena, state: tuple[int, int], last: tuple[int, int], widths: Widths
) -> tuple[int, int]:
    """Project ``last`` back to the hidden width and add the old state, in place."""
    out = arena.new(widths.embd)
    arena.free(last, state)
    return out
