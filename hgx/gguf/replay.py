"""How much room the intermediate results of a graph take, as llama.cpp's allocator places them.

ggml plans one buffer per device for all results of a graph: each takes the smallest gap that is
large enough, or the end, and gives it back after its last use; what an operation can do in place
takes the place of what it reads. What that comes to depends on the order and on the gaps, so it is
replayed here rather than guessed from a formula. Facts: ``ggml-alloc.c`` of llama.cpp build 11434.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

_ENDLESS: Final = 1 << 200


class _Step(NamedTuple):
    """One result: its size, the numbers of what it is made of, and whether in place of one."""

    size: int
    sources: tuple[int, ...]
    in_place: bool


class Graph:
    """Results in the order in which they are computed; a result is named by its number."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []

    def new(self, size: int, *sources: int) -> int:
        """Compute a result that has room of its own.

        Args:
            size: Of the result, in any unit that is the same for all.
            sources: What it is computed from; each is kept until its last use.
        """
        return self._add(_Step(size, sources, in_place=False))

    def over(self, size: int, *sources: int) -> int:
        """Compute a result in place of the first source of its size that nothing else needs."""
        return self._add(_Step(size, sources, in_place=True))

    def use(self, *sources: int) -> None:
        """Store results elsewhere: they are needed until here, and nothing takes room."""
        self.new(0, *sources)

    def peak(self) -> int:
        """Return the size of the buffer that has room for all results; the last one is kept."""
        left = Counter(source for step in self._steps for source in step.sources)
        places: dict[int, int] = {}
        room = _Room()
        for number, (size, sources, in_place) in enumerate(self._steps):
            for source in sources:
                if in_place and left[source] == 1 and self._steps[source].size == size:
                    places[number] = places.pop(source)
                    break
            else:
                places[number] = room.take(size)
            left.subtract(sources)
            for source in sources:
                if not left[source] and source in places:
                    room.give(places.pop(source), self._steps[source].size)
        return room.peak

    def _add(self, step: _Step) -> int:
        self._steps.append(step)
        return len(self._steps) - 1


class _Room:
    """Free gaps in one buffer, by offset; the last one has no end."""

    def __init__(self) -> None:
        self.peak = 0
        self._gaps: list[tuple[int, int]] = [(0, _ENDLESS)]

    def take(self, size: int) -> int:
        """Return where a result goes: into the smallest gap, of equal ones the last."""
        if not size:
            return 0
        *inner, last = self._gaps
        fitting = [(length, -begin) for begin, length in inner if length >= size]
        begin = -min(fitting)[1] if fitting else last[0]
        at = next(at for at, gap in enumerate(self._gaps) if gap[0] == begin)
        length = self._gaps[at][1]
        self._gaps[at : at + 1] = [(begin + size, length - size)] if length > size else []
        self.peak = max(self.peak, begin + size)
        return begin

    def give(self, begin: int, size: int) -> None:
        """Take back what is no longer used, and close up with gaps beside it."""
        if not size:
            return
        merged: list[tuple[int, int]] = []
        for start, length in sorted([*self._gaps, (begin, size)]):
            if merged and sum(merged[-1]) == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + length)
            else:
                merged.append((start, length))
        self._gaps = merged
