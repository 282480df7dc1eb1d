"""Fleets with too many sets of devices to try them all: a good answer, and how good it is."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from hgx.planner.exact import solve_exactly
from hgx.planner.greedy import solve_greedily
from hgx.planner.minimise import MOST_SETS, Minimiser
from tests.planner.by_hand import tables_of
from tests.planner.made import MB, OBJECTIVES, case, device, options, workload
from tests.planner.oracles import highs
from tests.planner.oracles.reading import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.plan import Objective
    from hgx.planner.problem import Problem

LOOKS = 2000
"""Times that the clock is looked at before it says that it is over."""


def fleet(objective: Objective) -> Problem:
    """Sixteen different devices, two of them on one node, for thirty unequal blocks."""
    draw = random.Random(7)  # noqa: S311 - for tests, not for secrets
    names = ["b/cuda:0", "b/cuda:1", *(f"n{at:02}/cuda:0" for at in range(14))]
    devices = [
        device(name, draw.randint(150, 500) * MB, 10 ** draw.uniform(10, 12)) for name in names
    ]
    weights = [draw.randint(20, 60) * MB for _ in range(30)]
    return case(*devices, model=workload(weights), asked=options(objective)).problem()


def after(looks: int) -> Callable[[], bool]:
    """A clock that says when it was looked at so often."""
    seen = iter(range(10**9))
    return lambda: next(seen) >= looks


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_many_devices_have_a_good_answer_and_an_honest_bound(objective: Objective) -> None:
    """What is found fits and costs what it says; what is claimed is below what others find."""
    problem = fleet(objective)
    assert math.prod(len(one.devices) + 1 for one in tables_of(problem).classes) > MOST_SETS
    outcome = solve_exactly(problem, math.inf, after(LOOKS))
    assert seconds_of(problem, outcome.placement) == pytest.approx(outcome.objective, rel=1e-9)
    other = highs.solve(problem, 2.0, 2)
    best = min(outcome.objective, seconds_of(problem, other.placement))
    assert outcome.bound <= best * (1 + 1e-6)
    assert other.bound <= outcome.objective * (1 + 1e-6)


def test_sums_of_many_devices_are_nearly_proven() -> None:
    """Rosters and local search leave a per cent open, and prove more than the relaxation."""
    problem = fleet("latency")
    outcome = Minimiser(problem, math.inf, after(LOOKS), None).run()
    assert outcome.bound >= 0.98 * outcome.objective
    assert outcome.bound > highs.solve(problem, 20.0, relaxed=True).bound


def test_a_known_placement_is_where_the_local_search_begins() -> None:
    """What is known already is made better, also where a search finds nothing below it."""
    problem = fleet("latency")
    slowest = sorted(problem.slots, key=lambda slot: -float(slot.decode.blocks.sum()))
    target, known = solve_greedily(problem, [slot.device for slot in slowest])
    assert known
    found = Minimiser(problem, target, after(LOOKS), None, known=known).run()
    assert found.objective < target
    assert seconds_of(problem, found.placement) == pytest.approx(found.objective, rel=1e-9)
