"""A model on one device is on the best one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings

from hgx.gguf.arrangement import Arrangement
from hgx.planner.alone import best_alone
from hgx.planner.placement import total_objective
from tests.planner.by_hand import allowed
from tests.planner.made import MB, Case, case, cases, device, options, registry, workload


@settings(max_examples=80, deadline=None)
@given(question=cases(devices=5, coordinators=("a",), prompts=(100, 1300), wishes=True))
def test_no_single_device_is_better(question: Case) -> None:
    """Of all devices that hold the model and keep the wishes, none takes less."""
    problem = question.problem(arrangement=Arrangement.ALONE)
    one_by_one = {where: total_objective(problem, stages) for where, stages in allowed(problem)}
    objective, placement = best_alone(problem)
    assert objective == min(one_by_one.values(), default=math.inf)
    assert one_by_one.get(placement, math.inf) == objective
    assert bool(placement) == bool(one_by_one)


def alone(question: Case) -> str | None:
    """The device that has the model alone."""
    placement = best_alone(question.problem(arrangement=Arrangement.ALONE))[1]
    return placement[0][0] if placement else None


@pytest.mark.parametrize(
    ("max_nodes", "require", "where"),
    [
        (None, (), "c/cuda:0"),
        (None, ("b",), "b/cuda:0"),
        (None, ("b", "c"), None),
        (1, (), "a/cuda:0"),
        (1, ("b",), None),
    ],
)
def test_wishes_count(max_nodes: int | None, require: tuple[str, ...], where: str | None) -> None:
    """Whoever is required has it, and nobody far away where one machine may take part."""
    speeds = {"a/cuda:0": 1e11, "b/cuda:0": 5e11, "c/cuda:0": 1e12}
    devices = [device(name, bandwidth=speed) for name, speed in speeds.items()]
    asked = options(max_nodes=max_nodes, require=require)
    assert alone(case(*devices, asked=asked)) == where


def test_the_coordinator_needs_room_for_its_own_buffers() -> None:
    """Where the token embedding does not fit into the coordinator's RAM, nothing can be placed."""
    model = workload(embedding=300 * MB)
    for ram, where in ((200 * MB, None), (400 * MB, "b/cuda:0")):
        apart = registry(device("b/cuda:0"), nodes=("a",), ram={"a": ram})
        assert alone(Case(apart, model, options())) == where


def test_the_host_holds_a_tied_head_anyway() -> None:
    """On the coordinator's CPU a tied head takes no further memory, so that it may fit there."""
    for tied, where in ((True, "a/cpu:0"), (False, None)):
        model = workload([50 * MB], head=300 * MB, embedding=300 * MB, tied=tied)
        devices = (device("a/cpu:0", 420 * MB), device("b/cuda:0", 120 * MB))
        assert alone(case(*devices, model=model)) == where
