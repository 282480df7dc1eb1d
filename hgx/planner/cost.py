"""Seconds: what a block costs on a device, and what a stage costs on the wire.

Arithmetic and memory reads overlap, so a block takes the longer of the two. Where the engine was
measured on the device, weights of each quantisation type have rates of their own, which include
what unpacking them takes; KV and attention go at the device's general rates unless looking back
was measured too. Traffic between nodes goes through the coordinator, in a star: a stage on another
node receives its hidden states from there and sends them back, unless the neighbouring stage
stands on the same node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.engine_cost import type_rates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hgx.core.registry import Device, Registry
    from hgx.planner.work import Batch

    Floats = NDArray[np.float64]

BLOCK_OVERHEAD_S = 30e-6
"""Launching a block's kernels: a default, until it is measured with the engine."""

LOOPBACK_RTT_S = 100e-6
LOOPBACK_BYTES_PER_S = 2e9
"""A worker on the coordinator itself, when the registry has no link from it to itself: defaults."""


class Wire(NamedTuple):
    """A round trip and the rates between the coordinator and a node; seconds, bytes per second."""

    rtt_s: float
    there_bytes_per_s: float
    back_bytes_per_s: float


class Hop(NamedTuple):
    """Seconds on the wire for one stage.

    Attributes:
        turn: Paid by every stage on the wire: the round trip, positions, the mask, and what the
            engine takes besides.
        enter: Hidden states to the node; not paid after a stage on the same node.
        leave: Hidden states back; not paid before a stage on the same node.
        finish: What drawing a token from the output head's logits takes besides, in place of
            ``leave``; see ``hgx.planner.sampling``.
    """

    turn: float = 0.0
    enter: float = 0.0
    leave: float = 0.0
    finish: float = 0.0

    def scaled(self, factor: float) -> Hop:
        """All seconds times a factor."""
        return Hop(*(factor * seconds for seconds in self))

    @staticmethod
    def total(hops: Iterable[Hop]) -> Hop:
        """Add hops up, part by part."""
        return Hop(*(sum(parts) for parts in zip(Hop(), *hops, strict=True)))


class BlockCost(NamedTuple):
    """Seconds of every block on a device for one run of a batch, the output head last.

    Attributes:
        reading: Weights and KV. Shape ``(n_block + 1,)``, as all three.
        computing: At the same time.
        fixed: Before and after: launching, and what else does not depend on size.
    """

    reading: Floats
    computing: Floats
    fixed: Floats


def block_cost(device: Device, batch: Batch) -> BlockCost:
    """Tell apart what every block spends its time on, for one run of a batch."""
    reading = batch.read_bytes / device.memory_bandwidth_bytes_per_s
    computing = batch.flops / device.compute_flops_per_s
    engine, kinds = device.engine, batch.kinds
    if engine is None:
        return BlockCost(reading, computing, np.full(len(reading), BLOCK_OVERHEAD_S))
    rates = type_rates(engine, kinds.names)
    if rates is not None:
        others = batch.read_bytes - kinds.weights.sum(axis=0)
        kept = others / device.memory_bandwidth_bytes_per_s
        others = batch.flops - kinds.flops.sum(axis=0)
        attention = others / device.compute_flops_per_s
        if batch.prefill and engine.prefill_attention_s_per_flop is not None:
            attention = others * engine.prefill_attention_s_per_flop
        elif not batch.prefill and engine.decode_attention_s_per_flop is not None:
            # What it reads is in its rate, and one token's products leave it nothing to wait for.
            kept = np.maximum(kept, others * engine.decode_attention_s_per_flop)
            attention = np.zeros(len(kept))
        reading = rates[0] @ kinds.weights + kept
        computing = rates[1] @ kinds.flops + attention
    layer = engine.prefill_layer_s if batch.prefill else engine.decode_layer_s
    fixed = np.full(len(reading), layer)
    fixed[-1] = layer if engine.head_s is None else engine.head_s
    return BlockCost(reading, computing, fixed)


def block_seconds(device: Device, batch: Batch) -> Floats:
    """Seconds each block takes on a device for all runs of a batch, the output head last.

    Returns:
        Array of shape ``(n_block + 1,)``.
    """
    cost = block_cost(device, batch)
    return batch.times * (np.maximum(cost.reading, cost.computing) + cost.fixed)


def hop_seconds(wire: Wire, batch: Batch, n_embd: int, stage_s: float = 0.0) -> Hop:
    """Seconds on the wire for all runs of a batch, but for what the output head gives.

    Hidden states are 4 bytes per element; the mask is 2 bytes per token and position, and the
    positions and KV indices are 12 bytes per token.

    Args:
        wire: To the stage's node.
        batch: What crosses.
        n_embd: Width of a hidden state, in elements.
        stage_s: What the stage's turn takes besides, per run.
    """
    hidden = 4.0 * n_embd * batch.tokens
    control = batch.tokens * (2.0 * batch.context + 12.0)
    return Hop(
        turn=wire.rtt_s + control / wire.there_bytes_per_s + stage_s,
        enter=hidden / wire.there_bytes_per_s,
        leave=hidden / wire.back_bytes_per_s,
    ).scaled(batch.times)


def wires_from(registry: Registry, coordinator: str) -> dict[str, Wire]:
    """The wires from the coordinator to every node that it has a link with.

    A link counts both ways unless the other way is given too. The coordinator's own entry is its
    loopback.
    """
    links = {(link.source, link.target): link for link in registry.links}
    wires = {coordinator: Wire(LOOPBACK_RTT_S, LOOPBACK_BYTES_PER_S, LOOPBACK_BYTES_PER_S)}
    for node in registry.nodes:
        out, home = (coordinator, node.id), (node.id, coordinator)
        there, back = links.get(out) or links.get(home), links.get(home) or links.get(out)
        if there is not None and back is not None:
            wires[node.id] = Wire(
                rtt_s=(there.rtt_s + back.rtt_s) / 2,
                there_bytes_per_s=there.bandwidth_bytes_per_s,
                back_bytes_per_s=back.bandwidth_bytes_per_s,
            )
    return wires
