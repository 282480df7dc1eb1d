"""Stage tables: bytes and seconds of every run of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.gguf.arrangement import Arrangement
from hgx.planner.constraints import device_limits
from hgx.planner.placement import price, weighted
from hgx.planner.pools import Pool
from hgx.planner.tables import build_tables, stage_bytes, weighted_seconds
from tests.planner.made import MB, OBJECTIVES, block, case, device, options, workload

if TYPE_CHECKING:
    from hgx.core.plan import Objective
    from hgx.planner.problem import Problem
    from hgx.planner.tables import Tables


def tables_of(problem: Problem) -> Tables:
    """The tables of a problem with its own limits and pools."""
    return build_tables(problem, device_limits(problem), problem.pools)


@given(weights=st.lists(st.integers(1, 10**9), min_size=1, max_size=6), head=st.integers(0, 10**9))
def test_bytes_of_a_stage_are_those_of_its_blocks(weights: list[int], head: int) -> None:
    """Weights and KV add up, the largest scratch counts, and what crosses; the head comes last."""
    blocks = [
        block(weight).model_copy(update={"handed": 64 * index, "returned": 16 * index})
        for index, weight in enumerate(weights)
    ]
    model = workload(blocks=blocks, head=head)
    footprint = case(device("a/cuda:0"), model=model).problem().footprint
    inner, last = stage_bytes(footprint)
    n, taken = len(weights), footprint.weights + footprint.kv
    for begin in range(n + 1):
        for end in range(n + 1):
            run = slice(begin, end)
            expected = np.inf
            if begin < end:
                expected = taken[run].sum() + footprint.scratch[run].max() + footprint.inputs
                expected += footprint.entered[begin] + footprint.left[end - 1]
            assert inner[begin, end] == expected
        run = slice(begin, n + 1)
        expected = np.inf
        if begin < n:
            expected = taken[run].sum() + footprint.scratch[run].max() + footprint.inputs
            expected += footprint.entered[begin]
        assert last[begin] == expected


def test_equal_devices_are_a_class() -> None:
    """Devices that differ in no number are one class, in the order of their names."""
    equal = [device(f"{node}/cuda:0") for node in "cbd"]
    other = device("e/cuda:0", bandwidth=2e11)
    tables = tables_of(case(*equal, other).problem())
    assert [one.devices for one in tables.classes] == [
        ("b/cuda:0", "c/cuda:0", "d/cuda:0"),
        ("e/cuda:0",),
    ]


def test_devices_of_one_far_node_are_a_group() -> None:
    """Only remote nodes with several devices are groups: elsewhere no neighbour saves a wire."""
    names = ("a/cuda:0", "a/cuda:1", "b/cuda:0", "c/cuda:0", "c/cuda:1")
    tables = tables_of(case(*(device(name) for name in names)).problem())
    assert {one.group for one in tables.classes if one.group >= 0} == {0}
    assert {one.devices: one.group for one in tables.classes} == {
        ("a/cuda:0", "a/cuda:1"): -1,
        ("b/cuda:0",): -1,
        ("c/cuda:0", "c/cuda:1"): 0,
    }


def test_devices_without_room_for_a_block_are_left_out() -> None:
    """A device that holds no stage at all is in no class, and one without a limit neither."""
    problem = case(device("a/cuda:0"), device("b/cuda:0", MB), device("c/cuda:0")).problem()
    limits = device_limits(problem)
    del limits["c/cuda:0"]
    tables = build_tables(problem, limits)
    assert [one.devices for one in tables.classes] == [("a/cuda:0",)]


def test_devices_in_different_pools_are_different() -> None:
    """Devices are equal only if they share the same memory."""
    question = case(*(device(f"b/cpu:{index}") for index in range(3)))
    problem = question.problem()
    pools = (Pool(frozenset({"b/cpu:0", "b/cpu:1"}), 1000.0 * MB),)
    tables = build_tables(problem, device_limits(problem), pools)
    assert {one.devices for one in tables.classes} == {("b/cpu:0", "b/cpu:1"), ("b/cpu:2",)}
    assert tables.pools.sum(axis=1).tolist() == [1.0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_entries_agree_with_pricing(objective: Objective) -> None:
    """A stage costs in the tables what it costs when a placement with it is priced."""
    question = case(
        device("a/cpu:0"),
        device("b/cuda:0", bandwidth=2e11),
        device("b/cuda:1", bandwidth=3e11),
        model=workload([10 * MB, 40 * MB, 20 * MB], head=30 * MB),
        asked=options(objective),
    )
    problem = question.problem(arrangement=Arrangement.HOST_FIRST)
    class_of = {one.devices[0]: one for one in tables_of(problem).classes}
    host, near, far = (class_of[one.id] for one in question.registry.devices)
    stages = price(
        problem,
        (("a/cpu:0", 0, 0), ("b/cuda:0", 1, 1), ("b/cuda:1", 2, 2)),
        device_limits(problem),
    )
    seconds = [
        weighted(stage, problem.peak if problem.bottleneck else problem.total) for stage in stages
    ]
    assert seconds == pytest.approx(
        [
            host.inner[0, 1] + host.wire(first=True, entered=True, left=True),
            near.inner[1, 2] + near.wire(first=False, entered=True, left=False),
            far.last[2] + far.wire_last(first=False, entered=False),
        ]
    )
    assert host.wire_last(first=True, entered=True) == 0.0


def test_the_least_wire_is_a_lower_bound() -> None:
    """No way to use a device costs less on the wire than its least."""
    devices = [device(name) for name in ("a/cuda:0", "a/cpu:0", "b/cuda:0", "c/cuda:0", "c/cpu:0")]
    for one in tables_of(case(*devices).problem()).classes:
        entered_at_will = (True,) if one.group < 0 else (True, False)
        for first in (True, False):
            for entered in entered_at_will:
                assert one.least_wire <= one.wire_last(first=first, entered=entered)
                for left in entered_at_will:
                    wire = one.wire(first=first, entered=entered, left=left)
                    assert one.least_wire <= wire * (1 + 1e-12)


def test_memory_makes_entries_infinite() -> None:
    """A stage above the limit of its device costs infinitely much, with the head and without."""
    question = case(device("b/cuda:0", 130 * MB), model=workload([50 * MB] * 4, head=40 * MB))
    (only,) = tables_of(question.problem()).classes
    assert np.isfinite(only.inner[0, 2])
    assert np.isinf(only.inner[0, 3])
    assert np.isfinite(only.last[3])
    assert np.isinf(only.last[2])


def test_a_host_that_has_all_blocks_is_not_the_first_of_several() -> None:
    """Alone the engine keeps other buffers: the tables of several stages do not offer that."""
    question = case(device("a/cpu:0"), device("b/cuda:0"))
    host, other = tables_of(question.problem(arrangement=Arrangement.HOST_FIRST)).classes
    assert np.isfinite(host.last).tolist() == [False, True, True, True, False]
    assert np.isfinite(other.last).tolist() == [True, True, True, True, False]


def test_weighted_seconds_weigh_both_phases() -> None:
    """A slot's share of the objective is its prompt and its tokens, blocks and wire alike."""
    problem = case(device("b/cuda:0")).problem()
    slot = problem.slots[0]
    unit, hop = weighted_seconds(slot, problem.total)
    assert unit == pytest.approx(slot.prefill.blocks + 128 * slot.decode.blocks)
    assert hop.turn == pytest.approx(slot.prefill.hop.turn + 128 * slot.decode.hop.turn)
