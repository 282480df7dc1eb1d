"""Spans of seconds: how they are divided, and that what they prove together is true."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.search.paths import Span, path_bound
from hgx.planner.search.spans import FLAT, divide, parts
from hgx.planner.search.standing import Standing
from tests.planner.by_hand import least, never, tables_of
from tests.planner.made import MB, case, device, options, workload

if TYPE_CHECKING:
    from hgx.planner.problem import Problem
    from hgx.planner.search.paths import PathBound


@given(low=st.just(0.0) | st.floats(1e-9, 10), length=st.floats(1e-3, 10), slowest=st.floats(0, 30))
def test_parts_are_the_whole(low: float, length: float, slowest: float) -> None:
    """They meet within it, at the slowest stage's seconds where these are inside."""
    span = Span(low, low + length)
    found = parts(span, slowest)
    assert (found[-1].low, found[0].high) == span
    for above, below in pairwise(found):
        assert below.low < below.high == above.low < above.high
    if span.low < slowest < span.high:
        assert found[0].low == slowest
    middle = found[0].low
    assert len(found) == (3 if span.low < FLAT * middle < middle else 2)


def test_long_spans_are_divided_near_an_end() -> None:
    """What reaches down to nothing is cut not far below its top, what reaches far up, above."""
    assert parts(Span(0.0, 1.0), math.inf)[0].low == pytest.approx(FLAT)
    assert parts(Span(1.0, 100.0), math.inf)[0].low == pytest.approx(1.0 / FLAT)


def problem() -> Problem:
    """Five devices for twelve blocks, where sum and slowest stage count."""
    devices = [
        device(f"{node}/cuda:0", (120 + 50 * at) * MB, 1e12 / (1 + at % 3))
        for at, node in enumerate("bcdef")
    ]
    weights = [(20 + 7 * (at % 5)) * MB for at in range(12)]
    return case(*devices, model=workload(weights), asked=options("balanced")).problem()


def test_bounds_of_spans_prove_no_more_than_is_true() -> None:
    """Divided on bounds alone, the bound rises, and stays below the best of all placements."""
    best = least(problem())
    arcs = Arcs(tables_of(problem()))
    whole = path_bound(arcs, 1.1 * best)
    standing, looks = Standing(1.1 * best), iter(range(10**9))

    def prove(part: PathBound) -> float:
        return part.root()

    divide(arcs, standing, whole, prove, lambda: next(looks) > 400)
    assert whole.root() < standing.bound <= best * (1 + 1e-9)


def test_without_a_target_or_time_nothing_is_divided() -> None:
    """Spans need an upper end, and every one of them takes time."""
    arcs = Arcs(tables_of(problem()))
    whole = path_bound(arcs, math.inf)

    def prove(part: PathBound) -> float:
        raise AssertionError(part)

    divide(arcs, Standing(math.inf), whole, prove, never)
    divide(arcs, Standing(10.0), whole, prove, lambda: True)
