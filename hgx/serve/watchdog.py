"""Notices that an answer has stopped coming although every process is still there.

A suspended worker, or one stuck in a driver, keeps its connections; llama-server then waits for it
without end, and its own health check goes on saying "ok". So what is watched is progress: a piece
of an answer, a byte in a tunnel, processor time of whoever computes. Where an answer is wanted and
nothing of all that moves for long enough, somebody hangs: the one who was sent something last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_S = 10.0
"""Seconds without any progress: a processor that computes shows it within 10 ms."""

GPU_PATIENCE_S = 60.0
"""The same where a worker's process may sleep while its card computes."""


class Sight(NamedTuple):
    """What can be seen of one process that works for an answer.

    Attributes:
        name: What to call it, as the subject of a sentence.
        cpu_s: Processor time it has used, in seconds.
        moved_bytes: Bytes that have gone to it and come from it.
        asked_at_s: When it was last sent something, by the clock; null where it was not.
        stopped: Whether the system says that it is suspended.
        patience_s: How long it may show nothing.
    """

    name: str
    cpu_s: float
    moved_bytes: int = 0
    asked_at_s: float | None = None
    stopped: bool = False
    patience_s: float = PATIENCE_S


class Watchdog:
    """Judges by what it is shown, several times a second; it has no clock of its own."""

    def __init__(self) -> None:
        self._last: tuple[object, ...] = ()
        self._moved_at_s = 0.0

    def look(
        self, now_s: float, pieces: int | None, sights: Sequence[Sight]
    ) -> tuple[Sight, float] | None:
        """Say who hangs.

        Args:
            now_s: The time.
            pieces: How many pieces of answers have come; null while none is wanted.
            sights: All processes that work for answers, the engine first.

        Returns:
            Whoever hangs, and for how many seconds nothing has moved; null where all is well.
        """
        now = (pieces, *((sight.cpu_s, sight.moved_bytes) for sight in sights))
        if pieces is None or now != self._last:
            self._last = now
            self._moved_at_s = now_s
            return None
        still_s = now_s - self._moved_at_s
        suspect = next((sight for sight in sights if sight.stopped), None) or max(
            sights, key=lambda sight: sight.asked_at_s or 0.0
        )
        return (suspect, still_s) if still_s >= suspect.patience_s else None
