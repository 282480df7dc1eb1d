"""The bound by rosters is below every placement, and at least that of the paths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.paths import Prices, path_bound
from hgx.planner.problem import Arrangement
from hgx.planner.roster import roster_bound
from tests.planner.by_hand import allowed, least_sum, never, slowest, tables_of
from tests.planner.made import LONG_PROMPT, MB, Case, case, cases, device, link, registry, workload
from tests.planner.oracles import highs

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.plan import Objective
    from hgx.planner.tables import Tables

SUMS: tuple[Objective, ...] = ("latency", "balanced")

ARRANGEMENTS = (Arrangement.HOST_FIRST, Arrangement.PIPELINE)


def bounds(
    tables: Tables, target: float, steps: int, expired: Callable[[], bool] = never
) -> tuple[float, float]:
    """The bound by paths and the bound by rosters."""
    arcs = Arcs(tables)
    prices = Prices(np.zeros(len(tables.classes)), np.zeros(len(tables.pool_capacity)))
    paths = path_bound(tables, arcs, prices, target, steps)
    return paths.root(), roster_bound(tables, arcs, paths, target, expired)


@settings(max_examples=60, deadline=None)
@given(
    question=cases(coordinators=("a",), objectives=SUMS, prompts=(100, LONG_PROMPT)),
    which=st.sampled_from(ARRANGEMENTS),
    steps=st.sampled_from((0, 3, 40)),
    aim=st.sampled_from((0.1, 1.0, 3.0, math.inf)),
)
def test_no_placement_is_below_the_bound(
    question: Case, which: Arrangement, steps: int, aim: float
) -> None:
    """Whatever the ascent aims at; and the paths' bound is never better."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    best = least_sum(problem)
    paths, rosters = bounds(tables, aim * (1.0 if math.isinf(best) else best), steps)
    assert paths <= rosters <= best * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(
    question=cases(coordinators=("a",), objectives=("balanced",), prompts=(100, LONG_PROMPT)),
    which=st.sampled_from(ARRANGEMENTS),
    share=st.floats(0, 1),
)
def test_no_placement_within_a_cap_is_below_the_capped_bound(
    question: Case, which: Arrangement, share: float
) -> None:
    """With a cap on the slowest stage the bound holds for what keeps to it."""
    problem = question.problem(arrangement=which)
    peaks = sorted(slowest(problem, stages) for _, stages in allowed(problem))
    assume(peaks)
    cap = peaks[int(share * (len(peaks) - 1))] * (1 + 1e-9)
    best = least_sum(problem, cap)
    paths, rosters = bounds(tables_of(problem, cap), best, 40)
    assert paths <= rosters <= best * (1 + 1e-9)


def far_and_many() -> Case:
    """Devices behind slow links, each of which is hardly worth its wire; two share a node."""
    names = ("b/cuda:0", "c/cuda:0", "c/cuda:1", "d/cuda:0", "e/cuda:0", "f/cuda:0")
    devices = [
        device(name, (150 + 45 * at) * MB, 1e12 / (1 + at % 3)) for at, name in enumerate(names)
    ]
    links = [link("a", node, (2 + at) * 1e-3) for at, node in enumerate("bcdef")]
    model = workload([(30 + 7 * (at % 5)) * MB for at in range(18)])
    asked = case(*devices, model=model)
    return asked._replace(registry=registry(*devices, nodes=("a",), links=links))


def test_a_device_costs_its_wire_whole() -> None:
    """Where wires matter, rosters prove more than the linear relaxation, which divides them."""
    problem = far_and_many().problem()
    best = highs.solve(problem, 20.0).bound
    relaxed = highs.solve(problem, 20.0, relaxed=True).bound
    paths, rosters = bounds(tables_of(problem), best, 300)
    assert paths <= relaxed * (1 + 1e-7)
    assert relaxed * (1 + 1e-3) < rosters <= best * (1 + 1e-9)


@pytest.mark.parametrize("patience", [0, 1, 5])
def test_a_stopped_ascent_claims_no_more_than_is_true(patience: int) -> None:
    """Stopped at once it claims what the paths do, stopped later no more than the truth."""
    problem = far_and_many().problem()
    best = highs.solve(problem, 20.0).bound
    asked = iter(range(10**9))
    paths, rosters = bounds(tables_of(problem), best, 40, lambda: next(asked) >= patience)
    assert paths <= rosters <= best * (1 + 1e-9)
    assert (paths == rosters) or patience


def test_where_the_end_is_out_of_reach_the_paths_decide() -> None:
    """Without a finite path there are no prices of blocks to begin with."""
    question = case(device("b/cuda:0", 100 * MB), model=workload([50 * MB] * 2, head=400 * MB))
    assert bounds(tables_of(question.problem()), 1.0, 5) == (math.inf, math.inf)
