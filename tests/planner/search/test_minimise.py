"""Fleets with too many sets of devices to try them all: a good answer, and how good it is."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.gguf.arrangement import Arrangement
from hgx.planner.greedy import solve_greedily
from hgx.planner.search import cheapest
from hgx.planner.search.exact import solve_exactly
from hgx.planner.search.minimise import MOST_SETS, minimise
from tests.planner.by_hand import least, tables_of
from tests.planner.made import (
    LONG_PROMPT,
    MB,
    OBJECTIVES,
    Case,
    case,
    cases,
    device,
    options,
    workload,
)
from tests.planner.oracles import highs
from tests.planner.oracles.reading import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.plan import Objective
    from hgx.planner.problem import Problem

LOOKS = 2000
"""Times that the clock is looked at before it says that it is over."""


def fleet(objective: Objective, prompt: int = 100, count: int = 16) -> Problem:
    """Different devices, sixteen at most, two of them on one node, for thirty unequal blocks."""
    draw = random.Random(7)  # noqa: S311 - for tests, not for secrets
    names = ["b/cuda:0", "b/cuda:1", *(f"n{at:02}/cuda:0" for at in range(14))]
    devices = [
        device(name, draw.randint(150, 500) * MB, 10 ** draw.uniform(10, 12))
        for name in names[:count]
    ]
    weights = [draw.randint(20, 60) * MB for _ in range(30)]
    asked = options(objective, prompt_tokens=prompt)
    return case(*devices, model=workload(weights), asked=asked).problem()


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
    outcome = minimise(problem, math.inf, after(LOOKS), None)
    assert outcome.bound >= 0.98 * outcome.objective
    assert outcome.bound > highs.solve(problem, 20.0, relaxed=True).bound


@pytest.mark.parametrize("aim", [1.0, 1.01, math.inf])
@settings(max_examples=60, deadline=None)
@given(
    question=cases(
        devices=4,
        blocks=5,
        coordinators=("a",),
        objectives=("latency", "balanced"),
        prompts=(LONG_PROMPT,),
        wishes=True,
    ),
    which=st.sampled_from((Arrangement.HOST_FIRST, Arrangement.PIPELINE)),
)
def test_what_narrow_searches_leave_open_is_divided(
    question: Case, which: Arrangement, aim: float
) -> None:
    """Spans of seconds of the slowest stage, searched apart, prove the same as trying all.

    Also where nothing is known that is better than the target, in no arrangement of the stages.
    """
    problem = question.problem(arrangement=which)
    best = least(problem)
    target = aim * best
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cheapest, "FIRST_WIDTH", 1)
        patch.setattr(cheapest, "WIDTHS", (1, 1, 2, 1 << 18))
        patch.setattr(cheapest, "LADDER", ((1, 0.9), (2, 0.9), (1 << 18, 1.0)))
        outcome = minimise(problem, target, after(LOOKS), None)
    if outcome.placement:
        assert outcome.objective == pytest.approx(best, rel=1e-8)
        assert seconds_of(problem, outcome.placement) == pytest.approx(best, rel=1e-8)
    else:
        assert outcome.objective == math.inf
        assert target <= best * (1 + 1e-8)
    assert outcome.bound == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize(("objective", "prompt"), [("balanced", 100), ("latency", LONG_PROMPT)])
@pytest.mark.parametrize("aim", [1 - 1e-7, 1.2, math.inf])
def test_a_fleet_is_divided_until_it_is_proven(
    objective: Objective, prompt: int, aim: float
) -> None:
    """Whether a placement is known, better than the target, or neither: the proof comes."""
    problem = fleet(objective, prompt, count=10)
    best = minimise(problem, math.inf, after(LOOKS), None)
    assert best.bound == pytest.approx(best.objective, rel=1e-8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cheapest, "FIRST_WIDTH", 2)
        patch.setattr(cheapest, "WIDTHS", (8, 16, 32, 1 << 18))
        patch.setattr(cheapest, "LADDER", ((2, 0.5), (16, 0.8), (1 << 18, 1.0)))
        outcome = minimise(problem, aim * best.objective, after(LOOKS), None)
    if aim < 1:
        assert (outcome.objective, outcome.placement) == (math.inf, ())
        assert outcome.bound >= aim * best.objective * (1 - 1e-9)
    else:
        assert outcome.objective == pytest.approx(best.objective, rel=1e-8)
        assert outcome.bound == pytest.approx(best.objective, rel=1e-8)


def test_a_known_placement_is_made_better() -> None:
    """What is known already is made better, also where a search finds nothing below it."""
    problem = fleet("latency")
    slowest = sorted(problem.slots, key=lambda slot: -float(slot.decode.blocks.sum()))
    target, known = solve_greedily(problem, [slot.device for slot in slowest])
    assert known
    found = minimise(problem, target, after(LOOKS), None, known=known)
    assert found.objective < target
    assert seconds_of(problem, found.placement) == pytest.approx(found.objective, rel=1e-9)
