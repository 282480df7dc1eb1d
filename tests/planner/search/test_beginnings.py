"""Which labels are useless: only what another one is at least as good as in everything."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hgx.planner.search.beginnings import Labels, joined, undominated

NUMBERS = st.integers(0, 3)


def labels(places: list[int]) -> Labels:
    """Labels that differ in their place."""
    place = np.array(places, dtype=np.intp)
    seconds, count = place.astype(np.float64), len(places)
    used, key = np.zeros((count, 2), dtype=np.uint16), place[:, None].astype(np.int64)
    return Labels(used, key, place, seconds, seconds, np.zeros((count, 0)), seconds, place, place)


@given(
    rows=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=30),
    things=st.integers(0, 2),
)
def test_what_is_dropped_is_useless(rows: list[tuple[int, int, int, int]], things: int) -> None:
    """Of every kind the best stay, and whatever is dropped one of these replaces."""
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
    kind, added, more = table[:, :1].astype(np.int64), table[:, 1], table[:, 2 : 2 + things]
    kept = undominated(kind, added, more).tolist()
    assert len(set(kept)) == len(kept)
    for row in range(len(rows)):
        assert any(
            kind[other] == kind[row]
            and added[other] <= added[row]
            and (more[other] <= more[row]).all()
            for other in kept
        )


def test_labels_are_joined_and_picked_row_by_row() -> None:
    """Every array has the rows of both, in order, or those that are asked for."""
    both = joined(labels([3, 1]), labels([2]))
    for part in both.pick(np.array([2, 0])):
        assert len(part) == 2
    assert both.place.tolist() == both.parent.tolist() == [3, 1, 2]
    assert both.pick(np.array([2, 0])).slack.tolist() == [2.0, 3.0]
