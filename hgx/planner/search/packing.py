"""Proofs that a model does not fit into what its devices reach: by prices of blocks.

Give every block a price ``pi >= 0``. All devices together hold no more than each the dearest run
that it can reach; where that is worth less than the whole model, no placement holds it. Such prices
are found by multiplicative weights: a block that is held less than once becomes dearer, one that is
held more often cheaper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs
    from hgx.planner.search.within import Reach

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

EAGER = 0.25
"""How much dearer a block becomes that is not held at all, as a logarithm."""

MOST_HELD = 3.0
"""A block that is held more often becomes no cheaper for it."""


class Packing:
    """Prices of blocks, which one question after the other makes better.

    Args:
        arcs: All stages.

    Attributes:
        price: Of every block, shape ``(n,)``; ``n`` together.
    """

    def __init__(self, arcs: Arcs) -> None:
        self._arcs = arcs
        self.price: Floats = np.ones(arcs.n_block)
        self._pairs, self._crowds = _neighbours(arcs)

    def impossible(self, reach: Reach, rounds: int) -> bool:
        """Look for prices that prove that the devices do not hold the model.

        Args:
            reach: How far stages get.
            rounds: How often to change prices at most.
        """
        arcs, n = self._arcs, self._arcs.n_block
        price = self.price
        begin = np.arange(n)
        ends = reach.ends.copy()
        final = reach.last[0] | reach.last[1]
        for free, (end, whole) in reach.first.items():
            ends[:, free, 0] = np.maximum(ends[:, free, 0], end)
            final[free, 0] |= whole
        final_begin = np.where(final.max(axis=1), final.argmax(axis=1), n)
        for number in range(rounds):
            upto = np.concatenate(([0.0], np.cumsum(price)))
            worth = upto[ends] - upto[begin]  # (ways, classes, n)
            where = worth.argmax(axis=2)
            best = np.take_along_axis(worth, where[:, :, None], axis=2)[:, :, 0]
            to_end = upto[n] - upto[final_begin]
            best = np.maximum(best, to_end)
            way = self._ways(best)
            classes = np.arange(len(arcs.counts))
            value = best[way, classes]
            if float(value @ arcs.counts) < upto[n] * (1 - 1e-9):
                self.price = price
                return True
            # A run to the very end may stand for a class, where it is worth most.
            closing = to_end >= value
            start = np.where(closing, final_begin, where[way, classes])
            end = np.where(closing, n, ends[way, classes, start.clip(0, n - 1)])
            steps = np.bincount(start, arcs.counts, n + 1) - np.bincount(end, arcs.counts, n + 1)
            held = np.cumsum(steps)[:n]
            step = EAGER / np.sqrt(1.0 + number)
            moved = price * np.exp(step * (1.0 - np.minimum(held, MOST_HELD)))
            price = moved / moved.sum() * n
        self.price = price
        return False

    def most(self, reach: Reach, upto: Floats) -> Floats:
        """What one stage of each class is worth at most, shape ``(classes,)``.

        Args:
            reach: How far stages get.
            upto: Worth of the blocks before each boundary.
        """
        n = self._arcs.n_block
        most = (upto[reach.ends] - upto[:n]).max(axis=(0, 2))
        for free, (end, _) in reach.first.items():
            most[free] = max(most[free], upto[end])
        ending = reach.last[0] | reach.last[1]
        to_end = upto[n] - upto[ending.argmax(axis=1)]
        return np.maximum(most, np.where(ending.max(axis=1), to_end, 0.0))

    def _ways(self, best: Floats) -> Indices:
        """The best way of every class, where one of a node pays the way there and one back.

        Args:
            best: Worth by way and class, shape ``(4, classes)``.
        """
        way = np.zeros(best.shape[1], dtype=np.intp)
        one, other = self._pairs
        if len(one):
            # Two devices of a node: each by itself, or one behind the other, in either order.
            each = best[0, one] + best[0, other]
            first, second = best[1, one] + best[2, other], best[2, one] + best[1, other]
            joined = np.maximum(first, second) > each
            way[one[joined]] = np.where(first >= second, 1, 2)[joined]
            way[other[joined]] = np.where(first >= second, 2, 1)[joined]
        for members in self._crowds:
            way[members] = 3  # of three or more, nothing but the turn is certain
        return way


def _neighbours(arcs: Arcs) -> tuple[tuple[Indices, Indices], list[Indices]]:
    """Far nodes with exactly two devices, as two arrays of classes, and those with more."""
    pairs: list[tuple[int, int]] = []
    crowds: list[Indices] = []
    for group in range(arcs.n_group):
        members = np.flatnonzero(arcs.group == group)
        if len(members) == 2 and arcs.counts[members].sum() == 2:
            pairs.append((int(members[0]), int(members[1])))
        elif arcs.counts[members].sum() > 1:
            crowds.append(members)
    columns = np.array(pairs, dtype=np.intp).reshape(len(pairs), 2)
    return (columns[:, 0], columns[:, 1]), crowds
