"""The slowest stage is made as fast as possible, as the search among all stages does it."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.gguf.arrangement import Arrangement
from hgx.planner.constraints import device_limits
from hgx.planner.placement import price
from hgx.planner.search.reach import FEW_ROUNDS, MANY_ROUNDS, Slowest
from hgx.planner.search.reporter import Silent
from hgx.planner.tables import build_tables
from tests.planner.by_hand import allowed, never, placement_of_runs, searched, slowest
from tests.planner.made import MB, SEVERAL, Case, case, cases, device, options, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hgx.planner.problem import Problem
    from hgx.planner.search.found import Found
    from hgx.planner.tables import Tables

WIDE = 1 << 14


def plain(question: Case, which: Arrangement = Arrangement.PIPELINE) -> tuple[Problem, Tables]:
    """A question as if every device had a memory of its own."""
    problem = question.problem(arrangement=which)._replace(pools=())
    return problem, build_tables(problem, device_limits(problem))


def run(
    tables: Tables,
    *,
    target: float = math.inf,
    widths: Sequence[int] = (WIDE,),
    rounds: int = FEW_ROUNDS,
    expired: Callable[[], bool] = never,
) -> Found:
    """Search."""
    return Slowest(tables, expired, Silent()).run(target, 0.0, widths, rounds)


def check(problem: Problem, tables: Tables, found: Found) -> None:
    """What was found is as slow as it says."""
    placement = placement_of_runs(tables, found.runs)
    stages = price(problem, placement, device_limits(problem))
    assert slowest(problem, stages) == pytest.approx(found.objective, rel=1e-9)


@settings(max_examples=120, deadline=None)
@given(
    question=cases(devices=4, blocks=5, coordinators=("a",), objectives=("throughput",)),
    which=st.sampled_from(SEVERAL),
    rounds=st.sampled_from((0, FEW_ROUNDS)),
)
def test_it_is_that_of_trying_everything(question: Case, which: Arrangement, rounds: int) -> None:
    """The least slowest stage of all placements is found and proven."""
    problem, tables = plain(question, which)
    assume(tables.classes)
    best = min((slowest(problem, stages) for _, stages in allowed(problem)), default=math.inf)
    found = run(tables, rounds=rounds)
    assert found.objective == pytest.approx(best, rel=1e-8)
    assert found.bound == pytest.approx(best, rel=1e-8)
    if found.runs:
        check(problem, tables, found)


@settings(max_examples=80, deadline=None)
@given(
    question=cases(devices=4, blocks=5, coordinators=("a",), objectives=("throughput",)),
    which=st.sampled_from(SEVERAL),
    most=st.sampled_from((1, 2)),
)
def test_no_more_nodes_take_part_than_may(question: Case, which: Arrangement, most: int) -> None:
    """Also where not all nodes may be used, the least is found and proven."""
    asked = question.options.model_copy(update={"max_nodes": most})
    problem, tables = plain(question._replace(options=asked), which)
    assume(tables.classes)
    best = min((slowest(problem, stages) for _, stages in allowed(problem)), default=math.inf)
    found = run(tables)
    assert found.objective == pytest.approx(best, rel=1e-8)
    assert found.bound == pytest.approx(best, rel=1e-8)


def different(seed: int, count: int = 6, blocks: int = 30) -> tuple[Problem, Tables]:
    """Different devices, two of them on one far node, for many unequal blocks."""
    draw = random.Random(seed)  # noqa: S311 - for tests, not for secrets
    names = ["a/cuda:0", "b/cuda:0", "b/cuda:1", *(f"n{at}/cuda:0" for at in range(count - 3))]
    weights = [draw.randint(10, 60) * MB for _ in range(blocks)]
    room = sum(weights) // count
    devices = [
        device(name, int(room * draw.uniform(0.8, 2.5)) + 60 * MB, 10 ** draw.uniform(10, 12))
        for name in names
    ]
    return plain(case(*devices, model=workload(weights), asked=options("throughput")))


def cheapest(tables: Tables) -> float:
    """The least slowest stage as the search among all stages finds it."""
    found = searched(tables)
    assert found.bound == pytest.approx(found.objective, rel=1e-9)
    return found.objective


@pytest.mark.parametrize("seed", range(6))
def test_it_is_that_of_the_search_among_all_stages(seed: int) -> None:
    """On more blocks than can be tried, both ways agree."""
    problem, tables = different(seed)
    best = cheapest(tables)
    found = run(tables)
    assert found.objective == pytest.approx(best, rel=1e-8)
    assert found.bound == pytest.approx(best, rel=1e-8)
    check(problem, tables, found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("widths", [(1,), (1, 3), (2, 5, 10)])
def test_a_cut_search_claims_no_more_than_is_true(seed: int, widths: Sequence[int]) -> None:
    """Narrow, it may find less and prove less, but nothing that is wrong."""
    _, tables = different(seed)
    best = cheapest(tables)
    found = run(tables, widths=widths)
    assert found.bound <= best * (1 + 1e-9) <= found.objective * (1 + 2e-9)


@pytest.mark.parametrize("seed", range(3))
def test_prices_alone_prove_much(seed: int) -> None:
    """Where searches of a few states are all there is time for, the bound comes from prices."""
    _, tables = different(seed)
    best = cheapest(tables)
    found = run(tables, target=1.2 * best, widths=(1, 2), rounds=MANY_ROUNDS)
    assert 0.8 * best < found.bound <= best * (1 + 1e-9)


@pytest.mark.parametrize("patience", [0, 1, 2, 5, 20, 60])
def test_a_stopped_search_claims_no_more_than_is_true(patience: int) -> None:
    """Whenever it is stopped, its bound is below the optimum and its answer above."""
    _, tables = different(1)
    best = cheapest(tables)
    asked = iter(range(10**9))
    found = run(tables, expired=lambda: next(asked) >= patience)
    assert found.bound <= best * (1 + 1e-9) <= found.objective * (1 + 2e-9)


def test_a_target_that_cannot_be_beaten_is_proven() -> None:
    """Below the optimum there is nothing, and above it the optimum is found."""
    _, tables = different(2)
    best = run(tables).objective
    beaten, missed = run(tables, target=1.5 * best), run(tables, target=best)
    assert beaten.objective == pytest.approx(best, rel=1e-8)
    assert (missed.objective, missed.runs) == (math.inf, ())
    assert missed.bound == pytest.approx(best, rel=1e-8)


def test_where_nothing_fits_the_bound_is_infinite() -> None:
    """Without a target it is proven that no time is long enough."""
    weights = [50 * MB] * 4
    question = case(
        *(device(f"{node}/cuda:0", 70 * MB) for node in "bc"),
        model=workload(weights),
        asked=options("throughput"),
    )
    found = run(plain(question)[1])
    assert (found.objective, found.runs, found.bound) == (math.inf, (), math.inf)
