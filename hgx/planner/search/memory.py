"""Memories that several devices share, as far as the labels of a search need to know.

What a label has taken of one matters as far as others could miss it: while all of its devices that
are left could have their fill, it counts as much as leaves them that; once all are used, as
nothing. Room that nobody can use any more has its price, by which the label's slack rises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.planner.search.paths import PathBound
    from hgx.planner.tables import Tables

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]


class Memory:
    """The account of all of them.

    Args:
        tables: Stage tables.
        bound: Bound with a price for every byte.

    Attributes:
        shared: Whether there are any.
    """

    def __init__(self, tables: Tables, bound: PathBound) -> None:
        self._pools = tables.pools
        self._capacity = tables.pool_capacity
        self._price = bound.prices.pool
        self.shared = len(self._capacity) > 0
        limits = np.array([one.limit for one in tables.classes])
        self._appetite = np.minimum(limits, self._pools.T @ self._capacity) * self._pools
        self._total = self._appetite @ np.array([float(len(c.devices)) for c in tables.classes])
        # The memory each class is in; one too many where it is in none.
        inside = self._pools.any(axis=0)
        self._of = np.where(inside, self._pools.argmax(axis=0) if self.shared else 0, -1)

    def start(self) -> Floats:
        """What is taken of each, shape ``(1, pools)``."""
        return np.maximum(0.0, self._capacity - self._total)[None, :]

    def fits(self, taken: Floats, at: Indices, size: Floats) -> NDArray[np.bool_]:
        """Whether stages on devices of classes still fit into their memory."""
        pool = self._of[at]
        left = self._capacity[pool] - taken[np.arange(len(at)), pool]
        return (pool < 0) | (size <= left)

    def after(
        self, taken: Floats, at: Indices, size: Floats, used: NDArray[np.uint16]
    ) -> tuple[Floats, Floats]:
        """What is taken after stages, and the price of the room that nobody can use any more."""
        pool = self._of[at]
        rows = np.flatnonzero(pool >= 0)
        pool = pool[rows]
        real = taken[rows, pool] + size[rows]
        wanted = self._total[pool] - (used[rows] * self._appetite[pool]).sum(axis=1)
        counted = np.maximum(real, self._capacity[pool] - wanted)
        taken[rows, pool] = np.where(wanted > 0, counted, 0.0)
        unusable = np.zeros(len(at))
        unusable[rows] = (counted - real) * self._price[pool]
        return taken, unusable
