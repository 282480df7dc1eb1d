"""The search: what it opens, what it cuts, and what it may still claim then."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.planner.bound import lower_bound
from hgx.planner.constraints import device_limits
from hgx.planner.levels import Levels, no_marks
from hgx.planner.search import Search
from hgx.planner.solve import solve
from hgx.planner.tables import build_tables
from tests.planner.made import (
    MB,
    OBJECTIVES,
    Case,
    case,
    device,
    objective_of,
    options,
    registry,
    workload,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.plan import Objective
from hgx.planner.search import Found


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.layers: list[tuple[int, int]] = []
        self.objectives: list[float] = []

    def layer(self, depth: int, states: int) -> None:
        """Keep it."""
        self.layers.append((depth, states))

    def improved(self, objective: float) -> None:
        """Keep it."""
        self.objectives.append(objective)


def different(count: int, objective: Objective = "latency") -> Case:
    """Devices that differ in everything, of which about half are needed."""
    devices = [
        device(f"n{at}/cuda:0", (200 + 35 * at) * MB, 1e11 * (1 + at % 4), 1e12 * (1 + at))
        for at in range(count)
    ]
    total = sum(one.memory_total_bytes for one in devices) // MB
    weights = [(12 + at % 5) * MB for at in range(total // 28)]
    return case(*devices, model=workload(weights), asked=options(objective))


def search(
    question: Case,
    width: int,
    expired: Callable[[], bool] = lambda: False,
    notes: Notes | None = None,
    target: float = math.inf,
) -> Found:
    """Run one search on a question."""
    problem = question.problem()
    tables = build_tables(problem, device_limits(problem))
    levels = Levels(tables, no_marks(tables))
    prices = lower_bound(tables, target)
    return Search(tables, prices, levels, expired, notes).run(target, width)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_cut_search_claims_no_more_than_is_true(objective: Objective) -> None:
    """The narrower the search, the worse its answer and its bound may be; neither is wrong."""
    question = different(7, objective)
    proof = search(question, 100_000)
    assert proof.bound == proof.objective
    for width in (1, 2, 4, 16):
        found = search(question, width)
        assert found.bound <= proof.objective * (1 + 1e-9)
        assert found.objective >= proof.objective * (1 - 1e-9)


@settings(max_examples=30, deadline=None)
@given(patience=st.integers(0, 60), objective=st.sampled_from(OBJECTIVES))
def test_a_cancelled_search_claims_no_more_than_is_true(
    patience: int, objective: Objective
) -> None:
    """Whenever a search is stopped, its bound is below the optimum and its answer above it."""
    question = different(6, objective)
    asked = iter(range(10**9))
    best = search(question, 100_000).objective
    found = search(question, 100_000, lambda: next(asked) >= patience)
    assert found.bound <= best * (1 + 1e-9)
    assert found.objective >= best * (1 - 1e-9)


def test_a_target_that_cannot_be_beaten_is_proven() -> None:
    """Below the optimum there is nothing: no placement, and the target as the bound."""
    question = different(5)
    best = search(question, 100_000).objective
    found = search(question, 100_000, target=best)
    assert (found.objective, found.runs, found.bound) == (math.inf, (), best)


def test_runs_cover_the_blocks_in_order() -> None:
    """The stages walked back to are adjacent, begin with block 0 and end with the last."""
    question = different(6)
    runs = search(question, 100_000).runs
    assert len(runs) > 1
    assert [run.begin for run in runs] == [0, *(run.end for run in runs[:-1])]
    assert runs[-1].end == question.workload.n_block


def test_a_reporter_sees_layers_and_improvements() -> None:
    """Layers come by depth from the one empty state; every improvement is one."""
    notes = Notes()
    found = search(different(5), 100_000, notes=notes)
    depths, states = zip(*notes.layers, strict=True)
    assert list(depths) == list(range(len(depths)))
    assert (states[0], sum(states)) == (1, found.states)
    assert notes.objectives == sorted(notes.objectives, reverse=True)
    assert notes.objectives[-1] == found.objective


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_equal_devices_are_searched_as_a_class(objective: Objective) -> None:
    """A state counts equal devices: their number adds to the states, and does not multiply."""
    states: list[int] = []
    for count in (8, 16, 32):
        equal = [device(f"n{at}/cuda:0", 140 * MB) for at in range(count)]
        model = workload([50 * MB + at for at in range(count)])
        found = search(case(*equal, model=model, asked=options(objective)), 100_000)
        assert found.bound == found.objective
        states.append(found.states)
    assert all(opened <= count + 1 for opened, count in zip(states, (8, 16, 32), strict=True))


def test_there_may_be_hundreds_of_equal_devices() -> None:
    """A class may have more members than a byte can count."""
    equal = [device(f"n{at}/cuda:0", 200 * MB) for at in range(300)]
    plan = solve(registry(*equal, nodes=("a",)), workload(), options())
    assert plan.status == "optimal"


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_nearly_equal_devices_cost_the_same(objective: Objective) -> None:
    """The optimum of a class is that of the same devices told apart by next to nothing."""
    model = workload([(30 + 7 * (at % 3)) * MB for at in range(9)])
    optima: list[float] = []
    for step in (0.0, 1e-10):
        devices = [device(f"n{at}/cuda:0", 120 * MB, 1e11 * (1 + step * at)) for at in range(5)]
        own = device("a/cuda:0", 90 * MB)
        plan = solve(*case(*devices, own, model=model, asked=options(objective)))
        assert plan.status == "optimal"
        optima.append(objective_of(plan))
    assert optima[0] == pytest.approx(optima[1], rel=1e-8)
