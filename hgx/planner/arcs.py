"""Stages as arcs from one block boundary to another, in arrays that leave out what cannot fit.

``StageTables`` have an entry for every pair of boundaries; where devices hold a few blocks each,
nearly all of them are infinite. Here a stage is found by its first block and its length, and no
length is longer than the longest that fits anywhere.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.planner.tables import DeviceClass, Tables

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]


class Arcs:
    """All stages of all classes.

    Args:
        tables: Stage tables of at least one class.

    Attributes:
        n_block: Number of blocks ``n``.
        counts: Devices per class, shape ``(classes,)``.
        turn: Seconds on the wire that each stage of a class pays; likewise ``enter``, ``leave``
            and ``finish``, each of shape ``(classes,)``. See ``hgx.planner.cost.Hop``.
        group: Index of the remote node that a class shares with others; ``n_group`` for none.
        n_group: Number of such nodes.
        free: Indices of the classes that have no wire as first stage.
        opening: Indices of those that may have the first stage; none where all may.
    """

    def __init__(self, tables: Tables) -> None:
        classes = tables.classes
        self._tables = tables
        self.n_block = tables.n_block
        self.counts = np.array([float(len(one.devices)) for one in classes])
        self.turn, self.enter, self.leave, self.finish = np.array([one.hop for one in classes]).T
        groups = np.array([one.group for one in classes])
        self.n_group = int(groups.max()) + 1
        self.group = np.where(groups < 0, self.n_group, groups)
        self.free = tuple(at for at, one in enumerate(classes) if one.free_first)
        self.opening = tables.opening

    @cached_property
    def crowded(self) -> tuple[Indices, Indices]:
        """Classes that share a far node with others, node by node, and where each node begins.

        A node of which no device is of use has no class, and where it begins means nothing.
        """
        order = np.argsort(self.group, kind="stable")
        members = order[: int((self.group < self.n_group).sum())]
        return members, np.searchsorted(self.group[members], np.arange(self.n_group))

    def beside(self, one: int, other: int) -> bool:
        """Whether devices of two classes hand hidden states over without the wire."""
        return bool(self.group[one] == self.group[other] < self.n_group)

    @cached_property
    def longest(self) -> int:
        """Blocks of the longest stage that is not the last; at least 1."""
        widest = max(one.limit for one in self._tables.classes)
        begin, end = np.nonzero(self._tables.classes[0].stage_bytes.inner <= widest)
        return max(1, int((end - begin).max(initial=0)))

    @cached_property
    def inner(self) -> Floats:
        """Seconds without wire of ``l + 1`` blocks from ``b`` on class ``k`` at ``[b, k, l]``.

        Infinite where they do not fit, are beyond the cap, or would leave no block to stand beside
        the output head; shape ``(n, classes, longest)``.
        """
        classes, n = self._tables.classes, self.n_block
        upto = np.array([one.upto for one in classes])
        limits = np.array([one.limit for one in classes])
        ends = np.minimum(self.ends, n)
        seconds = upto.T[ends] - upto.T[:n, None]  # (n, longest, classes)
        fits = (self.bytes[:, :, None] <= limits) & (self.ends < n)[:, :, None]
        if np.isfinite(classes[0].cap):
            peak = np.array([one.peak_upto for one in classes])
            wires = np.array([_least(one, last=False) for one in classes])
            fits &= peak.T[ends] - peak.T[:n, None] + wires <= classes[0].cap
        return np.ascontiguousarray(np.where(fits, seconds, np.inf).transpose(0, 2, 1))

    @cached_property
    def bytes(self) -> Floats:
        """Bytes of ``l + 1`` blocks from ``b`` at ``[b, l]``; shape ``(n, longest)``."""
        taken = self._tables.classes[0].stage_bytes.inner
        ends = np.minimum(self.ends, self.n_block)
        return np.take_along_axis(taken[: self.n_block], ends, axis=1)

    @cached_property
    def last(self) -> Floats:
        """Seconds without wire of all blocks from ``b`` and the head, shape ``(n, classes)``."""
        n, classes = self.n_block, self._tables.classes
        seconds = np.array([one.last[:n] for one in classes])
        if np.isfinite(classes[0].cap):
            peak = [one.peak_last[:n] + _least(one, last=True) for one in classes]
            seconds = np.where(np.array(peak) <= classes[0].cap, seconds, np.inf)
        return seconds.T

    @cached_property
    def last_bytes(self) -> Floats:
        """Bytes of all blocks from ``b`` and the head, shape ``(n, classes)``."""
        return np.array([one.last_bytes[: self.n_block] for one in self._tables.classes]).T

    @cached_property
    def ends(self) -> Indices:
        """Boundary behind ``l + 1`` blocks from ``b`` at ``[b, l]``; it may be beyond the last."""
        return np.arange(self.n_block)[:, None] + np.arange(1, self.longest + 1)[None, :]


def _least(one: DeviceClass, *, last: bool) -> float:
    """Least capped seconds on the wire that a stage of a class has, wherever it stands."""
    if one.free_first:
        return 0.0
    hop, alone = one.peak_hop, one.group < 0
    return hop.turn + alone * hop.enter + (hop.finish if last else alone * hop.leave)
