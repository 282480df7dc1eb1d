"""Stages as arcs from one block boundary to another, in arrays that leave out what cannot fit.

``DeviceClass`` has an entry for every pair of boundaries; where devices hold a few blocks each,
nearly all of them are infinite. Here a stage is found by its first block and its length, and no
length is longer than the longest that fits anywhere.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.cost import Hop
from hgx.planner.ways import find_ways

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hgx.planner.tables import Tables
    from hgx.planner.ways import Ways

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]


class Cost(NamedTuple):
    """What every stage costs, in one measure.

    Attributes:
        inner: Of ``l + 1`` blocks from ``b`` on class ``k`` without wire at ``[b, k, l]``, infinite
            where they do not fit or would leave no block to stand beside the output head; shape
            ``(n, classes, longest)``.
        last: Of all blocks from ``b`` and the head at ``[b, k]``; shape ``(n, classes)``.
        turn: On the wire, by class, as in ``hgx.planner.cost.Hop``; shape ``(classes,)``.
        enter: Likewise.
        leave: Likewise.
        finish: Likewise.
    """

    inner: Floats
    last: Floats
    turn: Floats
    enter: Floats
    leave: Floats
    finish: Floats

    def wire(self, *, entered: bool, left: bool) -> Floats:
        """What an inner stage costs on the wire, shape ``(classes,)``.

        Args:
            entered: Whether hidden states come over the wire.
            left: Whether they go back over it.
        """
        return self.turn + entered * self.enter + left * self.leave

    def wire_last(self, *, entered: bool) -> Floats:
        """What the stage with the output head costs on the wire, shape ``(classes,)``."""
        return self.turn + entered * self.enter + self.finish

    def of(self, step: Step, *, free: bool) -> float:
        """What one stage of a path costs, its wire included, unless that is free."""
        k = step.at
        if step.final:
            wire = 0.0 if free else self.wire_last(entered=step.entered)[k]
            return float(self.last[step.begin, k] + wire)
        wire = 0.0 if free else self.wire(entered=step.entered, left=step.left)[k]
        return float(self.inner[step.begin, k, step.end - step.begin - 1] + wire)


class Step(NamedTuple):
    """A stage of a path.

    Attributes:
        at: Class of its device.
        begin: First block.
        end: Boundary behind the last.
        entered: Whether hidden states come over the wire.
        left: Whether they go back over it.
        final: Whether it has the output head.
    """

    at: int
    begin: int
    end: int
    entered: bool
    left: bool
    final: bool


class Arcs:
    """All stages of all classes.

    Args:
        tables: Stage tables of at least one class.

    Attributes:
        tables: Those stage tables.
        n_block: Number of blocks ``n``.
        counts: Devices per class, shape ``(classes,)``.
        group: Index of the remote node that a class shares with others; ``n_group`` for none.
        n_group: Number of such nodes.
        free: Indices of the classes that have no wire as first stage.
        opening: Indices of those that may have the first stage; none where all may.
    """

    def __init__(self, tables: Tables) -> None:
        classes = tables.classes
        self.tables = tables
        self.n_block = tables.n_block
        self.counts = np.array([float(len(one.devices)) for one in classes])
        groups = np.array([one.group for one in classes])
        self.n_group = int(groups.max()) + 1
        self.group = np.where(groups < 0, self.n_group, groups)
        self.free = tuple(at for at, one in enumerate(classes) if one.free_first)
        self.opening = tables.opening

    @cached_property
    def members(self) -> Indices:
        """Classes on far nodes that several devices share, in order; shape ``(members,)``."""
        return np.flatnonzero(self.group < self.n_group)

    @cached_property
    def mates(self) -> Indices:
        """Which members may follow each one without the wire: others, or itself if it is several.

        Shape ``(members, most)``, filled up with the number of members.
        """
        members = [int(at) for at in self.members]
        found = [
            [
                row
                for row, other in enumerate(members)
                if self.beside(at, other) and (other != at or self.counts[at] > 1)
            ]
            for at in members
        ]
        most = max([1, *map(len, found)])
        rows = [[*row, *[len(members)] * (most - len(row))] for row in found]
        return np.array(rows, dtype=np.intp).reshape(len(members), most)

    @cached_property
    def paired(self) -> NDArray[np.bool_]:
        """Classes on nodes of two devices: after the second of them comes the wire."""
        devices = np.bincount(self.group, self.counts, self.n_group + 1)
        return (devices[self.group] == 2) & (self.group < self.n_group)

    @cached_property
    def added_ways(self) -> Ways:
        """What adds up, with wires, by the ways of hidden states."""
        return find_ways(self, self.added)

    @cached_property
    def peaked_ways(self) -> Ways | None:
        """What counts of the slowest stage, likewise, if anything."""
        return None if self.peaked is None else find_ways(self, self.peaked)

    def beside(self, one: int, other: int) -> bool:
        """Whether devices of two classes hand hidden states over without the wire."""
        return bool(self.group[one] == self.group[other] < self.n_group)

    def steps(self, runs: Sequence[tuple[int, int, int]]) -> list[Step]:
        """Stages of a placement, given by class, first block and boundary behind the last."""
        found: list[Step] = []
        for position, (at, begin, end) in enumerate(runs):
            final = position == len(runs) - 1
            entered = position == 0 or not self.beside(runs[position - 1][0], at)
            left = not final and not self.beside(at, runs[position + 1][0])
            found.append(Step(at, begin, end, entered, left, final))
        return found

    def is_free(self, step: Step) -> bool:
        """Whether a stage has no wire."""
        return step.begin == 0 and step.at in self.free

    def seconds(self, runs: Sequence[tuple[int, int, int]]) -> tuple[float, float]:
        """What the stages of a placement add up to, and what counts of the slowest."""
        steps, peaked = self.steps(runs), self.peaked
        added = sum(self.added.of(step, free=self.is_free(step)) for step in steps)
        if peaked is None:
            return added, 0.0
        return added, max(peaked.of(step, free=self.is_free(step)) for step in steps)

    @cached_property
    def longest(self) -> int:
        """Blocks of the longest stage that is not the last; at least 1."""
        widest = max(one.limit for one in self.tables.classes)
        begin, end = np.nonzero(self.tables.classes[0].stage_bytes.inner <= widest)
        return max(1, int((end - begin).max(initial=0)))

    @cached_property
    def added(self) -> Cost:
        """Seconds that add up over the stages; nothing but what fits where only the slowest counts.

        With weights as ``Problem.total`` has them.
        """
        classes, n = self.tables.classes, self.n_block
        if self.tables.bottleneck:
            zero = np.zeros(n + 1)
            return self._cost([zero] * len(classes), [0.0] * len(classes), [Hop()] * len(classes))
        heads = [float(one.unit[-1]) for one in classes]
        return self._cost([one.upto for one in classes], heads, [one.hop for one in classes])

    @cached_property
    def peaked(self) -> Cost | None:
        """Seconds of which the slowest stage's count, as ``Problem.peak`` weighs them, if any."""
        classes = self.tables.classes
        if not self.tables.peaked:
            return None
        heads = [float(one.peak_unit[-1]) for one in classes]
        hops = [one.peak_hop for one in classes]
        return self._cost([one.peak_upto for one in classes], heads, hops)

    def _cost(self, upto: list[Floats], heads: list[float], hops: list[Hop]) -> Cost:
        """Costs from those of the blocks before each boundary, of the head, and on the wire."""
        classes, n = self.tables.classes, self.n_block
        limits = np.array([one.limit for one in classes])
        before = np.array(upto).T  # (n + 1, classes)
        ends = np.minimum(self.ends, n)
        seconds = before[ends] - before[:n, None]  # (n, longest, classes)
        fits = (self.bytes[:, :, None] <= limits) & (self.ends < n)[:, :, None]
        inner = np.ascontiguousarray(np.where(fits, seconds, np.inf).transpose(0, 2, 1))
        fitting = np.array([np.isfinite(one.last[:n]) for one in classes]).T
        last = np.where(fitting, before[n] - before[:n] + np.array(heads), np.inf)
        return Cost(inner, last, *np.array(hops).T)

    @cached_property
    def bytes(self) -> Floats:
        """Bytes of ``l + 1`` blocks from ``b`` at ``[b, l]``; shape ``(n, longest)``."""
        taken = self.tables.classes[0].stage_bytes.inner
        ends = np.minimum(self.ends, self.n_block)
        return np.take_along_axis(taken[: self.n_block], ends, axis=1)

    @cached_property
    def last_bytes(self) -> Floats:
        """Bytes of all blocks from ``b`` and the head, shape ``(n, classes)``."""
        return np.array([one.last_bytes[: self.n_block] for one in self.tables.classes]).T

    @cached_property
    def byte_ways(self) -> Ways:
        """Bytes of stages by the ways of hidden states; nothing where they do not fit."""
        inner = np.broadcast_to(self.bytes[:, None, :], self.added.inner.shape)
        nothing = np.zeros((4, len(self.counts)))
        return find_ways(self, Cost(inner, self.last_bytes, *nothing)).beyond(0.0)

    @cached_property
    def ends(self) -> Indices:
        """Boundary behind ``l + 1`` blocks from ``b`` at ``[b, l]``; it may be beyond the last."""
        return np.arange(self.n_block)[:, None] + np.arange(1, self.longest + 1)[None, :]
