"""Questions that cost too much to be asked each second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")


class Paced(Generic[Answer]):
    """Asks at most once per period, and gives the last answer in between.

    Args:
        ask: The question.
        period_s: Seconds that an answer is good for.
        clock: Returns seconds.
    """

    def __init__(
        self,
        ask: Callable[[], Answer],
        period_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._period_s = period_s
        self._clock = clock
        self._last: tuple[float, Answer] | None = None

    def __call__(self) -> Answer:
        """Give the answer, an old one if it is young enough."""
        now = self._clock()
        if self._last is None or now - self._last[0] >= self._period_s:
            self._last = (now, self._ask())
        return self._last[1]
