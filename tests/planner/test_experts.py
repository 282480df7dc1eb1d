"""Experts in the host's memory: what that takes, what it costs, and when it is chosen."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.core.workload import Block, KvShape, Workload
from hgx.errors import Infeasible
from hgx.planner.alone import best_alone
from hgx.planner.evaluate import evaluate
from hgx.planner.experts import best_with_experts_away, with_experts_away
from hgx.planner.problem import Arrangement
from hgx.planner.solve import solve
from tests.planner.made import (
    MB,
    Case,
    case,
    device,
    objective_of,
    options,
    placement_of,
    workload,
)

SHARE = 1 / 8


def mixture(count: int = 8, experts: int = 360 * MB) -> Workload:
    """A model of equal blocks, most of each being experts of which a token uses an eighth."""
    one = Block(
        weight_bytes={"Q4_K": 40 * MB + experts},
        expert_bytes=experts,
        expert_share=SHARE,
        flops_per_token=4.0 * (40 * MB + SHARE * experts),
        attention_flops=1000.0,
        kv=KvShape(k_width=64, v_width=64),
        scratch=512,
    )
    return workload(blocks=[one] * count)


def question(card: int = 1500 * MB, ram: int = 8000 * MB, **changes: object) -> Case:
    """A card that is too small for the model, beside a CPU that is not."""
    asked = options().model_copy(update=changes)
    devices = (device("a/cuda:0", card, 1e12), device("a/cpu:0", ram, 5e10, 1e12))
    return case(*devices, model=mixture(), asked=asked)


def test_experts_stay_in_ram_where_the_card_is_too_small() -> None:
    """The card has all blocks and the CPU some experts, which beats giving it whole blocks."""
    plan = solve(*question())
    (stage,) = plan.stages
    assert (stage.device, stage.first_block, stage.last_block) == ("a/cuda:0", 0, 7)
    assert 0 < stage.experts_away < 8
    assert plan.host is not None
    assert plan.host.memory.weights_bytes == 20 * MB + stage.experts_away * 360 * MB
    together = solve(*question(cpu_experts=0))
    assert len(together.stages) == 2
    assert objective_of(plan) < objective_of(together)
    assert f"blocks 0 to {stage.experts_away - 1}" in " ".join(plan.why)


def test_no_more_than_must_are_away() -> None:
    """One block less would not fit into the card, and none is away from a card that holds all."""
    plan = solve(*question())
    away = plan.stages[0].experts_away
    problem = question().problem(arrangement=Arrangement.ALONE)
    fewer = [best_alone(one)[0] for one in with_experts_away(problem, away - 1)]
    assert fewer == [math.inf]
    assert solve(*question(card=9000 * MB)).stages[0].experts_away == 0


def test_a_plan_with_experts_away_evaluates_to_itself() -> None:
    """With the same number asked for, the placement gives the same plan."""
    plan = solve(*question())
    asked = question(cpu_experts=plan.stages[0].experts_away)
    again = evaluate(asked.registry, asked.workload, placement_of(plan), asked.options)
    assert (again.predicted, again.stages, again.host) == (plan.predicted, plan.stages, plan.host)


def test_the_number_can_be_given() -> None:
    """A wished number is kept to, also where fewer would do, and costs what it costs."""
    few, all_of_them = (solve(*question(cpu_experts=count)) for count in (5, 8))
    assert [plan.stages[0].experts_away for plan in (few, all_of_them)] == [5, 8]
    assert objective_of(few) < objective_of(all_of_them)


@pytest.mark.parametrize(
    ("name", "count"), [("a/cpu:0", 3), ("a/cuda:0", 9)], ids=["no card", "more than blocks"]
)
def test_what_cannot_be_is_refused(name: str, count: int) -> None:
    """Experts can be away from a card of the coordinator only, and no more than there are."""
    asked = question(card=9000 * MB, cpu_experts=count)
    with pytest.raises(Infeasible, match="--cpu-experts 0"):
        evaluate(asked.registry, asked.workload, [(name, 0, 7)], asked.options)


def test_ram_limits_them() -> None:
    """Where the host's memory does not hold them either, nothing is found."""
    problem = question(ram=900 * MB).problem(arrangement=Arrangement.ALONE)
    assert best_with_experts_away(problem).objective == math.inf


def test_dense_models_and_far_cards_have_none() -> None:
    """Without experts, and on another node's card, there is nothing to leave to the CPU."""
    dense = case(device("a/cuda:0"), device("a/cpu:0"))
    far = case(device("b/cuda:0", 1500 * MB), device("a/cpu:0", 8000 * MB), model=mixture())
    for asked in (dense, far):
        problem = asked.problem(arrangement=Arrangement.ALONE)
        assert list(with_experts_away(problem, 2)) == []


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 7))
def test_each_block_more_takes_longer_here(count: int) -> None:
    """On a CPU slower than the card, time grows and the card's memory shrinks block by block."""
    problem = question(card=9000 * MB).problem(arrangement=Arrangement.ALONE)
    (one,), (more,) = (with_experts_away(problem, away) for away in (count, count + 1))
    assert best_alone(one)[0] < best_alone(more)[0]
    assert one.footprint.weights.sum() - more.footprint.weights.sum() == 360 * MB
    assert more.footprint.host_weights - one.footprint.host_weights == 360 * MB
