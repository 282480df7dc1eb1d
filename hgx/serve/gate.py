"""Lets requests through to the engine: so many at a time, with so much rest between them."""

from __future__ import annotations

import time
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TURN_S = 10.0
"""One turn of work and the rest that it calls for: pauses of a blink cool nothing, and answers
take so long."""


class Gate:
    """The way to an engine that may have to rest; any thread may use it.

    Work calls for rest in proportion. While some is owed nobody is let in, and what runs is never
    interrupted: rest is paid back when all answers have ended.

    Args:
        clock: Returns seconds; it never steps.

    Attributes:
        running: Requests that were let in and have not ended.
        refusal: Why requests are not to wait at all; null where they may.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = RLock()
        self._slots: int | None = None
        self._duty = 1.0
        self._owed_s = 0.0
        self._resting = False
        self._busy_s = 0.0
        self._at_s = clock()
        self._waiting: deque[Ticket] = deque()
        self.running = 0
        self.refusal: str | None = None

    @property
    def waiting(self) -> int:
        """How many requests wait to be let in."""
        return len(self._waiting)

    @property
    def busy_s(self) -> float:
        """For how long any request has been running, in all."""
        with self._lock:
            self._pass_time()
            return self._busy_s

    def set(self, slots: int | None, duty: float, refusal: str | None = None) -> None:
        """Set how many requests may run at a time, null for any, and for what share of the time.

        Args:
            slots: How many.
            duty: Share of the time, 0 to 1.
            refusal: Why requests are not to wait at all, in one sentence.
        """
        with self._lock:
            self._pass_time()
            self._slots, self._duty, self.refusal = slots, duty, refusal

    def ticket(self) -> Ticket:
        """Return what lets one request in."""
        return Ticket(self)

    def admit(self, ticket: Ticket) -> bool:
        """Let a request in if it may work now and nobody has waited for longer."""
        with self._lock:
            self._pass_time()
            if ticket not in self._waiting:
                self._waiting.append(ticket)
            free = self._slots is None or self.running < self._slots
            if self._resting or self._duty <= 0 or not free or self._waiting[0] is not ticket:
                return False
            self._waiting.popleft()
            self.running += 1
            return True

    def leave(self, ticket: Ticket, *, ran: bool) -> None:
        """Take note that a request has ended, or is not to be let in any more."""
        with self._lock:
            self._pass_time()
            if ran:
                self.running -= 1
            elif ticket in self._waiting:
                self._waiting.remove(ticket)

    def _pass_time(self) -> None:
        """Add up work and rest since the last time."""
        now_s = self._clock()
        passed_s, self._at_s = max(0.0, now_s - self._at_s), now_s
        duty = self._duty
        if self.running:
            self._busy_s += passed_s
            if 0 < duty < 1:
                self._owed_s += passed_s * (1 - duty) / duty
        else:
            self._owed_s = max(0.0, self._owed_s - passed_s)
        if duty >= 1 or self._owed_s == 0:
            self._owed_s, self._resting = 0.0, False
        elif self._owed_s >= TURN_S * (1 - duty):
            self._resting = True


class Ticket:
    """One request's way in and out. It is made by ``Gate.ticket``."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._entered = False
        self._left = False

    def enter(self) -> bool:
        """Go in if that is possible now; ask again later where it is not."""
        self._entered = self._entered or self._gate.admit(self)
        return self._entered

    def leave(self) -> None:
        """End it, wherever it is; idempotent."""
        if not self._left:
            self._left = True
            self._gate.leave(self, ran=self._entered)
