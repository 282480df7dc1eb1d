"""The intermediate results of recurrent mixers, in the order llama.cpp computes them.

Facts: ``models/mamba-base.cpp``, ``lfm2.cpp`` and ``rwkv7-base.cpp`` of llama.cpp build 11434.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from hgx.gguf.replay import Graph

Kind = Literal["mamba", "mamba2", "convolution", "rwkv7", "other"]


class Mixer(NamedTuple):
    """A recurrent mixer, in elements per token.

    Attributes:
        kind: Which it is; "other" for those whose results are known by their sum only.
        inner: What it works on, and what its output projection reads; the sum of an "other".
        mixed: What passes its convolution.
        rank: Of its time steps.
        state: Its new state, spread over the tokens of a batch.
    """

    kind: Kind
    inner: int
    mixed: int = 0
    rank: int = 0
    state: int = 0


def mix(graph: Graph, seen: int, mixer: Mixer) -> int:
    """Add a mixer's results to a graph and return what its output projection reads.

    Args:
        graph: Of the block.
        seen: The norm that the mixer reads.
        mixer: Its kind and widths.
    """
    match mixer.kind:
        case "mamba":
            return _mamba(graph, seen, mixer)
        case "mamba2":
            return _mamba2(graph, seen, mixer)
        case "convolution":
            return _convolution(graph, seen, mixer)
        case "rwkv7":
            return _rwkv7(graph, seen, mixer)
        case "other":
            return graph.new(mixer.inner, seen)


def _mamba(graph: Graph, seen: int, mixer: Mixer) -> int:
    inner = mixer.inner
    pair = graph.new(2 * inner, seen)
    padded = graph.new(inner, pair)
    graph.use(padded)
    convolved = graph.new(inner, padded)
    steps = graph.new(mixer.rank, convolved)
    times = graph.new(inner, graph.new(mixer.rank, steps))
    scanned = graph.new(inner, convolved, times, steps)
    graph.use(graph.new(mixer.state, scanned))
    gate = graph.new(inner, pair)
    skipped = graph.over(inner, convolved)
    return graph.new(inner, gate, graph.over(inner, scanned, skipped))


def _mamba2(graph: Graph, seen: int, mixer: Mixer) -> int:
    inner = mixer.inner
    everything = graph.new(inner + mixer.mixed + mixer.rank, seen)
    padded = graph.new(mixer.mixed, everything)
    graph.use(padded)
    convolved = graph.new(mixer.mixed, padded)
    times = graph.new(mixer.rank, everything)
    scanned = graph.new(inner, convolved, times)
    graph.use(graph.new(mixer.state, scanned))
    gate = graph.new(inner, everything)
    skipped = graph.new(inner, convolved)
    return graph.new(inner, gate, graph.over(inner, scanned, skipped))


def _convolution(graph: Graph, seen: int, mixer: Mixer) -> int:
    inner = mixer.inner
    parts = graph.new(3 * inner, seen)
    padded = graph.new(inner, graph.new(inner, parts))
    graph.use(padded)
    convolved = graph.new(inner, padded)
    return graph.over(inner, convolved, parts)


def _rwkv7(graph: Graph, seen: int, mixer: Mixer) -> int:
    inner = mixer.inner
    shifted = graph.over(inner, graph.new(inner, seen), seen)
    six = graph.new(6 * inner, shifted)
    six = graph.over(6 * inner, six, seen)
    receptance = graph.new(inner, six)
    decay = graph.new(inner, graph.new(mixer.rank, six))
    raw = graph.new(inner, six)
    rate = graph.new(inner, graph.new(mixer.rank, six))
    scaled = graph.new(inner, raw)
    key = graph.over(inner, graph.new(inner, rate, scaled), scaled, raw)
    value = graph.new(inner, six)
    apart = graph.new(inner, value)
    apart = graph.over(inner, apart, graph.new(inner, graph.new(mixer.rank, six)))
    value = graph.over(inner, value, apart)
    normed = graph.new(inner, graph.over(inner, raw))
    negated = graph.new(inner, normed)
    damped = graph.over(inner, normed, rate)
    out = graph.new(inner, receptance, decay, key, value, negated, damped)
    graph.use(graph.new(mixer.state, out))
    out = graph.new(inner, out)
    bonus = graph.over(inner, key, receptance)
    out = graph.over(inner, out, graph.over(inner, value, bonus))
    gate = graph.new(inner, graph.new(mixer.rank, six))
    return graph.over(inner, out, gate)
