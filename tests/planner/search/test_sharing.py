"""Memories that several devices share are divided in the best way, for the slowest stage."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.bound import lower_bound
from hgx.planner.search.exact import solve_exactly
from hgx.planner.search.found import Outcome
from hgx.planner.search.reach import FEW_ROUNDS, Slowest
from hgx.planner.search.reporter import Silent
from hgx.planner.search.sharing import named, share_memories
from tests.planner.by_hand import least, never, runs_of, tables_of
from tests.planner.made import MB, SEVERAL, Case, case, cases, device, options, registry, workload
from tests.planner.oracles.reading import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.gguf.arrangement import Arrangement
    from hgx.planner.problem import Problem
    from hgx.planner.search.found import Found
    from hgx.planner.tables import Tables

NOTHING = Outcome(math.inf, (), 0.0, 0)
"""What is known where nobody looks beforehand."""

PARTS = 2000
"""Divisions that no small problem needs."""


class Counted:
    """Searches where no memory is shared, counted, until there were too many."""

    def __init__(self, most: int = PARTS) -> None:
        self.tables: list[Tables] = []
        self._most = most

    def __call__(self, tables: Tables, target: float, floor: float) -> Found:
        """Search."""
        self.tables.append(tables)
        assert len(self.tables) <= self._most
        floor = max(floor, lower_bound(tables, target).root())
        return Slowest(tables, never, Silent()).run(target, floor, (1 << 14,), FEW_ROUNDS)


def shared(
    problem: Problem,
    *,
    target: float = math.inf,
    begin: Callable[[], Outcome] = lambda: NOTHING,
    expired: Callable[[], bool] = never,
    solve: Counted | None = None,
) -> Outcome:
    """Divide memories."""
    return share_memories(problem, target, solve or Counted(), begin, expired)


def after(looks: int) -> Callable[[], bool]:
    """A clock that says when it was looked at so often."""
    seen = iter(range(10**9))
    return lambda: next(seen) >= looks


near = cases(
    devices=4,
    blocks=4,
    backends=("cpu", "metal"),
    coordinators=("a",),
    objectives=("throughput",),
)


@settings(max_examples=120, deadline=None)
@given(question=near, which=st.sampled_from(SEVERAL), aim=st.sampled_from((1.0, 1.5, math.inf)))
def test_it_is_that_of_trying_everything(question: Case, which: Arrangement, aim: float) -> None:
    """The least slowest stage is found and proven, or that nothing beats the target."""
    problem = question.problem(arrangement=which)
    assume(tables_of(problem).classes and len(tables_of(problem).pools))
    best = least(problem)
    found = shared(problem, target=aim * best)
    assert found.bound == pytest.approx(best, rel=1e-8)
    if aim == 1.0 or math.isinf(best):
        assert (found.objective, found.placement) == (math.inf, ())
    else:
        assert found.objective == pytest.approx(best, rel=1e-8)
        assert seconds_of(problem, found.placement) == pytest.approx(best, rel=1e-8)


@settings(max_examples=60, deadline=None)
@given(
    question=near,
    which=st.sampled_from(SEVERAL),
    looks=st.integers(0, 6),
)
def test_stopped_it_claims_no_more_than_is_true(
    question: Case, which: Arrangement, looks: int
) -> None:
    """Whichever parts are left, the bound is below the best and the answer above."""
    problem = question.problem(arrangement=which)
    assume(tables_of(problem).classes and len(tables_of(problem).pools))
    best = least(problem)
    found = shared(problem, expired=after(looks))
    assert found.bound <= best * (1 + 1e-9) <= found.objective * (1 + 2e-9)
    if found.placement:
        assert found.objective == pytest.approx(seconds_of(problem, found.placement), rel=1e-9)


def three_in_one(weights: tuple[int, ...], ram: int, *, equal: bool = True) -> Problem:
    """Three quick devices in one memory, equal or not, and a slow one elsewhere."""
    names = [device(f"b/cpu:{at}", 160 * MB, 5e11 * (1 + at * (not equal))) for at in range(3)]
    question = Case(
        registry(*names, device("c/cuda:0"), nodes=("a",), ram={"b": ram * MB}),
        workload([MB * weight for weight in weights]),
        options("throughput"),
    )
    return question.problem()


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize(
    ("weights", "ram"),
    [((60, 40, 60, 40, 60), 250), ((30, 80, 30, 80, 30), 250), ((50, 50, 50, 50), 200)],
)
def test_three_devices_in_one_memory(weights: tuple[int, ...], ram: int, *, equal: bool) -> None:
    """The division of a memory among three, equal or not, ends, and is the best.

    A smaller memory of two of them comes out of it; it is divided before the one of all three, or
    that would be divided the same way for ever.
    """
    problem = three_in_one(weights, ram, equal=equal)
    best, solve = least(problem), Counted(200)
    found = shared(problem, solve=solve)
    assert found.objective == pytest.approx(best, rel=1e-8)
    assert found.bound == pytest.approx(best, rel=1e-8)
    assert len(solve.tables) > 1


def test_what_fits_at_once_is_not_divided() -> None:
    """Where the best placement keeps all memories, one search is enough, and nobody looks else."""
    problem = three_in_one((50, 50, 50, 50), 500)
    solve = Counted(1)

    def begin() -> Outcome:
        raise AssertionError

    found = shared(problem, solve=solve, begin=begin)
    assert found.objective == found.bound == pytest.approx(least(problem))
    assert len(solve.tables) == 1


def test_what_another_way_finds_and_proves_counts() -> None:
    """Looked for once, where memories must be divided: it ends the search if it is the best."""
    problem = three_in_one((60, 40, 60, 40, 60), 250)
    plain = shared(problem)
    looks = list[None]()

    def begin() -> Outcome:
        looks.append(None)
        return Outcome(plain.objective, plain.placement, plain.bound, 7)

    solve = Counted(1)
    found = shared(problem, solve=solve, begin=begin)
    assert len(looks) == 1
    assert found[:3] == plain[:3]
    assert found.states > 7

    def poorly() -> Outcome:
        looks.append(None)
        return Outcome(math.inf, (), 0.5 * plain.bound, 0)

    assert shared(problem, begin=poorly).bound == pytest.approx(plain.bound, rel=1e-8)
    assert len(looks) == 2


def test_where_all_together_are_too_small_it_is_proven() -> None:
    """Devices that would hold the model by themselves, and not in the memory they share."""
    pair = [device(f"b/cpu:{at}", 160 * MB) for at in range(2)]
    question = Case(
        registry(*pair, device("c/cuda:0", 80 * MB), nodes=("a",), ram={"b": 190 * MB}),
        workload([50 * MB] * 5),
        options("throughput"),
    )
    found = shared(question.problem())
    assert found[:3] == (math.inf, (), math.inf)


@settings(max_examples=60, deadline=None)
@given(question=near, which=st.sampled_from(SEVERAL))
def test_the_exact_solver_divides_them_so(question: Case, which: Arrangement) -> None:
    """With a look at all stages first, the answer is the same."""
    problem = question.problem(arrangement=which)
    best = least(problem)
    outcome = solve_exactly(problem, math.inf, never)
    assert outcome.objective == pytest.approx(best, rel=1e-8)
    assert outcome.bound == pytest.approx(best, rel=1e-8)


def test_runs_of_a_class_are_given_to_its_devices() -> None:
    """One after the other, each once."""
    equal = [device(f"{node}/cuda:0") for node in "bcd"]
    tables = tables_of(case(*equal, device("e/cuda:0", bandwidth=2e11)).problem())
    placement = (("b/cuda:0", 0, 0), ("e/cuda:0", 1, 2), ("c/cuda:0", 3, 3))
    assert named(tables, runs_of(tables, placement)) == placement
