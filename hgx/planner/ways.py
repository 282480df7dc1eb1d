"""What stages cost, their wires included, by the way hidden states come and go.

Over the wire they come from the coordinator, and go back to it. Between devices of one far node
they need not: the *members* of such a node may hand them over. A device is there once, so what
follows a stage on a node is another of its devices; and on a node of two, the wire comes next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs, Cost, Step

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]


class Way(NamedTuple):
    """How a stage's hidden states come and go.

    Attributes:
        entered: Whether they come over the wire.
        left: Whether they go back over it; an output head's results always do.
        final: Whether the stage has the output head.
    """

    entered: bool
    left: bool
    final: bool

    @property
    def wired(self) -> bool:
        """Whether nothing is handed over on a node, so that any class may have the stage."""
        return self.entered and (self.left or self.final)


class Ways(NamedTuple):
    """Seconds of every stage in one measure, infinite where it does not fit or has no place.

    With ``n`` blocks, of stages of ``l + 1`` blocks at ``[..., l]``:

    Attributes:
        members: Classes on far nodes that several devices share, in order; ``(members,)``.
        stages: By first block and then by class: of members that come over the wire and are handed
            on; of all classes that come and go over it; of members that are handed over to and go
            over it. In one array, of shape ``(n, members + classes + members, longest)``, because
            what is asked of one is asked of all.
        ending: Of stages with the output head, the last two of these; ``(n, classes + members)``.
        middle: Of members that are handed over to and handed on, ``(n, members, longest)``; of no
            member where all are on nodes of two.
    """

    members: Indices
    stages: Floats
    ending: Floats
    middle: Floats

    def of(self, way: Way) -> Floats:
        """Seconds of the stages of one way, by first block and then by class or member."""
        members, classes = len(self.members), self.ending.shape[1] - len(self.members)
        if way.final:
            return self.ending[:, :classes] if way.entered else self.ending[:, classes:]
        if not way.left:
            return self.stages[:, :members] if way.entered else self.middle
        wired = self.stages[:, members:]
        return wired[:, :classes] if way.entered else wired[:, classes:]

    def rows(self, way: Way, at: Indices) -> Indices:
        """Where the stages of classes are among those of one way."""
        return at if way.wired else np.searchsorted(self.members, at)

    def at(self, step: Step) -> float:
        """Seconds of one stage."""
        way = Way(step.entered, step.left, step.final)
        stages = self.of(way)[step.begin, int(self.rows(way, np.array(step.at)))]
        return float(stages if step.final else stages[step.end - step.begin - 1])

    def within(self, peaked: Ways, longest: float) -> Ways:
        """Leave out the stages that take longer than some seconds in another measure."""
        if np.isinf(longest):
            return self
        pairs = zip(self[1:], peaked[1:], strict=True)
        kept = (np.where(other <= longest, mine, np.inf) for mine, other in pairs)
        return Ways(self.members, *kept)

    def beyond(self, low: float) -> Ways:
        """What stages take beyond some seconds; nothing where they do not fit."""
        parts = (np.where(np.isfinite(one), np.maximum(one - low, 0.0), 0.0) for one in self[1:])
        return Ways(self.members, *parts)

    def plus(self, seconds: Floats, more: Ways | None, weight: Floats, into: Ways | None) -> Ways:
        """Let all stages of a class take more seconds, and add another measure, weighted by class.

        Args:
            seconds: Shape ``(classes,)``.
            more: All of it finite; nothing is added where it is null.
            weight: Shape ``(classes,)``.
            into: What holds the result, if anything does yet: there is much of it.
        """
        into = into or Ways(self.members, *(np.empty_like(part) for part in self[1:]))
        by_row = zip(self._by_row(seconds), self._by_row(weight), strict=True)
        others = more[1:] if more else self[1:]
        parts = zip(self[1:], others, into[1:], by_row, strict=True)
        for mine, other, result, (added, weighed) in parts:
            shape = (-1, 1) if mine.ndim > 2 else (-1,)
            if more is None:
                np.add(mine, added.reshape(shape), out=result)
            else:
                np.multiply(other, weighed.reshape(shape), out=result)
                np.add(result, mine, out=result)
                np.add(result, added.reshape(shape), out=result)
        return into

    def _by_row(self, by_class: Floats) -> tuple[Floats, ...]:
        """Values of classes as the rows of every array."""
        members = by_class[self.members]
        rows = np.concatenate((members, by_class, members))
        return rows, rows[len(members) :], members[: self.middle.shape[1]]


def find_ways(arcs: Arcs, cost: Cost) -> Ways:
    """Add the wires to what stages cost.

    Args:
        arcs: All stages.
        cost: What they cost without, and the wires.
    """
    k, paired = arcs.members, arcs.paired
    inner = cost.inner[:, k]

    def wire(*, entered: bool, left: bool) -> Floats:
        return cost.wire(entered=entered, left=left)[:, None]

    alone = cost.inner + wire(entered=True, left=True)
    last = cost.last + cost.wire_last(entered=True)
    for free in arcs.free:
        alone[0, free], last[0, free] = cost.inner[0, free], cost.last[0, free]
    first = inner + wire(entered=True, left=False)[k]
    second = inner + wire(entered=False, left=True)[k]
    last_second = cost.last[:, k] + cost.wire_last(entered=False)[k]
    middle = inner + wire(entered=False, left=False)[k]
    middle[:, paired[k]] = np.inf
    middle = middle[:, :0] if paired[k].all() else middle
    second[0] = middle[0] = last_second[0] = np.inf
    if arcs.opening:
        shut = np.ones(len(arcs.counts), dtype=np.bool_)
        shut[list(arcs.opening)] = False
        alone[0, shut] = last[0, shut] = np.inf
        first[0, shut[k]] = np.inf
    stages = np.concatenate((first, alone, second), axis=1)
    return Ways(k, stages, np.concatenate((last, last_second), axis=1), middle)
