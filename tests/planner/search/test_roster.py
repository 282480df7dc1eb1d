"""The bound by rosters is below every placement, and at least that of the paths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.placement import total_objective
from hgx.planner.search.paths import Span, path_bound
from hgx.planner.search.roster import roster_bound
from tests.planner.by_hand import allowed, least, never, slowest, tables_of
from tests.planner.made import (
    LONG_PROMPT,
    MB,
    PROMPTS,
    SEVERAL,
    Case,
    case,
    cases,
    device,
    link,
    options,
    registry,
    workload,
)
from tests.planner.oracles import highs

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.plan import Objective
    from hgx.gguf.arrangement import Arrangement
    from hgx.planner.problem import Problem
    from hgx.planner.tables import Tables


def bounds(
    tables: Tables, target: float, steps: int, expired: Callable[[], bool] = never
) -> tuple[float, float]:
    """The bound by paths and the bound by rosters, which may be stopped."""
    arcs = Arcs(tables)
    paths = path_bound(arcs, target, steps=steps)
    return paths.root(), roster_bound(arcs, paths, target, expired, steps).seconds


@settings(max_examples=100, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), prompts=PROMPTS, wishes=True),
    which=st.sampled_from(SEVERAL),
    steps=st.sampled_from((1, 3, 40)),
    aim=st.sampled_from((0.1, 1.0, 3.0, math.inf)),
)
def test_no_placement_is_below_bound_and_target(
    question: Case, which: Arrangement, steps: int, aim: float
) -> None:
    """Whatever counts and whatever the ascent aims at; and the paths' bound is never better."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    best = least(problem)
    target = aim * (1.0 if math.isinf(best) else best)
    paths, rosters = bounds(tables, target, steps)
    assert paths <= rosters
    assert min(rosters, target) <= best * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(
    question=cases(
        devices=4, blocks=3, backends=("cpu", "metal"), coordinators=("a",), prompts=PROMPTS
    ),
    steps=st.sampled_from((3, 40)),
)
def test_no_placement_in_shared_memories_is_below_the_bound(question: Case, steps: int) -> None:
    """Rosters pay for bytes as paths do, and get back as much."""
    problem = question.problem()
    tables = tables_of(problem)
    assume(tables.classes and len(tables.pools))
    best = least(problem)
    paths, rosters = bounds(tables, best, steps)
    assert paths <= rosters <= best * (1 + 1e-9)


@settings(max_examples=100, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), prompts=PROMPTS, wishes=True),
    which=st.sampled_from(SEVERAL),
    steps=st.sampled_from((3, 40)),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_no_placement_within_a_span_is_below_its_bound(
    question: Case, which: Arrangement, steps: int, shares: tuple[float, float]
) -> None:
    """Where the slowest stage takes so long at least, and no longer, the bound may be better."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    found = [
        (slowest(problem, stages), total_objective(problem, stages))
        for _, stages in allowed(problem)
    ]
    assume(found and tables.peaked)
    peaks = sorted(peak for peak, _ in found)
    low, high = (peaks[int(share * (len(peaks) - 1))] for share in sorted(shares))
    span = Span(low * (1 - 1e-12), high * (1 + 1e-12))
    best = min(objective for peak, objective in found if span.low <= peak <= span.high)
    arcs = Arcs(tables)
    paths = path_bound(arcs, best, steps=steps, span=span)
    rosters = roster_bound(arcs, paths, best, never, steps)
    assert paths.root() <= rosters.seconds <= best * (1 + 1e-9)
    assert (rosters.slow >= 0).all()


def far_and_many(objective: Objective = "latency", prompt: int = 100) -> Problem:
    """Devices behind slow links, each of which is hardly worth its wire; two share a node."""
    names = ("b/cuda:0", "c/cuda:0", "c/cuda:1", "d/cuda:0", "e/cuda:0", "f/cuda:0")
    devices = [
        device(name, (150 + 45 * at) * MB, 1e12 / (1 + at % 3)) for at, name in enumerate(names)
    ]
    links = [link("a", node, (2 + at) * 1e-3) for at, node in enumerate("bcdef")]
    model = workload([(30 + 7 * (at % 5)) * MB for at in range(18)])
    places = registry(*devices, nodes=("a",), links=links)
    return Case(places, model, options(objective, prompt_tokens=prompt)).problem()


@pytest.mark.parametrize(
    ("objective", "prompt", "more"),
    [("latency", 100, 1e-3), ("latency", LONG_PROMPT, 1e-3), ("balanced", 100, 1e-5)],
)
def test_a_device_costs_its_wire_whole(objective: Objective, prompt: int, more: float) -> None:
    """Where wires matter, rosters prove more than the linear relaxation, which divides them."""
    problem = far_and_many(objective, prompt)
    best = highs.solve(problem, 20.0).bound
    relaxed = highs.solve(problem, 20.0, relaxed=True).bound
    paths, rosters = bounds(tables_of(problem), best, 300)
    assert paths <= relaxed * (1 + 1e-7)
    assert relaxed * (1 + more) < rosters <= best * (1 + 1e-9)


@pytest.mark.parametrize("patience", [0, 1, 5])
def test_a_stopped_ascent_claims_no_more_than_is_true(patience: int) -> None:
    """Stopped at once it claims what the paths do, stopped later no more than the truth."""
    problem = far_and_many()
    best = highs.solve(problem, 20.0).bound
    asked = iter(range(10**9))
    paths, rosters = bounds(tables_of(problem), best, 40, lambda: next(asked) >= patience)
    assert paths <= rosters <= best * (1 + 1e-9)
    assert (paths == rosters) or patience


def test_where_the_end_is_out_of_reach_the_paths_decide() -> None:
    """Without a finite path there are no prices of blocks to begin with."""
    question = case(device("b/cuda:0", 100 * MB), model=workload([50 * MB] * 2, head=400 * MB))
    assert bounds(tables_of(question.problem()), 1.0, 5) == (math.inf, math.inf)
