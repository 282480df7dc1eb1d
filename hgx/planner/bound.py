"""A lower bound on what is left to pay, from Lagrangian relaxation.

Forget that stages are contiguous: assign every block, and the output head, to a device class
``k``. Give memory a price ``mu[k] >= 0`` per byte. With ``t[k, i]`` the objective seconds of block
``i`` on class ``k``, ``m[i]`` its bytes, ``M[k]`` the room on one device and ``c[k]`` the number
of devices left,

    sum:        cost  >=  sum_i min_k (t[k, i] + mu[k] m[i])  -  sum_k mu[k] M[k] c[k]

because in any placement the bytes on class k are at most ``M[k] c[k]``, so the prices collected
for blocks never exceed the credit taken off. A memory that several devices share has a price of
its own, paid by all of them, and its room is taken off as long as one of them is unused. For the
slowest stage ``T``, weigh each class's load with ``lam[k] >= 0``: every device of class k is busy
for at most T, so

    bottleneck: T  >=  [ sum_i min_k (lam[k] t[k, i] + mu[k] m[i]) - sum_k mu[k] M[k] c[k] ]
                       / sum_k lam[k] c[k]

Both hold for any prices; subgradient steps make them tight. What a device costs on the wire
whenever it is used, ``w[k]``, is spread over its bytes: a device that holds ``x <= M[k]`` bytes
pays ``w[k]``, which is at least ``w[k] x / M[k]``. Blocks still to place are a suffix, so one sum
from the back serves all states of a search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.planner.tables import Tables

    Floats = NDArray[np.float64]

STEPS = 120
"""Subgradient steps: enough to come within a few per cent of the best prices."""


class Bound(NamedTuple):
    """A bound for every state of a search, as the prices give it.

    Attributes:
        price: Seconds per byte of memory, by class.
        pool_price: Seconds per byte of shared memory.
        suffix: Priced seconds of blocks ``b .. n`` (head included), shape ``(n + 2,)``.
        credit: Seconds taken off per unused device of each class, shape ``(classes,)``.
        pool_credit: Seconds taken off per shared memory with an unused device.
        pools: Which classes share a memory, shape ``(pools, classes)``.
        share: ``lam`` of the bottleneck; all zero under a sum.
        counts: Devices of each class.
        bottleneck: Whether stages combine by maximum.
    """

    price: Floats
    pool_price: Floats
    suffix: Floats
    credit: Floats
    pool_credit: Floats
    pools: Floats
    share: Floats
    counts: Floats
    bottleneck: bool

    def rest(self, used: Floats, mode: NDArray[np.int16] | None = None) -> Floats:
        """Least seconds still to pay from each block on.

        Args:
            used: Devices used of each class, shape ``(states, classes)``.
            mode: Of each state; it makes no difference here.

        Returns:
            Shape ``(states, n + 1)``, indexed by the first block that is not placed yet.
        """
        del mode
        unused = self.counts[None, :] - used
        credit = unused @ self.credit + (unused @ self.pools.T > 0) @ self.pool_credit
        rest = self.suffix[None, :-1] - credit[:, None]
        if self.bottleneck:
            left = (unused @ self.share)[:, None]
            rest = np.divide(rest, left, out=np.zeros_like(rest), where=left > 0)
        return np.maximum(rest, 0.0)

    def root(self) -> float:
        """Least objective of any placement, in seconds."""
        return float(self.rest(np.zeros((1, len(self.counts))))[0, 0])


def lower_bound(tables: Tables, target: float, steps: int = STEPS) -> Bound:
    """Find good prices.

    Args:
        tables: The problem's stage tables.
        target: Objective of a known placement, in seconds; guides the size of the steps.
        steps: Subgradient steps.
    """
    counts = np.array([float(len(c.devices)) for c in tables.classes])
    room = np.array([c.room for c in tables.classes])
    load = tables.load.copy()
    load[-1] = tables.head_floor
    wire = np.array([c.least_wire for c in tables.classes])
    with np.errstate(divide="ignore", invalid="ignore"):
        amortised = np.where(room > 0, wire / room, 0.0)
    time = np.stack([c.unit for c in tables.classes]) + amortised[:, None] * load[None, :]
    return _Relaxation(tables, time, load, room, counts).ascend(target, steps)


class _Relaxation:
    """The relaxed problem and the ascent on its prices."""

    def __init__(
        self, tables: Tables, time: Floats, load: Floats, room: Floats, counts: Floats
    ) -> None:
        self._time = time
        self._load = load
        self._room = room
        self._counts = counts
        self._bottleneck = tables.bottleneck
        self._pools = tables.pools
        self._pool_room = tables.pool_room

    def ascend(self, target: float, steps: int) -> Bound:
        """Follow subgradients from free memory and equal shares; keep the best bound met."""
        classes = len(self._counts)
        price, pool_price = np.zeros(classes), np.zeros(len(self._pool_room))
        share = np.full(classes, 1.0 / self._counts.sum() if self._bottleneck else 0.0)
        best = self._bound(price, pool_price, share)
        best_value = best.root()
        scale = 1.0
        for _ in range(steps):
            weight = share[:, None] if self._bottleneck else 1.0
            per_byte = price + pool_price @ self._pools
            choice = np.argmin(weight * self._time + per_byte[:, None] * self._load, axis=0)
            bytes_on = np.bincount(choice, weights=self._load, minlength=classes)
            excess = bytes_on - self._room * self._counts
            pool_excess = self._pools @ bytes_on - self._pool_room
            slope = float(excess @ excess + pool_excess @ pool_excess)
            gap = max(target - best_value, 1e-3 * target)
            if slope > 0 and np.isfinite(gap):
                step = scale * gap / slope
                price = np.maximum(0.0, price + step * excess)
                pool_price = np.maximum(0.0, pool_price + step * pool_excess)
            if self._bottleneck:
                share = self._shifted(share, choice, scale)
            bound = self._bound(price, pool_price, share)
            value = bound.root()
            if value > best_value:
                best, best_value = bound, value
            else:
                scale *= 0.95
        return best

    def _shifted(self, share: Floats, choice: NDArray[np.intp], scale: float) -> Floats:
        """Give more weight to classes whose devices are busier than the mean."""
        seconds = np.take_along_axis(self._time, choice[None, :], axis=0)[0]
        busy = np.bincount(choice, weights=seconds, minlength=len(self._counts)) / self._counts
        shifted = share * np.exp(scale * 0.5 * (busy / max(busy.max(), 1e-300) - 0.5))
        return shifted / float(shifted @ self._counts)

    def _bound(self, price: Floats, pool_price: Floats, share: Floats) -> Bound:
        weight = share[:, None] if self._bottleneck else 1.0
        per_byte = price + pool_price @ self._pools
        priced = (weight * self._time + per_byte[:, None] * self._load[None, :]).min(axis=0)
        return Bound(
            price=price,
            pool_price=pool_price,
            suffix=np.concatenate((np.cumsum(priced[::-1])[::-1], [0.0])),
            credit=price * self._room,
            pool_credit=pool_price * self._pool_room,
            pools=self._pools,
            share=share,
            counts=self._counts,
            bottleneck=self._bottleneck,
        )
