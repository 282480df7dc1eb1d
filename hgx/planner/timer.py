"""When a search stops: at its deadline, and a part of it at its share of the way there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Clock = Callable[[], float]


class Timer:
    """A clock with a deadline.

    Args:
        clock: Seconds, from any origin.
        deadline: When to stop, on that clock.
    """

    def __init__(self, clock: Clock, deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline

    def expired(self) -> bool:
        """Whether it is time to stop."""
        return self._clock() >= self._deadline

    def within(self, seconds: float) -> Callable[[], bool]:
        """Return what says that so many seconds from now, or the deadline, have passed."""
        return self.first(seconds).expired

    def left(self) -> float:
        """Seconds to the deadline; 0 when it has passed."""
        return max(0.0, self._deadline - self._clock())

    def first(self, seconds: float) -> Timer:
        """Return a timer that ends with the first so many seconds from now, or with this one."""
        return Timer(self._clock, min(self._deadline, self._clock() + seconds))

    def share(self, parts: int) -> Callable[[], bool]:
        """Give the first of so many parts its share of the time that is left."""
        return self.within(self.left() / parts)
