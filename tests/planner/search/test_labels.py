"""The search: what it finds, what it drops, what it cuts, and what it may still claim then."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.placement import total_objective, weighted
from hgx.planner.search import labels
from hgx.planner.search.graph import build_graph
from hgx.planner.search.labels import Search
from hgx.planner.search.paths import STEPS, Span, path_bound
from hgx.planner.solve import solve
from tests.planner.by_hand import (
    WIDE,
    allowed,
    least,
    placement_of_runs,
    searched,
    slowest,
    summed,
    tables_of,
)
from tests.planner.made import (
    LONG_PROMPT,
    MB,
    OBJECTIVES,
    PROMPTS,
    SEVERAL,
    Case,
    case,
    cases,
    device,
    objective_of,
    options,
    registry,
    workload,
)
from tests.planner.oracles.reading import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.plan import Objective
    from hgx.gguf.arrangement import Arrangement
    from hgx.planner.problem import Problem
    from hgx.planner.search.found import Found

QUICK = 8
"""Paths that are looked for where poor prices leave the search more to do."""


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.layers: list[tuple[int, int]] = []
        self.objectives: list[float] = []

    def layer(self, depth: int, states: int) -> None:
        """Keep it."""
        self.layers.append((depth, states))

    def reached(self, depth: int) -> Callable[[], bool]:
        """A clock that is over as soon as a search looks at labels of so many stages."""
        return lambda: len(self.layers) > depth

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
    width: int = WIDE,
    expired: Callable[[], bool] = lambda: False,
    notes: Notes | None = None,
    target: float = math.inf,
) -> Found:
    """Run one search on a question."""
    tables = tables_of(question.problem())
    return searched(tables, width=width, target=target, expired=expired, reporter=notes)


def after(looks: int) -> Callable[[], bool]:
    """A clock that says when it was looked at so often."""
    seen = iter(range(10**9))
    return lambda: next(seen) >= looks


def check(problem: Problem, found: Found, best: float) -> None:
    """The best is found and proven, and costs what it is said to."""
    assert found.objective == pytest.approx(best, rel=1e-8)
    assert found.bound == pytest.approx(best, rel=1e-8)
    placement = placement_of_runs(tables_of(problem), found.runs)
    assert seconds_of(problem, placement) == pytest.approx(best, rel=1e-8)


@settings(max_examples=120, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), prompts=PROMPTS, wishes=True),
    which=st.sampled_from(SEVERAL),
    steps=st.sampled_from((1, QUICK, STEPS)),
)
def test_it_finds_what_trying_everything_does(
    question: Case, which: Arrangement, steps: int
) -> None:
    """Whatever counts, and whatever the prices: the best of all, or that there is nothing."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    check(problem, searched(tables, steps=steps), least(problem))


@settings(max_examples=60, deadline=None)
@given(
    question=cases(
        devices=4, blocks=5, backends=("cpu", "metal"), coordinators=("a",), prompts=PROMPTS
    ),
    which=st.sampled_from(SEVERAL),
    steps=st.sampled_from((1, QUICK, STEPS)),
)
def test_it_keeps_shared_memories(question: Case, which: Arrangement, steps: int) -> None:
    """What devices take of a memory together is no more than it has, in the best way."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes and len(tables.pools))
    check(problem, searched(tables, steps=steps), least(problem))


@pytest.mark.parametrize("seed", [32, 124])
def test_what_is_dearer_and_takes_less_of_a_memory_is_kept(seed: int) -> None:
    """Others of the memory may need the room: here the best placement begins so."""
    draw = random.Random(seed)  # noqa: S311 - for tests, not for secrets
    names = ("b/cpu:0", "b/cpu:1", "c/cuda:0", "d/cuda:0")
    devices = [
        device(name, draw.randint(90, 220) * MB, 10 ** draw.uniform(10, 12)) for name in names
    ]
    model = workload([draw.randint(20, 60) * MB for _ in range(7)])
    ram = {"b": draw.randint(150, 300) * MB}
    problem = Case(registry(*devices, nodes=("a",), ram=ram), model, options()).problem()
    check(problem, searched(tables_of(problem), steps=1), least(problem))


@settings(max_examples=150, deadline=None)
@given(
    question=cases(devices=4, blocks=5, coordinators=("a",), prompts=PROMPTS, wishes=True),
    which=st.sampled_from(SEVERAL),
    widths=st.tuples(st.sampled_from((1, 2, 4)), st.sampled_from((1, 2, labels.AMPLE))),
    steps=st.sampled_from((1, QUICK, STEPS)),
    looks=st.sampled_from((1, 2, 3, 5, 100)),
)
def test_whatever_is_cut_the_claims_are_true(
    question: Case, which: Arrangement, widths: tuple[int, int], steps: int, looks: int
) -> None:
    """Cut to a width or stopped after a layer, the bound is that of all that was left out."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    best = least(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "AMPLE", widths[1])
        found = searched(tables, width=widths[0], steps=steps, expired=after(looks))
    assert found.bound <= best * (1 + 1e-9)
    if found.runs:
        placement = placement_of_runs(tables, found.runs)
        assert best * (1 - 1e-9) <= seconds_of(problem, placement)
        assert seconds_of(problem, placement) <= found.objective * (1 + 1e-9)


@settings(max_examples=80, deadline=None)
@given(
    question=cases(
        devices=4, blocks=3, backends=("cpu", "metal"), coordinators=("a",), prompts=PROMPTS
    ),
    width=st.sampled_from((1, 2, 4)),
    looks=st.sampled_from((1, 2, 3, 5, 100)),
)
def test_whatever_is_cut_in_shared_memories_the_claims_are_true(
    question: Case, width: int, looks: int
) -> None:
    """Also where bytes have a price, and room that is lost raises what is proven."""
    problem = question.problem()
    tables = tables_of(problem)
    assume(tables.classes and len(tables.pools))
    best = least(problem)
    found = searched(tables, width=width, expired=after(looks))
    assert found.bound <= best * (1 + 1e-9) <= found.objective * (1 + 2e-9)


@settings(max_examples=120, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), prompts=PROMPTS, wishes=True),
    which=st.sampled_from(SEVERAL),
    width=st.sampled_from((1, 4, WIDE)),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_span_is_searched_by_itself(
    question: Case, which: Arrangement, width: int, shares: tuple[float, float]
) -> None:
    """Of placements whose slowest stage takes so long, none is below what is found and proven."""
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
    answer = searched(tables, width=width, span=span)
    assert answer.bound <= best * (1 + 1e-9)
    assert answer.objective >= least(problem) * (1 - 1e-9)
    if answer.runs:
        placement = placement_of_runs(tables, answer.runs)
        assert seconds_of(problem, placement) <= answer.objective * (1 + 1e-9)
    if width == WIDE:
        # One whose slowest stage is quicker may be as good as the best in the span.
        assert answer.bound == pytest.approx(best, rel=1e-8) or answer.objective < best


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_cut_search_claims_no_more_than_is_true(objective: Objective) -> None:
    """The narrower the search, the worse its answer and its bound may be; neither is wrong."""
    question = different(7, objective)
    proof = search(question, WIDE)
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
    best = search(question, WIDE).objective
    found = search(question, WIDE, lambda: next(asked) >= patience)
    assert found.bound <= best * (1 + 1e-9)
    assert found.objective >= best * (1 - 1e-9)


def test_a_target_that_cannot_be_beaten_is_proven() -> None:
    """Below the optimum there is nothing: no placement, and the target as the bound."""
    question = different(5)
    best = search(question, WIDE).objective
    found = search(question, WIDE, target=best)
    assert (found.objective, found.runs, found.bound) == (math.inf, (), best)


def test_runs_cover_the_blocks_in_order() -> None:
    """The stages walked back to are adjacent, begin with block 0 and end with the last."""
    question = different(6)
    runs = search(question, WIDE).runs
    assert len(runs) > 1
    assert [run.begin for run in runs] == [0, *(run.end for run in runs[:-1])]
    assert runs[-1].end == question.workload.n_block


def test_a_reporter_sees_layers_and_improvements() -> None:
    """Layers come by depth from the one empty state; every improvement is one."""
    notes = Notes()
    found = search(different(5), WIDE, notes=notes)
    depths, states = zip(*notes.layers, strict=True)
    assert list(depths) == list(range(len(depths)))
    assert (states[0], sum(states)) == (1, found.states)
    assert notes.objectives == sorted(notes.objectives, reverse=True)
    assert notes.objectives[-1] == pytest.approx(found.objective, rel=1e-12)


@pytest.mark.parametrize("sizes", [(100, 80, 80), (80, 100, 80), (80, 80, 100)])
def test_what_is_missing_to_the_slowest_stage_raises_the_bound(sizes: tuple[int, ...]) -> None:
    """Three equal devices, one block each: each pays a third of the slowest stage.

    Without prices, all is known of the only way: of one stage no more is due than it takes; of two
    the quicker one owes a third of what the slower one takes more.
    """
    devices = [device(f"{node}/cuda:0", 130 * MB) for node in "bcd"]
    model = workload([size * MB for size in sizes], head=5 * MB)
    asked = options(prompt_tokens=LONG_PROMPT)
    problem = case(*devices, model=model, asked=asked).problem()
    _, stages = next(allowed(problem))
    one, two, three = (weighted(stage, problem.peak) for stage in stages)
    start = summed(problem, stages) + (one + two + three) / 3
    expected = (start, start, start + abs(one - two) / 3, total_objective(problem, stages))
    tables = tables_of(problem)
    for depth, bound in enumerate(expected):
        notes = Notes()
        found = searched(tables, steps=1, expired=notes.reached(depth), reporter=notes)
        assert found.bound == pytest.approx(bound, rel=1e-9)


def test_what_nobody_pays_of_the_slowest_stage_raises_the_bound() -> None:
    """Where the shares are less than one, the rest of what exceeds the span's least is due."""
    devices = [device(f"{node}/cuda:0", 130 * MB) for node in "bc"]
    model = workload([100 * MB, 80 * MB], head=5 * MB)
    problem = case(*devices, model=model, asked=options(prompt_tokens=LONG_PROMPT)).problem()
    tables = tables_of(problem)
    arcs = Arcs(tables)
    _, stages = next(allowed(problem))
    one, two = (weighted(stage, problem.peak) for stage in stages)
    assert one > two
    low = two / 2
    whole = path_bound(arcs, math.inf, steps=1)
    shares = whole.prices._replace(slow=whole.prices.slow / 2)
    half = whole._replace(vector=whole.vector / 2, prices=shares)
    bound = path_bound(arcs, math.inf, steps=1, span=Span(low=low), like=[half])
    assert bound.prices.slow == pytest.approx(0.25)
    start = summed(problem, stages) + (one + two) / 4 + low / 2
    assert bound.root() == pytest.approx(start)
    graph = build_graph(arcs, bound, math.inf)
    stopped, found = (
        Search(tables, bound, graph, notes.reached(depth), notes).run(math.inf, WIDE)
        for depth, notes in ((1, Notes()), (9, Notes()))
    )
    assert stopped.bound == pytest.approx(start + (one - low) / 2)
    assert found.bound == found.objective == pytest.approx(total_objective(problem, stages))


def test_room_that_nobody_can_use_raises_the_bound() -> None:
    """Of a memory with a price, what its only device leaves is lost, and costs its price."""
    small = device("b/cpu:1", 20 * MB)
    question = case(
        device("b/cpu:0", 190 * MB, 5e11),
        small,
        device("c/cuda:0", 1000 * MB, 1e10),
        model=workload([50 * MB] * 5, head=60 * MB),
    )
    ram = {"b": 190 * MB}
    places = registry(*question.registry.devices, nodes=("a",), ram=ram)
    problem = question._replace(registry=places).problem()
    tables = tables_of(problem)
    assert [one.devices for one in tables.classes] == [("b/cpu:0",), ("c/cuda:0",)]
    arcs = Arcs(tables)
    free = path_bound(arcs, math.inf, steps=1)
    dear = free._replace(vector=np.array([0.0, 0.0, 0.1]))  # nothing for devices, a little for room
    bound = path_bound(arcs, math.inf, steps=1, like=[dear])
    graph = build_graph(arcs, bound, math.inf)
    first = (graph.tail == 0) & (graph.head > 0)
    lost = (tables.pool_capacity[0] - graph.taken[first]) * (graph.at[first] == 0)
    raised = graph.reduced[first] + bound.prices.pool[0] * lost
    assert raised.min() > graph.reduced[first].min() + 1e-3
    stopped, found = (
        Search(tables, bound, graph, notes.reached(depth), notes).run(math.inf, WIDE)
        for depth, notes in ((1, Notes()), (9, Notes()))
    )
    assert stopped.bound == pytest.approx(bound.root() + raised.min())
    check(problem, found, least(problem))


def test_ample_memory_tells_no_states_apart() -> None:
    """Where all devices of a memory can have their fill, what they take is no matter."""
    near = [device(f"b/cpu:{index}", 160 * MB, 1e11 * (1 + index)) for index in range(3)]
    question = case(*near, device("c/cuda:0", 200 * MB), model=workload([30 * MB] * 12))
    shared = question.problem()
    alone = shared._replace(pools=())
    assert len(tables_of(shared).pools) == 1
    one, other = (searched(tables_of(problem), steps=1) for problem in (shared, alone))
    assert one.objective == other.objective
    assert one.states == other.states > 50


@pytest.mark.parametrize(("prompt", "more"), [(100, 1), (LONG_PROMPT, 6)])
def test_of_equal_sets_at_a_place_the_best_is_kept(prompt: int, more: int) -> None:
    """However the same devices stand, one label is left, or a few where two things count."""
    count, notes = 6, Notes()
    question = different(count)
    question = question._replace(options=options(prompt_tokens=prompt))
    searched(tables_of(question.problem()), steps=1, reporter=notes)
    boundaries = question.workload.n_block - 1
    for depth, states in notes.layers[1:]:
        assert states <= math.comb(count, depth) * boundaries * more
    assert max(states for _, states in notes.layers) > 50


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_equal_devices_are_searched_as_a_class(objective: Objective) -> None:
    """A label counts equal devices and knows where it is, and not which of them it has used."""
    states: list[int] = []
    for count in (8, 16, 32):
        equal = [device(f"n{at}/cuda:0", 140 * MB) for at in range(count)]
        model = workload([50 * MB + at for at in range(count)])
        found = search(case(*equal, model=model, asked=options(objective)), WIDE)
        assert found.bound == pytest.approx(found.objective, rel=1e-12)
        states.append(found.states)
    assert all(opened <= count**2 / 2 for opened, count in zip(states, (8, 16, 32), strict=True))


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
