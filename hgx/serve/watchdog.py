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
"""Seconds without any progress."""

LEAST_CPU_S = 0.2
"""Processor time that counts as progress: whoever computes uses it up long before patience ends,
and whoever waits wakes now and then, for a hundredth of a second."""

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
        self._pieces: int | None = None
        self._before: dict[str, Sight] = {}
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
        if pieces is None or pieces != self._pieces or any(map(self._has_moved, sights)):
            self._pieces = pieces
            self._before = {sight.name: sight for sight in sights}
            self._moved_at_s = now_s
            return None
        still_s = now_s - self._moved_at_s
        suspect = next((sight for sight in sights if sight.stopped), None) or max(
            sights, key=lambda sight: sight.asked_at_s or 0.0
        )
        return (suspect, still_s) if still_s >= suspect.patience_s else None

    def _has_moved(self, sight: Sight) -> bool:
        before = self._before.get(sight.name)
        if before is None or sight.moved_bytes != before.moved_bytes:
            return True
        return sight.cpu_s - before.cpu_s >= LEAST_CPU_S
