"""Experts in the host's memory: what that takes, what it costs, and when it is chosen."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.core.workload import Block, KvShape, Workload
from hgx.errors import Infeasible
from hgx.gguf.arrangement import Arrangement
from hgx.planner.alone import best_alone
from hgx.planner.anatomy import Answer
from hgx.planner.evaluate import evaluate
from hgx.planner.experts import HANDOVER_S, mixture, roomiest, with_experts_away
from hgx.planner.forecast import forecast
from hgx.planner.problem import Question
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


def mixture_of_experts(count: int = 8, experts: int = 360 * MB) -> Workload:
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
    return case(*devices, model=mixture_of_experts(), asked=asked)


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
    assert best_alone(with_experts_away(problem, away - 1))[0] == math.inf
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


def fleet(count: int | None = None, *, far: float = 5e11) -> Case:
    """Two cards and a far one, which hold the model only without most of its experts."""
    devices = (
        device("a/cuda:0", 700 * MB, 1e12),
        device("a/cuda:1", 700 * MB, 8e11),
        device("b/cuda:0", 700 * MB, far),
        device("a/cpu:0", 8000 * MB, 5e10, 1e12),
    )
    asked = options().model_copy(update={"cpu_experts": count})
    return case(*devices, model=mixture_of_experts(), asked=asked)


def test_several_devices_share_a_model_whose_experts_are_away() -> None:
    """The cards have the blocks without experts in front, and the far one has whole blocks."""
    plan = solve(*fleet())
    assert plan.status == "optimal"
    away = [stage.experts_away for stage in plan.stages]
    lengths = [stage.last_block + 1 - stage.first_block for stage in plan.stages]
    assert plan.stages[0].device.startswith("a/")
    assert len(plan.stages) > 1
    assert plan.experts_away == sum(away) > 0
    assert all(gone <= length for gone, length in zip(away, lengths, strict=True))
    assert "a/cpu:0" not in [stage.device for stage in plan.stages]
    assert objective_of(plan) < objective_of(solve(*fleet(0)))


def test_several_devices_evaluate_to_themselves() -> None:
    """The plan, its placement with the number given, and the forecast of a request agree."""
    plan = solve(*fleet())
    asked = fleet(plan.experts_away)
    again = evaluate(asked.registry, asked.workload, placement_of(plan), asked.options)
    assert (again.predicted, again.stages, again.host) == (plan.predicted, plan.stages, plan.host)
    assert again.bound is not None
    assert plan.bound is not None
    assert again.bound.value <= plan.bound.value
    told = forecast(
        Question(*fleet()), Answer("a", placement_of(plan), experts_away=plan.experts_away)
    )
    assert plan.predicted is not None
    assert told.tpot_s == pytest.approx(plan.predicted.tpot_s)


def test_a_far_device_hands_over_through_the_network() -> None:
    """Its experts on the coordinator's CPU cost as much as a stage more for every block."""
    mixed = mixture(fleet().problem())
    assert mixed is not None
    assert mixed.problem.arrangement is Arrangement.IN_TURN
    names = [slot.device for slot in mixed.problem.slots]
    assert names == ["a/cuda:0", "a/cuda:1", "b/cuda:0"]
    far, near = mixed.away[2].decode, mixed.away[0].decode
    crossing = far.hop.turn + far.hop.enter + far.hop.leave
    assert crossing > 10 * HANDOVER_S
    assert (far.blocks - near.blocks)[:-1] == pytest.approx(
        crossing - HANDOVER_S + 40 * MB * (1 / 5e11 - 1 / 1e12), rel=0.01
    )


def test_experts_leave_room_on_a_device_and_take_it_on_the_host() -> None:
    """Between two numbers, devices hold what the larger leaves, the host what the smaller asks."""
    mixed = mixture(fleet().problem())
    assert mixed is not None
    whole, some = mixed.problem.footprint, mixed.between(2, 5).footprint
    assert (whole.weights - some.weights).tolist() == [360.0 * MB] * 5 + [0.0] * 4
    assert some.host_weights - whole.host_weights == 2 * 360 * MB
    times = [one.slots[0].decode.blocks for one in (mixed.problem, mixed.between(2, 5))]
    assert (times[1] > times[0]).tolist() == [True] * 2 + [False] * 7


@pytest.mark.parametrize(("ram", "held"), [(8000, 8), (1500, 4)])
def test_the_host_s_memory_limits_how_many(ram: int, held: int) -> None:
    """The roomiest problem leaves to the host what its memory holds; none fits into none."""
    one = roomiest(question(ram=ram * MB).problem(arrangement=Arrangement.ALONE))
    assert one is not None
    assert one.experts_away == held
    assert roomiest(question(ram=100 * MB).problem(arrangement=Arrangement.ALONE)) is None


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
    assert solve(*question(ram=900 * MB)).status == "infeasible"


def test_dense_models_and_far_cards_have_none() -> None:
    """Without experts, and on another node's card, there is nothing to leave to the CPU."""
    dense = case(device("a/cuda:0"), device("a/cpu:0"))
    far = case(
        device("b/cuda:0", 1500 * MB), device("a/cpu:0", 8000 * MB), model=mixture_of_experts()
    )
    for asked in (dense, far):
        for arrangement in (Arrangement.ALONE, Arrangement.PIPELINE):
            assert mixture(asked.problem(arrangement=arrangement)) is None
    assert mixture(question().problem(arrangement=Arrangement.HOST_FIRST)) is None


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 7))
def test_each_block_more_takes_longer_here(count: int) -> None:
    """On a CPU slower than the card, time grows and the card's memory shrinks block by block."""
    problem = question(card=9000 * MB).problem(arrangement=Arrangement.ALONE)
    one, more = (with_experts_away(problem, away) for away in (count, count + 1))
    assert best_alone(one)[0] < best_alone(more)[0]
    assert one.footprint.weights.sum() - more.footprint.weights.sum() == 360 * MB
    assert more.footprint.host_weights - one.footprint.host_weights == 360 * MB
