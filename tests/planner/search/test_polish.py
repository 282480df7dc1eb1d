"""Local search makes placements better, and says truly what they cost."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.constraints import broken_limits, device_limits
from hgx.planner.placement import price
from hgx.planner.problem import Weights
from hgx.planner.search.polish import polish
from hgx.planner.tables import build_tables
from tests.planner.by_hand import (
    allowed,
    in_order,
    never,
    placement_of_runs,
    runs_of,
    slowest,
    summed,
)
from tests.planner.made import LONG_PROMPT, MB, SEVERAL, Case, case, cases, device, workload
from tests.planner.oracle import Oracle
from tests.planner.oracles.reading import opens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hgx.core.plan import Objective
    from hgx.gguf.arrangement import Arrangement
    from hgx.planner.problem import Problem
    from hgx.planner.search.found import Run
    from hgx.planner.search.polish import Polished
    from hgx.planner.tables import Tables

SUMS: tuple[Objective, ...] = ("latency", "balanced")


def polished_by(
    tables: Tables,
    runs: Sequence[Run],
    kicks: int,
    *,
    good_enough: float = 0.0,
    limit: float = math.inf,
    expired: Callable[[], bool] = never,
) -> Polished:
    """Polish what adds up, with stages no longer than a limit."""
    arcs = Arcs(tables)
    return polish(arcs, arcs.within(limit), runs, expired, good_enough=good_enough, kicks=kicks)


def check(problem: Problem, tables: Tables, polished: Polished) -> None:
    """A polished placement costs what it says, fits, and begins with who may be first."""
    placement = placement_of_runs(tables, polished.runs)
    stages = price(problem, placement, device_limits(problem))
    assert summed(problem, stages) == pytest.approx(polished.objective, rel=1e-9)
    assert list(broken_limits(problem, stages)) == []
    assert opens(problem, stages[0].slot)
    assert [stage.first_block for stage in stages] == [
        0,
        *(stage.last_block + 1 for stage in stages[:-1]),
    ]


@settings(max_examples=80, deadline=None)
@given(
    question=cases(
        devices=5,
        blocks=5,
        coordinators=("a",),
        objectives=SUMS,
        prompts=(100, LONG_PROMPT),
    ),
    which=st.sampled_from(SEVERAL),
    kicks=st.sampled_from((0, 5)),
    data=st.data(),
)
def test_never_worse_than_what_it_begins_with(
    question: Case, which: Arrangement, kicks: int, data: st.DataObject
) -> None:
    """From any placement it comes to one that costs no more, and what it says is right."""
    problem = question.problem(arrangement=which)._replace(pools=(), required=())
    tables = build_tables(problem, device_limits(problem))
    assume(tables.classes)
    found = list(allowed(problem))
    assume(found)
    placement, stages = data.draw(st.sampled_from(found[:200]))
    polished = polished_by(tables, runs_of(tables, placement), kicks)
    assert polished.objective <= summed(problem, stages) * (1 + 1e-9)
    assert polished.objective >= Oracle(problem._replace(peak=Weights())).best() * (1 - 1e-9)
    check(problem, tables, polished)


@settings(max_examples=60, deadline=None)
@given(
    question=cases(
        devices=4,
        blocks=5,
        coordinators=("a",),
        objectives=("balanced",),
        prompts=(100, LONG_PROMPT),
    ),
    which=st.sampled_from(SEVERAL),
    share=st.floats(0, 1),
    data=st.data(),
)
def test_under_a_limit_no_stage_takes_much_longer(
    question: Case, which: Arrangement, share: float, data: st.DataObject
) -> None:
    """Whatever it begins with, what comes out has no stage beyond a limit, but for its wires."""
    problem = question.problem(arrangement=which)._replace(pools=(), required=())
    tables = build_tables(problem, device_limits(problem))
    found = list(allowed(problem))
    assume(found)
    placement, _ = data.draw(st.sampled_from(found[:200]))
    peaks = sorted(slowest(problem, stages) for _, stages in found)
    limit = peaks[int(share * (len(peaks) - 1))] * (1 + 1e-9)
    polished = polished_by(tables, runs_of(tables, placement), 5, limit=limit)
    if not polished.runs:
        assert polished.objective == math.inf
        return
    check(problem, tables, polished)
    arcs = Arcs(tables)
    assert arcs.peaked is not None
    wires = float((arcs.peaked.enter + arcs.peaked.leave).max())
    stages = price(problem, placement_of_runs(tables, polished.runs), device_limits(problem))
    assert slowest(problem, stages) <= limit + wires


def fleet(seed: int) -> tuple[Problem, Tables]:
    """Eight devices, two of them on one node and two equal, for twenty-four unequal blocks."""
    draw = random.Random(seed)  # noqa: S311 - for tests, not for secrets
    names = [f"n{at // 2 if at < 2 else at}/cuda:{at % 2 if at < 2 else 0}" for at in range(8)]
    speeds = [10 ** draw.uniform(10.5, 12) for _ in names]
    speeds[-1] = speeds[-2]
    rooms = [draw.randint(120, 420) * MB for _ in names]
    rooms[-1] = rooms[-2]
    devices = [
        device(name, room, speed) for name, room, speed in zip(names, rooms, speeds, strict=True)
    ]
    model = workload([draw.randint(20, 60) * MB for _ in range(24)])
    problem = case(*devices, model=model).problem()
    return problem, build_tables(problem, device_limits(problem))


@pytest.mark.parametrize("seed", range(4))
def test_from_a_bad_placement_it_comes_near_the_best(seed: int) -> None:
    """On a fleet small enough to know the optimum of, kicks bring it within two per cent."""
    problem, tables = fleet(seed)
    best = Oracle(problem).best()
    polished = polished_by(tables, runs_of(tables, in_order(problem)), 60)
    check(problem, tables, polished)
    assert best * (1 - 1e-9) <= polished.objective <= 1.02 * best


def test_the_same_placement_is_polished_alike() -> None:
    """What is exchanged at random is the same every time."""
    problem, tables = fleet(0)
    runs = runs_of(tables, in_order(problem))
    one, other = (polished_by(tables, runs, 20) for _ in range(2))
    assert one == other


def test_good_enough_or_out_of_time_it_stops() -> None:
    """Without time the best split of the order is all; what is good enough is left alone."""
    problem, tables = fleet(1)
    runs = runs_of(tables, in_order(problem))
    asked = list[None]()

    def count() -> bool:
        asked.append(None)
        return False

    stopped = polished_by(tables, runs, 20, expired=lambda: True)
    assert {run[0] for run in stopped.runs} >= {run[0] for run in runs}
    check(problem, tables, stopped)
    content = polished_by(tables, runs, 1000, good_enough=1e9, expired=count)
    eager = polished_by(tables, runs, 20)
    assert eager.objective <= content.objective <= stopped.objective
    assert len(asked) < 200


def test_a_device_without_others_is_left_alone() -> None:
    """Where there is nothing to exchange, kicks end."""
    problem = case(device("b/cuda:0")).problem()
    tables = build_tables(problem, device_limits(problem))
    runs = runs_of(tables, (("b/cuda:0", 0, 3),))
    assert polished_by(tables, runs, 1000).runs == runs
