"""The bound by priced paths is below every placement, and comes near the linear program."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.placement import total_objective
from hgx.planner.search.paths import STEPS, Span, path_bound
from tests.planner.by_hand import allowed, least, paid, slowest, steps_of, tables_of
from tests.planner.made import (
    LONG_PROMPT,
    MB,
    PROMPTS,
    SEVERAL,
    Case,
    case,
    cases,
    device,
    options,
    registry,
    workload,
)
from tests.planner.oracles import highs

if TYPE_CHECKING:
    from hgx.core.plan import Objective
    from hgx.gguf.arrangement import Arrangement
    from hgx.planner.problem import Problem
    from hgx.planner.search.paths import PathBound

ASKED: tuple[tuple[Objective, int], ...] = (
    ("latency", 100),
    ("latency", LONG_PROMPT),
    ("balanced", 100),
    ("throughput", 100),
)
"""Sums, sums and slowest stages, and slowest stages."""


def bound_of(problem: Problem, target: float = math.inf, steps: int = STEPS) -> PathBound:
    """The bound of a problem of which some device can hold a block."""
    tables = tables_of(problem)
    return path_bound(Arcs(tables), target, steps=steps)


@settings(max_examples=150, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), prompts=PROMPTS, wishes=True),
    which=st.sampled_from(SEVERAL),
    steps=st.sampled_from((1, 2, 5, 40, STEPS)),
    aim=st.sampled_from((0.1, 1.0, 3.0, math.inf)),
)
def test_no_placement_is_below_bound_and_target(
    question: Case, which: Arrangement, steps: int, aim: float
) -> None:
    """Whatever the prices aim at, and however far they are looked for."""
    problem = question.problem(arrangement=which)
    assume(tables_of(problem).classes)
    best = least(problem)
    target = aim * (1.0 if math.isinf(best) else best)
    assert min(bound_of(problem, target, steps).root(), target) <= best * (1 + 1e-9)


@settings(max_examples=100, deadline=None)
@given(
    question=cases(
        devices=4, backends=("cpu", "metal"), coordinators=("a",), prompts=PROMPTS, wishes=True
    ),
    which=st.sampled_from(SEVERAL),
    steps=st.sampled_from((2, 40, STEPS)),
)
def test_no_placement_in_shared_memories_is_below_the_bound(
    question: Case, which: Arrangement, steps: int
) -> None:
    """Also where bytes of memories have prices."""
    problem = question.problem(arrangement=which)
    assume(tables_of(problem).classes)
    best = least(problem)
    assert bound_of(problem, best, steps).root() <= best * (1 + 1e-9)


@settings(max_examples=80, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), prompts=PROMPTS, wishes=True),
    which=st.sampled_from(SEVERAL),
    looks=st.sampled_from((1, 10, STEPS)),
)
def test_every_beginning_has_a_bound(question: Case, which: Arrangement, looks: int) -> None:
    """What a beginning has paid, and the shortest path from there on, is below what it becomes."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    best = least(problem)
    assume(math.isfinite(best))
    bound = bound_of(problem, 1.5 * best, looks)
    for _, stages in allowed(problem):
        objective = total_objective(problem, stages)
        if objective > 1.5 * best:
            continue
        seconds, steps = paid(problem, tables, bound, stages), steps_of(tables, stages)
        for at, step in enumerate(steps):
            held = 0 if step.entered else 1 + steps[at - 1].at
            on = float(bound.ahead[held, step.begin])
            assert sum(seconds[:at]) + on - bound.taken_off <= objective * (1 + 1e-9)
            assert on <= sum(seconds[at:]) + 1e-9 * objective


@settings(max_examples=150, deadline=None)
@given(
    question=cases(
        devices=4,
        coordinators=("a",),
        objectives=("throughput", "balanced"),
        prompts=PROMPTS,
        wishes=True,
    ),
    which=st.sampled_from(SEVERAL),
    steps=st.sampled_from((1, 40, STEPS)),
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
    assume(found)
    peaks = sorted(peak for peak, _ in found)
    low, high = (peaks[int(share * (len(peaks) - 1))] for share in sorted(shares))
    span = Span(low * (1 - 1e-12), high * (1 + 1e-12))
    best = min(objective for peak, objective in found if span.low <= peak <= span.high)
    arcs = Arcs(tables)
    whole = path_bound(arcs, best, steps=steps)
    bound = path_bound(arcs, best, steps=steps, span=span)
    begun = path_bound(arcs, best, steps=steps, span=span, like=[whole])
    assert bound.root() <= best * (1 + 1e-9)
    assert whole.root() * (1 - 1e-8) <= begun.root() <= best * (1 + 1e-9)


def mixed(objective: Objective, prompt: int) -> Problem:
    """Twenty blocks for six devices, of which the quick ones are scarce and two share a node."""
    names = ("a/cuda:0", "b/cuda:0", "c/cuda:0", "c/cuda:1", "d/cuda:0", "e/cuda:0")
    devices = [
        device(name, (220 + 60 * at) * MB, 1e12 / (1 + at % 4), 1e13 / (1 + at % 4))
        for at, name in enumerate(names)
    ]
    model = workload([(30 + 7 * (at % 5)) * MB for at in range(20)])
    asked = options(objective, prompt_tokens=prompt)
    return case(*devices, model=model, asked=asked).problem()


@pytest.mark.parametrize(("objective", "prompt"), ASKED)
def test_steps_come_near_the_linear_relaxation(objective: Objective, prompt: int) -> None:
    """The best prices are worth the linear program over all stages, or more.

    It knows nothing of who hands over to whom within a node.
    """
    problem = mixed(objective, prompt)
    relaxed = highs.solve(problem, 20.0, relaxed=True).bound
    whole = highs.solve(problem, 20.0).bound
    start, end = (bound_of(problem, whole, steps).root() for steps in (1, 300))
    assert start < 0.95 * relaxed
    assert 0.99 * relaxed <= end <= whole * (1 + 1e-7)


def in_one_memory(objective: Objective, ram: int, **wished: object) -> Problem:
    """Three quick devices in one memory that is too small for them, and a slow one elsewhere."""
    near = [device(f"b/cpu:{index}", 160 * MB, 5e11 / (1 + index)) for index in range(3)]
    asked = options(objective).model_copy(update=wished)
    question = Case(
        registry(*near, device("c/cuda:0", 1000 * MB, 1e10), nodes=("a",), ram={"b": ram * MB}),
        workload([(30 + 5 * (at % 3)) * MB for at in range(10)]),
        asked,
    )
    return question.problem()


@pytest.mark.parametrize("objective", ["latency", "balanced", "throughput"])
def test_bytes_of_a_scarce_memory_have_a_price(objective: Objective) -> None:
    """The bound is that of the linear program or more; where there is room, bytes cost nothing."""
    scarce = in_one_memory(objective, 200)
    relaxed = highs.solve(scarce, 20.0, relaxed=True).bound
    bound = bound_of(scarce, least(scarce), 300)
    assert (bound.prices.pool > 0).all()
    assert 0.99 * relaxed <= bound.root() <= least(scarce) * (1 + 1e-7)
    ample = bound_of(in_one_memory(objective, 2000))
    assert ample.prices.pool == pytest.approx(0.0)


def test_who_must_be_used_is_paid_for_it() -> None:
    """A required device that nobody would use has a negative price, and the bound pays for it."""
    problem = in_one_memory("latency", 2000, require=("c/cuda:0",))
    relaxed = highs.solve(problem, 20.0, relaxed=True).bound
    bound = bound_of(problem, least(problem), 300)
    at = next(k for k, one in enumerate(tables_of(problem).classes) if one.devices == ("c/cuda:0",))
    assert bound.prices.device[at] < 0.0
    assert 0.99 * relaxed <= bound.root() <= relaxed * (1 + 1e-7)


def test_nodes_that_are_too_many_have_a_price() -> None:
    """Where fewer nodes may take part than would, the bound is that of the linear program."""
    devices = [
        device("a/cuda:0", bandwidth=1e10),
        *(device(f"{n}/cuda:0", 150 * MB) for n in "bcd"),
    ]
    model = workload([30 * MB] * 10)
    every, two = (
        case(*devices, model=model, asked=options(max_nodes=most)).problem() for most in (None, 2)
    )
    best = least(two)
    relaxed = highs.solve(two, 20.0, relaxed=True).bound
    bound = bound_of(two, best, 300).root()
    assert bound_of(every, best, 300).root() < 0.9 * bound
    assert 0.99 * relaxed <= bound <= relaxed * (1 + 1e-7)


@pytest.mark.parametrize(("objective", "prompt"), ASKED)
def test_without_time_there_are_no_prices(objective: Objective, prompt: int) -> None:
    """Stopped at once the bound is that of no prices, and shares in the slowest stage are equal."""
    tables = tables_of(mixed(objective, prompt))
    arcs = Arcs(tables)
    stopped = path_bound(arcs, 10.0, expired=lambda: True)
    assert stopped.root() == path_bound(arcs, 10.0, steps=1).root()
    assert not stopped.prices.device.any()
    assert len(np.unique(stopped.prices.slow)) == 1
    assert float(stopped.prices.slow @ arcs.counts) == pytest.approx(float(tables.peaked))
    assert path_bound(arcs, 10.0).root() > stopped.root()


def test_a_bound_that_is_enough_is_not_made_better() -> None:
    """The look for prices ends as soon as the bound reaches the target."""
    problem = mixed("latency", 100)
    looks = list[None]()

    def look() -> bool:
        looks.append(None)
        return False

    arcs = Arcs(tables_of(problem))
    whole = path_bound(arcs, math.inf).root()
    assert path_bound(arcs, 0.9 * whole, look).root() >= 0.9 * whole
    assert len(looks) < 50


@pytest.mark.parametrize(("objective", "prompt"), ASKED)
def test_where_nothing_fits_the_bound_is_infinite(objective: Objective, prompt: int) -> None:
    """Devices that hold a block each and never the head show at once that there is no way."""
    asked = options(objective, prompt_tokens=prompt)
    model = workload([50 * MB] * 2, head=400 * MB)
    problem = case(device("b/cuda:0", 100 * MB), model=model, asked=asked).problem()
    for target in (1.0, math.inf):
        assert bound_of(problem, target).root() == math.inf


@pytest.mark.parametrize(("objective", "prompt"), ASKED)
def test_where_nothing_takes_a_second_the_bound_is_infinite(
    objective: Objective, prompt: int
) -> None:
    """Cards beside the coordinator have no wire; these hold the small block alone, and no head."""
    small = [device(f"a/cuda:{index}", 45 * MB) for index in range(5)]
    model = workload([100 * MB, 10 * MB], head=50 * MB)
    problem = case(*small, model=model, asked=options(objective, prompt_tokens=prompt)).problem()
    assert tables_of(problem).classes
    assert bound_of(problem).root() == math.inf
