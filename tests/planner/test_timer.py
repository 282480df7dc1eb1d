"""Deadlines, and shares of the time that is left."""

from __future__ import annotations

from hgx.planner.timer import Timer


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_share_ends_before_the_deadline() -> None:
    """The first of four parts has a quarter of what is left; the last has all of it."""
    clock = Clock()
    timer = Timer(clock, 8.0)
    quarter, soon, late = timer.share(4), timer.within(1.0), timer.within(100.0)
    assert [late(), quarter(), soon(), timer.expired()] == [False] * 4
    clock.now = 1.5
    assert [quarter(), soon(), late()] == [False, True, False]
    clock.now = 2.0
    assert [quarter(), late(), timer.expired()] == [True, False, False]
    last = timer.share(1)
    clock.now = 8.0
    assert [last(), late(), timer.expired()] == [True, True, True]
