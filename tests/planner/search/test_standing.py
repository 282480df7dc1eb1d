"""What is known only ever gets better."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.planner.search.found import Found, Run
from hgx.planner.search.standing import Standing

KNOWN, BETTER = (Run(0, 0, 4),), (Run(1, 0, 4),)


def test_the_known_placement_counts_until_something_beats_it() -> None:
    """What is no better is not kept, and what is takes the place of what was known."""
    standing = Standing(2.0, KNOWN)
    standing.take(Found(2.0, BETTER, 0.0, 3))
    assert (standing.objective, standing.runs, standing.best_runs) == (2.0, (), KNOWN)
    standing.take(Found(1.5, BETTER, 0.0, 4))
    assert (standing.objective, standing.runs, standing.best_runs) == (1.5, BETTER, BETTER)
    standing.take(Found(math.inf, (), 0.0, 5))
    assert (standing.objective, standing.states) == (1.5, 12)


def test_it_is_proven_once_nothing_is_left_below() -> None:
    """A bound comes up to the objective and no farther, and never goes back."""
    standing = Standing(2.0)
    standing.prove(1.5)
    assert not standing.proven
    standing.prove(1.0)
    assert standing.bound == 1.5
    standing.prove(3.0)
    assert (standing.bound, standing.proven) == (2.0, True)


def test_where_nothing_is_known_nothing_is_beaten() -> None:
    """Any finite objective is worth while; where none can be, that is proven."""
    standing = Standing(math.inf)
    assert standing.best_runs == ()
    assert not standing.beaten_by(1e300)
    standing.prove(math.inf)
    assert standing.proven


@given(st.lists(st.tuples(st.floats(1.0, 2.0), st.floats(0.0, 1.0)), max_size=8))
def test_whatever_comes_it_gets_better(events: list[tuple[float, float]]) -> None:
    """In any order, the objective falls, the bound rises, and they do not cross."""
    standing = Standing(2.0, KNOWN)
    before = (2.0, 0.0)
    for objective, bound in events:
        standing.take(Found(objective, BETTER, 0.0, 1))
        standing.prove(bound)
        assert standing.objective <= before[0]
        assert standing.bound >= before[1]
        assert standing.bound <= standing.objective
        before = (standing.objective, standing.bound)
    assert standing.objective == pytest.approx(min([2.0, *(one for one, _ in events)]))
