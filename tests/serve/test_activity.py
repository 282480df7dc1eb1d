"""Which answers are being given."""

from __future__ import annotations

from hgx.serve.activity import Activity


def test_wanted() -> None:
    """A request is wanted until it is ended, once."""
    activity = Activity()
    one, other = activity.begin(), activity.begin()
    assert activity.wanted == 2
    one.end()
    one.end()
    assert activity.wanted == 1
    other.end()
    assert (activity.wanted, activity.begun) == (0, 2)


def test_alone() -> None:
    """A request was alone if no other one ran at any time of its life."""
    activity = Activity()
    first = activity.begin()
    assert first.alone
    second = activity.begin()
    assert not first.alone
    assert not second.alone
    first.end()
    assert not second.alone
    second.end()
    third = activity.begin()
    third.end()
    assert third.alone
