"""Questions that are not asked too often."""

from __future__ import annotations

from hgx.sensors.paced import Paced


def test_answers_are_kept_for_a_period() -> None:
    """A question is asked again only when its answer is as old as the period, be it null or not."""
    answers = iter([None, 2, 3])
    times = iter([0.0, 4.9, 5.0, 9.9, 10.0])
    paced = Paced(lambda: next(answers), 5.0, lambda: next(times))
    assert [paced() for _ in range(5)] == [None, None, 2, 2, 3]
