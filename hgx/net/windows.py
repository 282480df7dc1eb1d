"""Turn the arrival of bytes into rates, one per short stretch of time."""

from __future__ import annotations

from typing import NamedTuple

WINDOW_S = 0.1

MOST_BYTES = 256 * 1024**2
"""More than this no test of a link carries in one direction."""

MOST_S = 5.0
"""Longer than this no test of a link counts in one direction."""

CHUNK_BYTES = 256 * 1024


class Windows:
    """Counts bytes per window.

    Args:
        start_s: When the test began, of any clock that only runs forward.
    """

    def __init__(self, start_s: float) -> None:
        self._start_s = start_s
        self._last_s = start_s
        self._counts: list[_Window] = [_Window(start_s, 0)]

    def add(self, now_s: float, count: int) -> None:
        """Take note of bytes that arrived; a window ends with the first that come after its end."""
        start_s, before = self._counts[-1]
        self._counts[-1] = _Window(start_s, before + count)
        self._last_s = now_s
        if now_s - start_s >= WINDOW_S:
            self._counts.append(_Window(now_s, 0))

    def rates(self) -> list[float]:
        """Return bytes per second of each window; the last may be shorter than the others.

        A window that carried nothing is not among them: there is none where nothing arrives.
        """
        ends = [window.start_s for window in self._counts[1:]] + [self._last_s]
        return [
            window.carried / (end_s - window.start_s)
            for window, end_s in zip(self._counts, ends, strict=True)
            if window.carried and end_s > window.start_s
        ]


class _Window(NamedTuple):
    start_s: float
    carried: int
