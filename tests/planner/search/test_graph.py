"""Whatever may be part of something better is an edge, and costs what the bound says it does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.placement import total_objective, weighted
from hgx.planner.search.graph import build_graph
from hgx.planner.search.paths import STEPS, Span, path_bound
from tests.planner.by_hand import allowed, least, paid, slowest, steps_of, tables_of
from tests.planner.made import (
    MB,
    PROMPTS,
    SEVERAL,
    Case,
    case,
    cases,
    device,
    options,
    workload,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.gguf.arrangement import Arrangement
    from hgx.planner.arcs import Step
    from hgx.planner.placement import PricedStage
    from hgx.planner.problem import Problem
    from hgx.planner.search.graph import Graph
    from hgx.planner.search.paths import PathBound
    from hgx.planner.tables import Tables


def edges_of(graph: Graph, steps: Sequence[Step]) -> list[int] | None:
    """The edges of a path, found by where they begin and end; None where one is missing."""
    found: list[int] = []
    for before, step in zip((None, *steps), steps, strict=False):
        held = 0 if before is None or step.entered else 1 + before.at
        tail = held * graph.n_block + step.begin
        head = -1 if step.final else (0 if step.left else 1 + step.at) * graph.n_block + step.end
        same = (graph.tail == tail) & (graph.head == head) & (graph.at == step.at)
        (edges,) = np.nonzero(same)
        if not len(edges):
            return None
        assert len(edges) == 1
        assert graph.boundary(int(edges[0])) == (step.begin, step.end)
        found.append(int(edges[0]))
    return found


def check(
    problem: Problem,
    tables: Tables,
    bound: PathBound,
    gap: float,
    placements: Sequence[list[PricedStage]],
) -> None:
    """Whatever costs less than bound and gap is there, edge by edge, and is as dear as it is."""
    arcs = Arcs(tables)
    graph = build_graph(arcs, bound, gap)
    for stages in placements:
        objective, seconds = (
            total_objective(problem, stages),
            paid(problem, tables, bound, stages),
        )
        steps = steps_of(tables, stages)
        edges = edges_of(graph, steps)
        if edges is None:
            above = objective - (bound.ahead[0, 0] - bound.taken_off)
            beyond = slowest(problem, stages) > bound.span.high * (1 - 1e-9)
            assert above >= gap - 1e-9 * objective or beyond
            continue
        longer = sum(seconds) - bound.ahead[0, 0]
        assert graph.reduced[edges].sum() == pytest.approx(longer, rel=1e-9, abs=1e-9 * objective)
        assert graph.added[edges] == pytest.approx([weighted(s, problem.total) for s in stages])
        assert graph.peaked[edges] == pytest.approx([weighted(s, problem.peak) for s in stages])
        taken = [stage.memory.total_bytes for stage in stages]
        # The engine's own process shares buffers with the host, which is not taken off here.
        more = problem.footprint.shared_compute * (steps[0].at in arcs.free)
        assert graph.taken[edges[0]] == pytest.approx(taken[0] + more)
        assert graph.taken[edges[1:]] == pytest.approx(taken[1:])


@settings(max_examples=120, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), prompts=PROMPTS, wishes=True),
    which=st.sampled_from(SEVERAL),
    steps=st.sampled_from((1, 5, STEPS)),
    gap=st.sampled_from((0.0, 0.2, 1.0, math.inf)),
)
def test_what_is_below_bound_and_gap_is_there(
    question: Case, which: Arrangement, steps: int, gap: float
) -> None:
    """All stages of every placement that may be better are edges, with what they cost."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    found = [stages for _, stages in allowed(problem)]
    assume(found)
    best = min(total_objective(problem, stages) for stages in found)
    bound = path_bound(Arcs(tables), 10 * best, steps=steps)
    check(problem, tables, bound, gap * best, found)


@settings(max_examples=60, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), objectives=("balanced",), prompts=PROMPTS),
    which=st.sampled_from(SEVERAL),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_what_takes_longer_than_its_span_is_not_there(
    question: Case, which: Arrangement, shares: tuple[float, float]
) -> None:
    """Of a span of seconds, nothing that it allows is left out, and nothing else is there."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    found = [stages for _, stages in allowed(problem)]
    assume(found)
    peaks = sorted(slowest(problem, stages) for stages in found)
    low, high = (peaks[int(share * (len(peaks) - 1))] for share in sorted(shares))
    arcs = Arcs(tables)
    span = Span(low * (1 - 1e-9), high * (1 + 1e-9))
    bound = path_bound(arcs, 10 * least(problem), span=span)
    check(problem, tables, bound, math.inf, found)
    assert (build_graph(arcs, bound, math.inf).peaked <= span.high).all()


@settings(max_examples=60, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), prompts=PROMPTS),
    which=st.sampled_from(SEVERAL),
    share=st.floats(0, 2),
)
def test_the_best_edges_of_a_place_come_first(
    question: Case, which: Arrangement, share: float
) -> None:
    """Edges go by place and by reduced cost; those below a slack are the first so many."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    arcs = Arcs(tables)
    bound = path_bound(arcs, math.inf, steps=5)
    assume(math.isfinite(bound.root()))
    graph = build_graph(arcs, bound, math.inf)
    places = np.arange(bound.ahead.size)
    assert (np.diff(graph.tail) >= 0).all()
    assert (np.diff(graph.reduced) >= 0)[np.diff(graph.tail) == 0].all()
    assert (graph.reduced >= 0).all()
    # Where there is a way on, some edge is on the shortest.
    least_of = np.full(len(places), np.inf)
    np.minimum.at(least_of, graph.tail, graph.reduced)
    inside = np.isfinite(bound.ahead.ravel())
    assert least_of[inside] == pytest.approx(0.0, abs=1e-9 * bound.root())
    slack, off = share * float(graph.reduced.max()), 1e-9 * graph.scale
    first, count = graph.below(places, np.full(len(places), slack))
    for place in places:
        (edges,) = np.nonzero(graph.tail == place)
        some = edges[: count[place]]
        assert first[place] == (edges[0] if len(edges) else graph.begin[place])
        assert (graph.reduced[some] < slack + off).all()
        assert (graph.reduced[edges[len(some) :]] >= slack - off).all()


def test_no_edge_is_below_no_slack() -> None:
    """Where nothing may be better, or the slack is used up, there is no way on."""
    tables = tables_of(case(device("b/cuda:0"), device("c/cuda:0", bandwidth=2e11)).problem())
    arcs = Arcs(tables)
    bound = path_bound(arcs, math.inf)
    graph = build_graph(arcs, bound, math.inf)
    places = np.arange(bound.ahead.size)
    assert len(graph.at)
    assert graph.below(places, np.full(len(places), -1.0))[1].tolist() == [0] * len(places)
    assert graph.below(places, np.full(len(places), math.inf))[1].sum() == len(graph.at)
    empty = build_graph(arcs, bound, 0.0)
    assert len(empty.at) == 0
    assert empty.below(places, np.full(len(places), math.inf))[1].tolist() == [0] * len(places)


def test_who_may_not_be_first_has_no_edge_from_the_beginning() -> None:
    """The first stage is on who may have it, and pays no wire where it is the host's own."""
    question = case(
        device("a/cpu:0"), device("b/cuda:0"), device("b/cuda:1"), model=workload([50 * MB] * 3)
    )
    for which, first in zip(SEVERAL, (True, False), strict=True):
        tables = tables_of(question.problem(arrangement=which))
        arcs = Arcs(tables)
        graph = build_graph(arcs, path_bound(arcs, math.inf), math.inf)
        beginning = np.unique(graph.at[graph.tail == 0]).tolist()
        host = next(k for k, one in enumerate(tables.classes) if one.devices == ("a/cpu:0",))
        assert beginning == ([host] if first else [k for k in range(2) if k != host])


@pytest.mark.parametrize("objective", ["latency", "balanced"])
def test_edges_inside_a_node_stay_there(objective: str) -> None:
    """Only devices of one far node hand over without the wire, and only to each other."""
    names = ("b/cuda:0", "b/cuda:1", "c/cuda:0")
    devices = [device(name, bandwidth=1e11 * (1 + at)) for at, name in enumerate(names)]
    asked = options().model_copy(update={"objective": objective})
    tables = tables_of(case(*devices, model=workload([50 * MB] * 3), asked=asked).problem())
    arcs = Arcs(tables)
    graph = build_graph(arcs, path_bound(arcs, math.inf), math.inf)
    inside = (graph.tail >= graph.n_block) | (graph.head >= graph.n_block)
    assert inside.any()
    assert (arcs.group[graph.at[inside]] == 0).all()
    assert set(graph.at[~inside].tolist()) == {0, 1, 2}
