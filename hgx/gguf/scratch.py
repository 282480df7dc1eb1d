"""What the intermediate results of one block take, replayed in the order llama.cpp computes them.

Facts: ``llama-graph.cpp`` and ``models/*.cpp`` of llama.cpp build 11434. All sizes are elements of
four bytes per token, because nearly every result grows with the number of tokens.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.gguf.mixers import mix
from hgx.gguf.replay import Graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.gguf.mixers import Mixer

_BLOCKS: Final = 3
"""So many equal blocks are replayed: what one leaves behind decides where the next finds room."""


_GAPS: Final = 3
"""Where the hidden state stands that a stage begins with, in so many ways. That is not known of a
block by itself, so what lies between the least and the most is counted."""

_WIDEST: Final = 1 << 100
"""More than any gap has room for."""


class Latent(NamedTuple):
    """Multi-head latent attention, in elements per token.

    Attributes:
        rank: Of the queries, where they are made in two steps; 0 where not.
        key: The latent key that all heads share, with its rotated part.
        rotated: That part for all heads' queries.
        absorbed: All queries without it, in the space of latent keys.
        values: What all heads give, in that space.
    """

    rank: int
    key: int
    rotated: int
    absorbed: int
    values: int


class Widths(NamedTuple):
    """Elements per token of a block's intermediate results; 0 for what it does not have.

    Attributes:
        embd: The hidden state.
        q: All query heads.
        k: Keys that are kept.
        v: Values that are kept.
        attn: What attention gives, before its output projection.
        fused: Whether one product makes queries, keys and values.
        latent: Multi-head latent attention, or null.
        normed: Whether attention reads a norm of the hidden state, and not the state itself.
        ff_normed: The same of the feed-forward.
        ff: What the dense or shared feed-forward's last product reads.
        up: What its first product gives: twice as much where that holds the gate too.
        gated: Whether the gate is a product of its own.
        expert_ff: Feed-forward of the experts that one token uses, together.
        expert_out: Their results before they are summed.
        expert_in: Copies of the hidden state that are weighted before the experts read them.
        expert_gated: Whether experts have a gate.
        experts_apart: Whether they are computed elsewhere, and their results come from there.
        router: Experts to choose from.
        biased: Whether they are chosen by other numbers than they are weighted with.
        state_first: Whether the sum behind the feed-forward takes the place of what went around
            it, and not of what it gives.
        mixer: A recurrent mixer, or null.
    """

    embd: int
    q: int = 0
    k: int = 0
    v: int = 0
    attn: int = 0
    fused: bool = False
    latent: Latent | None = None
    normed: bool = True
    ff_normed: bool = True
    ff: int = 0
    up: int = 0
    gated: bool = True
    expert_ff: int = 0
    expert_out: int = 0
    expert_in: int = 0
    expert_gated: bool = True
    experts_apart: bool = False
    router: int = 0
    biased: bool = False
    state_first: bool = False
    mixer: Mixer | None = None

    @property
    def mixes(self) -> bool:
        """Whether tokens see each other in this block."""
        return bool(self.attn or self.mixer)

    @property
    def feeds(self) -> bool:
        """Whether it has a feed-forward."""
        return bool(self.ff or self.expert_ff)


@lru_cache(maxsize=256)
def block_scratch(widths: Widths) -> int:
    """Elements per token that a device needs for a block's intermediate results."""
    graphs = (_replayed(widths.embd, [widths] * _BLOCKS, gaps)[0] for gaps in range(_GAPS))
    peaks = [graph.peak() for graph in graphs]
    return (min(peaks) + max(peaks)) // 2


def expert_scratch(widths: Widths) -> int:
    """Elements per token that a block's routed experts take where they alone are computed."""
    graph = Graph()
    state, seen, order = graph.new(widths.embd), graph.new(widths.embd), graph.new(0)
    graph.use(_routed(graph, seen, order, widths), state, seen)
    return graph.peak()


def head_scratch(blocks: Sequence[Widths]) -> int:
    """Elements per token that stand before the logits, which find room behind all else.

    Args:
        blocks: Of the whole model.
    """
    embd = blocks[0].embd
    taken: list[int] = []
    for gaps in range(_GAPS):
        graph, state = _replayed(embd, blocks[-_BLOCKS:-1], gaps)
        state = _block(graph, state, blocks[-1], last=True)
        graph.new(_WIDEST, graph.over(embd, state))
        taken.append(graph.peak() - _WIDEST)
    return sorted(taken)[len(taken) // 2]


def _replayed(embd: int, blocks: Sequence[Widths], gaps: int) -> tuple[Graph, int]:
    """Blocks one after the other, room for so many hidden states in front of the first one's.

    Returns:
        The graph, and the last hidden state.
    """
    graph = Graph()
    before = [graph.new(embd) for _ in range(gaps)]
    state = graph.new(embd)
    for each in before:
        graph.use(each)
    for widths in blocks:
        state = _block(graph, state, widths)
    return graph, state


def _block(graph: Graph, state: int, widths: Widths, *, last: bool = False) -> int:
    embd = widths.embd
    if widths.mixes and widths.feeds and widths.normed and not widths.ff_normed:
        return _side_by_side(graph, state, widths)
    if widths.mixes:
        seen = graph.new(embd, state) if widths.normed else state
        if widths.attn and widths.mixer:
            heads = _heads(graph, seen, widths)
            inner = mix(graph, graph.new(embd, state), widths.mixer)
            given = graph.over(embd, graph.new(embd, heads), graph.new(embd, inner))
        elif widths.mixer:
            given = graph.new(embd, mix(graph, seen, widths.mixer))
        else:
            given = graph.new(embd, _heads(graph, seen, widths))
        if last:  # what is asked for is picked
            given, state = graph.new(embd, given), graph.new(embd, state)
        state = graph.over(embd, given, state)
    if widths.feeds:
        normed = widths.ff_normed or (widths.normed and not widths.mixes)
        seen = graph.new(embd, state) if normed else state
        given = _feed_forward(graph, seen, widths)
        state = graph.over(embd, *((state, given) if widths.state_first else (given, state)))
    return state


def _side_by_side(graph: Graph, state: int, widths: Widths) -> int:
    """Attention and feed-forward read the same norm; attention is projected last."""
    norm = graph.new(widths.embd, state)
    heads = _heads(graph, norm, widths)
    fed = graph.over(widths.embd, _feed_forward(graph, norm, widths), state)
    return graph.over(widths.embd, fed, graph.new(widths.embd, heads))


def _heads(graph: Graph, seen: int, widths: Widths) -> int:
    """Give what attention's heads give."""
    if widths.latent:
        return _latent_heads(graph, seen, widths, widths.latent)
    if widths.fused:
        # Values are stored from the product.
        product = graph.new(widths.q + widths.k + widths.v, seen)
        query, key = graph.new(widths.q, product), graph.new(widths.k, product)
        graph.use(key, product)
    else:
        # Rotated, queries and keys have room of their own.
        query = graph.new(widths.q, graph.new(widths.q, seen))
        value = graph.new(widths.v, seen)
        graph.use(graph.new(widths.k, graph.new(widths.k, seen)))
        graph.use(value)
    return graph.new(widths.attn, query)


def _latent_heads(graph: Graph, seen: int, widths: Widths, latent: Latent) -> int:
    query = graph.new(widths.q, graph.new(latent.rank, seen) if latent.rank else seen)
    absorbed, rotated = graph.new(latent.absorbed, query), graph.new(latent.rotated, query)
    whole = graph.new(latent.absorbed + latent.rotated, absorbed, rotated)
    pair = graph.new(latent.key, seen)
    key = graph.new(latent.key, graph.new(latent.key, pair), pair)
    graph.use(key)
    values = graph.new(widths.attn, graph.new(latent.values, whole))
    return graph.new(widths.attn, values)


def _feed_forward(graph: Graph, seen: int, widths: Widths) -> int:
    if not widths.expert_ff:
        return _dense(graph, seen, widths)
    routed = _experts(graph, seen, widths)
    return graph.over(widths.embd, routed, _dense(graph, seen, widths)) if widths.ff else routed


def _dense(graph: Graph, seen: int, widths: Widths) -> int:
    wide = graph.new(widths.up, seen)
    if widths.gated:
        product = graph.new(widths.ff, wide, graph.new(widths.up, seen))
    else:
        product = graph.over(widths.ff, wide)
    return graph.new(widths.embd, product)


def _experts(graph: Graph, seen: int, widths: Widths) -> int:
    scores = graph.new(widths.router, seen)
    order = graph.new(widths.router, graph.new(widths.router, scores) if widths.biased else scores)
    weights = graph.new(1, scores, order)
    if widths.experts_apart:
        return _summed(graph, graph.new(widths.expert_out, order), weights, widths)
    if widths.expert_in:
        seen = graph.over(widths.expert_in, graph.new(widths.expert_in, seen), weights)
    return _summed(graph, _routed(graph, seen, order, widths), weights, widths)


def _routed(graph: Graph, seen: int, order: int, widths: Widths) -> int:
    """Give the results of all experts that a token uses."""
    wide = graph.new(widths.expert_ff, seen, order)
    if widths.expert_gated:
        product = graph.new(widths.expert_ff, wide, graph.new(widths.expert_ff, seen, order))
    else:
        product = graph.over(widths.expert_ff, wide)
    return graph.new(widths.expert_out, product, order)


def _summed(graph: Graph, results: int, weights: int, widths: Widths) -> int:
    weighted = graph.over(widths.expert_out, results, weights)
    return graph.over(widths.embd, graph.new(widths.embd, weighted), weighted)
