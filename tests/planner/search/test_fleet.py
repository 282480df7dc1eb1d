"""Local search for many devices: answers that are allowed, and become better."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.placement import total_objective
from hgx.planner.search.fleet import descend, search_around
from hgx.planner.search.roster import RosterBound
from tests.planner.by_hand import (
    allowed,
    in_order,
    least,
    never,
    placement_of_runs,
    runs_of,
    searched,
    tables_of,
)
from tests.planner.made import (
    LONG_PROMPT,
    MB,
    SEVERAL,
    Case,
    case,
    cases,
    device,
    options,
    workload,
)
from tests.planner.oracles.reading import seconds_of

if TYPE_CHECKING:
    from hgx.core.plan import Objective
    from hgx.gguf.arrangement import Arrangement
    from hgx.planner.problem import Problem
    from hgx.planner.search.found import Found
    from hgx.planner.tables import Tables

SUMS: tuple[Objective, ...] = ("latency", "balanced")

ASKED: tuple[tuple[Objective, int], ...] = (
    ("latency", 100),
    ("latency", LONG_PROMPT),
    ("balanced", 100),
)


def check(problem: Problem, tables: Tables, found: Found) -> None:
    """A placement is allowed, and costs what it says."""
    placement = placement_of_runs(tables, found.runs)
    assert seconds_of(problem, placement) == pytest.approx(found.objective, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    question=cases(
        devices=4, blocks=5, coordinators=("a",), objectives=SUMS, prompts=(100, LONG_PROMPT)
    ),
    which=st.sampled_from(SEVERAL),
    data=st.data(),
)
def test_never_worse_than_what_it_begins_with(
    question: Case, which: Arrangement, data: st.DataObject
) -> None:
    """From any placement it goes to one that costs no more, and the same with a few changes."""
    problem = question.problem(arrangement=which)._replace(pools=(), required=())
    tables = tables_of(problem)
    placements = list(allowed(problem))
    assume(placements)
    placement, stages = data.draw(st.sampled_from(placements[:200]))
    arcs, best = Arcs(tables), least(problem)
    descended = descend(arcs, runs_of(tables, placement), never)
    assert best * (1 - 1e-9) <= descended.objective <= total_objective(problem, stages) * (1 + 1e-9)
    check(problem, tables, descended)
    slow = np.full(len(tables.classes), 1.0 / arcs.counts.sum())
    better = descended.objective
    for found in islice(search_around(arcs, descended.runs, RosterBound(0.0, slow), never), 12):
        assert best * (1 - 1e-9) <= found.objective <= better
        better = found.objective
        check(problem, tables, found)


def fleet(objective: Objective, prompt: int) -> Problem:
    """Nine different devices, two of them on one node, for twenty-four unequal blocks."""
    draw = random.Random(5)  # noqa: S311 - for tests, not for secrets
    names = ("b/cuda:0", "b/cuda:1", *(f"n{at}/cuda:0" for at in range(7)))
    devices = [
        device(name, draw.randint(150, 400) * MB, 10 ** draw.uniform(10.5, 12)) for name in names
    ]
    model = workload([draw.randint(20, 60) * MB for _ in range(24)])
    asked = options(objective, prompt_tokens=prompt)
    return case(*devices, model=model, asked=asked).problem()


@pytest.mark.parametrize(("objective", "prompt"), ASKED)
def test_it_comes_near_the_best(objective: Objective, prompt: int) -> None:
    """From a poor placement, changed again and again, to within two per cent of the optimum."""
    problem = fleet(objective, prompt)
    tables = tables_of(problem)
    arcs, best = Arcs(tables), searched(tables)
    poor = runs_of(tables, in_order(problem))
    assert sum(arcs.seconds(poor)) > 1.05 * best.objective
    descended = descend(arcs, poor, never)
    assert descended.objective < sum(arcs.seconds(poor))
    slow = np.full(len(tables.classes), 1.0 / arcs.counts.sum())
    answers = search_around(arcs, descended.runs, RosterBound(0.0, slow), never)
    found = list(islice(answers, 24))[-1]
    check(problem, tables, found)
    assert best.objective * (1 - 1e-9) <= found.objective <= 1.02 * best.objective


def test_good_enough_or_out_of_time_it_stops() -> None:
    """What is as good as the bound is left alone, and without time nothing is tried."""
    problem = fleet("balanced", 100)
    tables = tables_of(problem)
    arcs, runs = Arcs(tables), searched(tables, width=1).runs
    slow = np.zeros(len(tables.classes))
    content = sum(arcs.seconds(runs))
    assert list(search_around(arcs, runs, RosterBound(content, slow), never)) == []
    assert list(search_around(arcs, runs, RosterBound(0.0, slow), lambda: True)) == []
    assert descend(arcs, runs, lambda: True)[:2] == (content, runs)
