"""Stages as arcs: the same numbers as in the tables, and as when placements are priced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs, Cost
from hgx.planner.placement import weighted
from tests.planner.by_hand import allowed, runs_of, slowest, steps_of, summed, tables_of
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
    options,
    workload,
)

if TYPE_CHECKING:
    from hgx.gguf.arrangement import Arrangement


@settings(max_examples=60, deadline=None)
@given(
    question=cases(devices=4, blocks=6, coordinators=("a",), prompts=PROMPTS),
    which=st.sampled_from(SEVERAL),
)
def test_arcs_are_the_entries_of_the_tables(question: Case, which: Arrangement) -> None:
    """Every stage that leaves a block for the output head is there once, and nothing else."""
    tables = tables_of(question.problem(arrangement=which))
    assume(tables.classes)
    arcs, n = Arcs(tables), tables.n_block
    cost = arcs.peaked if tables.bottleneck else arcs.added
    assert cost is not None
    for k, one in enumerate(tables.classes):
        for begin in range(n):
            by_length = one.inner[begin, begin + 1 : n]
            expected = np.full(max(arcs.longest, len(by_length)), np.inf)
            expected[: len(by_length)] = by_length
            assert expected[: arcs.longest] == pytest.approx(cost.inner[begin, k])
            assert np.isinf(expected[arcs.longest :]).all()
            reachable = arcs.ends[begin] <= n
            taken = one.stage_bytes.inner[begin, begin + 1 : n + 1][: arcs.longest]
            assert arcs.bytes[begin][reachable] == pytest.approx(taken)
        assert cost.last[:, k] == pytest.approx(one.last[:n])
        assert arcs.last_bytes[:, k] == pytest.approx(one.last_bytes[:n])


@settings(max_examples=80, deadline=None)
@given(
    question=cases(coordinators=("a",), prompts=PROMPTS),
    which=st.sampled_from(SEVERAL),
)
def test_steps_cost_what_stages_are_priced_at(question: Case, which: Arrangement) -> None:
    """Whatever stands where, sum and slowest stage are those of the priced stages."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    arcs = Arcs(tables)
    for placement, stages in allowed(problem):
        runs = runs_of(tables, placement)
        steps = arcs.steps(runs)
        assert steps == steps_of(tables, stages)
        added = [arcs.added.of(step, free=arcs.is_free(step)) for step in steps]
        assert added == pytest.approx([weighted(stage, problem.total) for stage in stages])
        both = pytest.approx((summed(problem, stages), slowest(problem, stages)))
        assert arcs.seconds(runs) == both


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_does_not_count_costs_nothing(objective: str, prompt: int) -> None:
    """Where only the slowest stage counts nothing adds up; where it does not, nothing is slow."""
    asked = options(prompt_tokens=prompt).model_copy(update={"objective": objective})
    arcs = Arcs(tables_of(case(device("b/cuda:0"), asked=asked).problem()))
    counts = np.isfinite(arcs.added.last)
    assert counts.any()
    assert bool(arcs.added.last[counts].any()) is (objective != "throughput")
    assert any(bool(wire.any()) for wire in arcs.added[2:]) is (objective != "throughput")
    assert (arcs.peaked is None) is (objective == "latency" and prompt != LONG_PROMPT)


def test_wires_are_paid_by_those_who_cross_them() -> None:
    """Every way has its part; the last stage finishes, and does not go back."""
    arcs = Arcs(tables_of(case(device("b/cuda:0")).problem()))
    cost = Cost(arcs.added.inner, arcs.added.last, *np.array([[1.0], [10.0], [100.0], [1000.0]]))
    assert cost.wire(entered=True, left=True).tolist() == [111.0]
    assert cost.wire(entered=False, left=True).tolist() == [101.0]
    assert cost.wire(entered=True, left=False).tolist() == [11.0]
    assert cost.wire_last(entered=True).tolist() == [1011.0]
    assert cost.wire_last(entered=False).tolist() == [1001.0]


def test_classes_keep_their_place() -> None:
    """Counts, far nodes, who has no wire and who may be first are those of the classes."""
    devices = [device(name) for name in ("a/cpu:0", "b/cuda:0", "c/cuda:0", "c/cuda:1", "d/cuda:0")]
    question = case(*devices, model=workload([50 * MB] * 3))
    first, pipeline = (Arcs(tables_of(question.problem(arrangement=one))) for one in SEVERAL)
    assert first.counts.tolist() == [1.0, 2.0, 2.0]
    assert (first.n_group, first.group.tolist()) == (1, [1, 1, 0])
    assert [first.beside(2, other) for other in range(3)] == [False, False, True]
    assert not first.beside(1, 1)
    assert (first.members.tolist(), first.mates.tolist()) == ([2], [[0]])
    assert first.paired.tolist() == [False, False, True]
    assert (first.free, pipeline.free) == ((0,), ())
    assert (first.opening, pipeline.opening) == ((0,), (1, 2))
    # The host is a worker on the loopback unless it is first; on the wire it costs alike.
    assert (first.added.turn > 0).all()


def test_a_model_of_one_block_has_no_inner_stages() -> None:
    """The only block stands beside the output head."""
    arcs = Arcs(tables_of(case(device("b/cuda:0"), model=workload([50 * MB])).problem()))
    assert (arcs.longest, arcs.added.inner.shape) == (1, (1, 1, 1))
    assert np.isinf(arcs.added.inner).all()
    assert np.isfinite(arcs.added.last).all()
