"""Memory that several devices share, as the search keeps account of it: in levels.

How much of a shared memory the devices used so far have taken would be too fine a distinction
between states. So it is rounded down to a mark: the search then allows everything that is allowed,
and perhaps a little more. Where its answer takes too much, marks are added that forbid it, and the
search runs again; with enough marks the rounding is exact. Once all devices of a memory are used,
what they took no longer matters.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.semiring import band_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hgx.planner.tables import Tables

    Floats = NDArray[np.float64]
    Marks = tuple[tuple[float, ...], ...]

OPEN_END = -1
"""Target of a stage after which nothing needs to be known of its memory."""

MOST_MARKS = 250
"""More would make the search too large to be of use."""


class Take(NamedTuple):
    """A way a stage can take from a shared memory: the level it leads to, and the stages that do.

    ``stages`` is a class's ``inner`` table, infinite where the stage leads elsewhere or does not
    fit into what is left; ``band`` is the same without stages that are too long.
    """

    target: int
    stages: Floats
    band: Floats


class Levels:
    """The levels of all shared memories, for one set of tables.

    Args:
        tables: Stage tables.
        marks: For every shared memory of the tables, ascending sizes in bytes that begin with 0.
    """

    def __init__(self, tables: Tables, marks: Marks) -> None:
        self._tables = tables
        self._marks = marks
        self._takes: dict[tuple[int, int, int], Floats] = {}
        self._bands: dict[tuple[int, int, int], Floats] = {}
        self._members = tables.pools.astype(np.int64)
        self._sizes = self._members @ np.array([len(c.devices) for c in tables.classes], dtype=int)
        self.pool_of = [
            int(np.flatnonzero(column)[0]) if column.any() else -1 for column in tables.pools.T
        ]

    def closes(self, used: NDArray[np.uint16], pool: int) -> NDArray[np.bool_]:
        """Whether one more device of a memory is its last, shape ``(states,)``."""
        return used @ self._members[pool] + 1 == self._sizes[pool]

    def takes(self, class_index: int, level: int, *, closing: bool) -> Iterator[Take]:
        """All ways a stage of a class can take from its memory, from a level on."""
        pool = self.pool_of[class_index]
        if pool < 0:
            yield self._take(class_index, 0, OPEN_END)
            return
        targets = [OPEN_END] if closing else range(level, len(self._marks[pool]))
        for target in targets:
            take = self._take(class_index, level, target)
            if np.isfinite(take.band).any():
                yield take

    def _take(self, class_index: int, level: int, target: int) -> Take:
        key = (class_index, level, target)
        if key not in self._bands:
            self._bands[key] = band_of(self.stages(*key))
        return Take(target, self.stages(*key), self._bands[key])

    def stages(self, class_index: int, level: int, target: int) -> Floats:
        """Stages of a class that lead from one level to another, shape ``(n + 1, n + 1)``."""
        key = (class_index, level, target)
        if key not in self._takes:
            device_class = self._tables.classes[class_index]
            pool = self.pool_of[class_index]
            taken = device_class.stage_bytes.inner
            marks = self._marks[pool] if pool >= 0 else (0.0,)
            fits = taken <= self._left(pool, level)
            if target != OPEN_END:
                above = marks[target + 1] if target + 1 < len(marks) else np.inf
                total = taken + marks[level]
                fits = fits & (total >= marks[target]) & (total < above)
            self._takes[key] = np.where(fits, device_class.inner, np.inf)
        return self._takes[key]

    def last(self, class_index: int, level: int) -> Floats:
        """Last stages of a class that fit into what is left, shape ``(n + 1,)``."""
        device_class = self._tables.classes[class_index]
        left = self._left(self.pool_of[class_index], level)
        return np.where(device_class.last_bytes <= left, device_class.last, np.inf)

    def _left(self, pool: int, level: int) -> float:
        """Bytes of a memory that may still be taken."""
        if pool < 0:
            return np.inf
        return float(self._tables.pool_capacity[pool]) - self._marks[pool][level]


def add_marks(
    marks: tuple[float, ...], capacity: float, taken: Sequence[float], sizes: Sequence[float]
) -> tuple[float, ...]:
    """Add marks that forbid taking too much of a memory in this way.

    Args:
        marks: The marks so far.
        capacity: Bytes of the memory.
        taken: What each of its devices takes, in order; together more than the capacity.
        sizes: All sizes a stage can have, ascending.

    Returns:
        At least one mark more: what was taken before the stage that takes too much is now exact.
        The least size that leaves too little for that stage, and one half-way, forbid much else.
    """
    before = 0.0
    fresh: set[float] = set()
    for size in taken:
        if before + size > capacity:
            at = bisect_right(sizes, capacity - size)
            fresh |= {
                sizes[index]
                for index in (at, (at + bisect_right(sizes, before)) // 2)
                if index < len(sizes) and sizes[index] <= before
            }
            break
        before += size
        fresh.add(before)
    joined = sorted({*marks, *fresh})
    return tuple(joined) if len(joined) <= MOST_MARKS else marks


def no_marks(tables: Tables) -> Marks:
    """The coarsest levels: every shared memory as if nothing had been taken."""
    return ((0.0,),) * len(tables.pool_capacity)
