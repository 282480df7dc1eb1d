"""Levels: how account is kept of memory that several devices share."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hgx.planner.constraints import device_limits
from hgx.planner.levels import MOST_MARKS, OPEN_END, Levels, add_marks, no_marks
from hgx.planner.problem import Pool
from hgx.planner.tables import Tables, build_tables
from tests.planner.made import MB, case, device

PAIR = frozenset({"b/cpu:0", "b/metal:0"})


def shared_tables(capacity: float = 250.0 * MB) -> Tables:
    """Two different devices that share a memory, and one that does not."""
    question = case(
        device("b/cpu:0", 200 * MB),
        device("b/metal:0", 200 * MB, 5e11, unified=True),
        device("c/cuda:0", 200 * MB),
    )
    problem = question.problem()
    return build_tables(problem, device_limits(problem), (Pool(PAIR, capacity),))


def members(tables: Tables) -> list[int]:
    """Indices of the classes that share the memory."""
    return [at for at, one in enumerate(tables.classes) if one.devices[0] in PAIR]


def test_takes_part_the_stages() -> None:
    """From a level, every stage that fits leads to exactly one level, the one it reaches."""
    tables = shared_tables()
    index = members(tables)[0]
    inner = tables.classes[index].inner
    taken = tables.classes[index].stage_bytes.inner
    marks = (0.0, 60.0 * MB, 120.0 * MB)
    levels = Levels(tables, (marks,))
    for level, base in enumerate(marks):
        takes = list(levels.takes(index, level, closing=False))
        led = sum(np.isfinite(take.stages).astype(int) for take in takes)
        fits = np.isfinite(inner) & (base + taken <= tables.pool_capacity[0])
        assert np.array_equal(led, fits.astype(int))
        for take in takes:
            reached = base + taken[np.isfinite(take.stages)]
            assert (reached >= marks[take.target]).all()
            assert (reached < [*marks, np.inf][take.target + 1]).all()


def test_the_last_device_of_a_memory_leaves_nothing_to_know() -> None:
    """With one device of the memory used, the other closes it, and its level ends."""
    tables = shared_tables()
    first, second = members(tables)
    levels = Levels(tables, ((0.0, 60.0 * MB),))
    used = np.zeros((2, len(tables.classes)), dtype=np.uint16)
    used[1, first] = 1
    assert levels.closes(used, 0).tolist() == [False, True]
    assert [take.target for take in levels.takes(second, 1, closing=True)] == [OPEN_END]


def test_devices_of_their_own_memory_have_no_levels() -> None:
    """A device that shares nothing has all its stages, in one way."""
    tables = shared_tables()
    (alone,) = set(range(len(tables.classes))) - set(members(tables))
    levels = Levels(tables, no_marks(tables))
    (take,) = levels.takes(alone, 0, closing=False)
    assert take.target == OPEN_END
    assert np.array_equal(take.stages, tables.classes[alone].inner)
    assert np.array_equal(levels.last(alone, 0), tables.classes[alone].last)


@given(
    taken=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    sizes=st.sets(st.integers(1, 200), max_size=60),
    short=st.integers(1, 30),
)
def test_marks_are_never_in_vain(taken: list[int], sizes: set[int], short: int) -> None:
    """What takes too much is not possible with the new marks, however often it is rounded."""
    capacity = float(max(0, sum(taken) - short))
    known = sorted({*sizes, *np.cumsum(taken).tolist(), *taken})
    marks = add_marks((0.0,), capacity, taken, known)
    assert marks == tuple(sorted(set(marks)))
    rounded, fits = 0.0, True
    for size in taken:
        fits = fits and rounded + size <= capacity
        rounded = max(mark for mark in marks if mark <= rounded + size)
    assert not fits


def test_marks_have_an_end() -> None:
    """More marks than are of use are not added."""
    marks = tuple(float(mark) for mark in range(MOST_MARKS))
    assert add_marks(marks, 1000.0, [500.5, 600.0], [500.5, 600.0]) == marks
