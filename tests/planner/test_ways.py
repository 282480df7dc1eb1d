"""What stages cost by the way hidden states come and go, and what can be done with it."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs, Cost
from hgx.planner.placement import weighted
from hgx.planner.ways import Way, find_ways
from tests.planner.by_hand import allowed, runs_of, tables_of
from tests.planner.made import MB, PROMPTS, SEVERAL, case, cases, device, options, workload

if TYPE_CHECKING:
    from hgx.gguf.arrangement import Arrangement
    from hgx.planner.ways import Ways
    from tests.planner.made import Case

EVERY_WAY = [Way(*flags) for flags in product((False, True), repeat=3)]


def values(ways: Ways) -> list[np.ndarray]:
    """The stages of every way."""
    return [ways.of(way) for way in EVERY_WAY]


def node(devices: int) -> Arcs:
    """A device alone, and so many different ones on one far node."""
    names = ("b/cuda:0", *(f"c/cuda:{index}" for index in range(devices)))
    made = [device(name, bandwidth=1e11 * (1 + at)) for at, name in enumerate(names)]
    asked = options("balanced")
    return Arcs(tables_of(case(*made, model=workload([50 * MB] * 4), asked=asked).problem()))


@settings(max_examples=80, deadline=None)
@given(question=cases(coordinators=("a",), prompts=PROMPTS), which=st.sampled_from(SEVERAL))
def test_every_stage_costs_what_it_is_priced_at(question: Case, which: Arrangement) -> None:
    """Whatever stands where, in the sum and in what counts of the slowest."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    arcs = Arcs(tables)
    for placement, stages in allowed(problem):
        steps = arcs.steps(runs_of(tables, placement))
        found = [arcs.added_ways.at(step) for step in steps]
        assert found == pytest.approx([weighted(stage, problem.total) for stage in stages])
        if arcs.peaked_ways is not None:
            found = [arcs.peaked_ways.at(step) for step in steps]
            assert found == pytest.approx([weighted(stage, problem.peak) for stage in stages])


def test_who_may_follow_on_a_node() -> None:
    """Nobody where a device is alone, the other of two, and any other of three."""
    alone, two, three = (node(count) for count in (1, 2, 3))
    on = Way(entered=True, left=False, final=False)
    assert alone.mates.size == alone.added_ways.middle.size == alone.added_ways.of(on).size == 0
    assert (two.members.tolist(), two.mates.tolist()) == ([1, 2], [[1], [0]])
    assert two.added_ways.middle.shape[1] == 0
    assert three.mates.tolist() == [[1, 2], [0, 2], [0, 1]]
    assert np.isfinite(three.added_ways.middle).any()


def test_nothing_is_handed_over_to_the_first_stage() -> None:
    """At the first boundary all hidden states come from the coordinator."""
    ways = node(3).added_ways
    for way in EVERY_WAY:
        stages = ways.of(way)[0]
        assert bool(np.isfinite(stages).any()) is way.entered


def test_who_may_not_be_first_is_not() -> None:
    """Where the coordinator's CPU is first, it has no wire, and nobody else is."""
    question = case(*(device(name) for name in ("a/cpu:0", "b/cuda:0", "b/cuda:1")))
    first, pipeline = (Arcs(tables_of(question.problem(arrangement=one))) for one in SEVERAL)
    (host,) = first.free
    for arcs, some in ((first, [host]), (pipeline, [1])):
        for way in EVERY_WAY:
            stages = arcs.added_ways.of(way)[0]
            classes = np.arange(2) if way.wired else arcs.members
            there = classes[np.isfinite(stages.reshape(len(classes), -1)).any(axis=1)]
            assert set(there.tolist()) <= set(some)
    alone = Way(entered=True, left=True, final=False)
    assert first.added_ways.of(alone)[0, host, 0] == first.added.inner[0, host, 0]


@pytest.mark.parametrize("longest", [0.0, 0.5, np.inf])
def test_what_takes_too_long_is_left_out(longest: float) -> None:
    """By its seconds in another measure, wires included; without a limit nothing is."""
    arcs = node(3)
    assert arcs.peaked_ways is not None
    finite = arcs.peaked_ways.stages[np.isfinite(arcs.peaked_ways.stages)]
    limit = np.inf if np.isinf(longest) else longest * float(finite.max())
    kept = arcs.added_ways.within(arcs.peaked_ways, limit)
    for mine, whole, other in zip(
        values(kept), values(arcs.added_ways), values(arcs.peaked_ways), strict=True
    ):
        assert (mine == np.where(other <= limit, whole, np.inf)).all()


def test_what_is_beyond_is_finite() -> None:
    """Seconds below the least count as nothing, and so does what does not fit."""
    arcs = node(2)
    least = float(np.median(arcs.added_ways.stages[np.isfinite(arcs.added_ways.stages)]))
    for mine, whole in zip(
        values(arcs.added_ways.beyond(least)), values(arcs.added_ways), strict=True
    ):
        assert (mine == np.where(np.isinf(whole), 0.0, np.maximum(whole - least, 0.0))).all()


def test_costs_add_up_by_class() -> None:
    """A second measure counts as much as its class says; what holds the result may be given."""
    arcs = node(3)
    one = arcs.added_ways
    other = find_ways(arcs, Cost(*(np.ones_like(part) for part in arcs.added))).beyond(0.0)
    seconds, weight = np.arange(4.0), np.array([0.0, 1.0, 2.0, 3.0])
    both = one.plus(seconds, other, weight, None)
    again = one.plus(seconds, other, weight, both)
    assert again is both
    plain = one.plus(seconds, None, weight, None)
    for way in EVERY_WAY:
        classes = np.arange(4) if way.wired else arcs.members
        shape = (1, -1) if way.final else (1, -1, 1)
        mine, sums, more = one.of(way), both.of(way), other.of(way)
        if not mine.shape[1]:
            continue
        assert sums == pytest.approx(
            mine + seconds[classes].reshape(shape) + weight[classes].reshape(shape) * more
        )
        assert plain.of(way) == pytest.approx(mine + seconds[classes].reshape(shape))


def test_rows_are_those_of_classes_or_members() -> None:
    """Where nothing is handed over a class has its own number, else its number on the nodes."""
    ways = node(2).added_ways
    for way in EVERY_WAY:
        expected = [1, 2] if way.wired else [0, 1]
        assert ways.rows(way, np.array([1, 2])).tolist() == expected
