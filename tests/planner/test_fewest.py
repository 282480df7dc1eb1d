"""Fewer machines for little more time: which are left out, and what that is said to cost."""

from __future__ import annotations

import math

import pytest

from hgx.planner.candidate import Candidate
from hgx.planner.fewest import fewest
from hgx.planner.solve import solve
from hgx.planner.timer import Timer
from tests.planner.made import MB, Case, case, device, options, workload
from tests.planner.test_experts import mixture_of_experts


def three(tolerance: float | None) -> Case:
    """Three machines, of which the coordinator and one other hold the model a little slower."""
    devices = (
        device("a/cuda:0", 300 * MB, 5e11),
        device("b/cuda:0", 300 * MB, 4e11),
        device("c/cuda:0", 300 * MB, 1e12),
    )
    asked = options().model_copy(update={"node_tolerance": tolerance})
    return case(*devices, model=workload([50 * MB] * 10), asked=asked)


def machines(question: Case) -> tuple[set[str], str]:
    """Nodes of a plan's stages, and its last reason."""
    plan = solve(*question)
    return {stage.device.partition("/")[0] for stage in plan.stages}, plan.why[-1]


def test_no_machine_is_left_out_for_too_much_time() -> None:
    """Within no tolerance the fastest plan stays as it is."""
    fastest, _ = machines(three(None))
    assert len(fastest) == 2
    kept, why = machines(three(0.0))
    assert kept == fastest
    assert "fewer than" not in why


@pytest.mark.parametrize(("tolerance", "away"), [(0.0, True), (100.0, False)])
def test_a_far_machine_is_spared_where_that_costs_little(tolerance: float, *, away: bool) -> None:
    """The coordinator's slow card does it alone, if it may take so much longer."""
    devices = (device("a/cuda:0", 900 * MB, 1e10), device("b/cuda:0", 900 * MB, 1e12))
    asked = options().model_copy(update={"node_tolerance": tolerance})
    used, why = machines(case(*devices, model=workload([50 * MB] * 10), asked=asked))
    assert used == ({"b"} if away else {"a"})
    assert ("1 machine fewer than the fastest plan takes" in why) is not away


def test_experts_in_ram_spare_a_machine() -> None:
    """With them in the coordinator's RAM its card has all blocks, a little slower."""
    devices = (
        device("a/cuda:0", 1500 * MB, 1e12),
        device("b/cuda:0", 3000 * MB, 1e12),
        device("a/cpu:0", 8000 * MB, 4e10, 1e12),
    )
    question = case(*devices, model=mixture_of_experts())
    fastest = solve(*question)
    assert {stage.device for stage in fastest.stages} >= {"b/cuda:0"}
    lenient = question.options.model_copy(update={"node_tolerance": 100.0, "cpu_experts": 6})
    spared = solve(*question._replace(options=lenient))
    assert [stage.device for stage in spared.stages] == ["a/cuda:0"]
    assert spared.experts_away == 6
    wished = lenient.model_copy(update={"cpu_experts": None})
    assert {stage.device[0] for stage in solve(*question._replace(options=wished)).stages} == {"a"}


def test_without_time_what_was_not_tried_is_said() -> None:
    """The best stays, with a sentence."""
    devices = (device("a/cuda:0", 300 * MB), device("b/cuda:0", 900 * MB))
    question = case(*devices, model=workload([50 * MB] * 10))
    plan = solve(*question)
    placement = tuple((s.device, s.first_block, s.last_block) for s in plan.stages)
    best = Candidate(question.problem(), 1.0, placement)
    assert fewest(best, 0.5, Timer(lambda: 0.0, -math.inf)) == (
        best,
        "not all ways to do with fewer than 2 machines were tried",
    )
