"""A plan taken apart: the parts add up, and each is what its name says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from hgx.errors import Infeasible
from hgx.planner.anatomy import answer_of, dissect, links_of, price_answer
from hgx.planner.calibrate import Correction, Factor
from hgx.planner.evaluate import evaluate
from hgx.planner.problem import Question
from hgx.planner.solve import solve
from hgx.planner.work import measure_work
from tests.planner.made import (
    BACKENDS,
    MB,
    Case,
    block,
    case,
    cases,
    device,
    options,
    placements,
    rates,
    registry,
    with_devices,
    with_engine,
    workload,
)

if TYPE_CHECKING:
    from hgx.core.explanation import StageCost
    from hgx.core.plan import Plan

NEAR = 1e-9


def taken_apart(question: Question, plan: Plan) -> tuple[StageCost, ...]:
    """The stages of a plan."""
    answer = answer_of(plan)
    assert answer is not None
    return dissect(price_answer(question, answer))


def pinned(question: Case, *placement: tuple[str, int, int]) -> tuple[StageCost, ...]:
    """The stages of a placement."""
    plan = evaluate(question.registry, question.workload, placement, question.options)
    return taken_apart(Question(*question), plan)


@settings(max_examples=60, deadline=None)
@given(question=cases(devices=4), data=st.data())
def test_parts_add_up_to_the_plan(question: Case, data: st.DataObject) -> None:
    """Seconds of every stage, token and prompt are the plan's; bytes are the model's."""
    names = [one.id for one in question.registry.devices]
    engine = rates(Q4_K=2e-11, Q6_K=3e-11).model_copy(
        update={"stage_s": 1e-4, "decode_attention_s_per_flop": 1e-12, "head_s": 2e-4}
    )
    measured = data.draw(st.sets(st.sampled_from(names)))
    changed = (
        with_engine(one, engine) if one.id in measured else one for one in question.registry.devices
    )
    question = with_devices(question, changed)
    corrections = {
        name: Correction(Factor(1.3, 0.1, 5), Factor(0.8, 0.1, 5)) for name in sorted(measured)
    }
    every = list(placements(names, question.workload.n_block))
    placement = data.draw(st.sampled_from(every))
    try:
        plan = evaluate(
            question.registry,
            question.workload,
            placement,
            question.options,
            corrections=corrections,
        )
    except Infeasible:
        reject()
    assert plan.predicted is not None
    costs = taken_apart(Question(*question, corrections), plan)
    assert [cost.token.total_s for cost in costs] == pytest.approx(
        [stage.seconds_per_token for stage in plan.stages], rel=NEAR
    )
    assert sum(cost.token.total_s for cost in costs) == pytest.approx(
        plan.predicted.tpot_s, rel=NEAR
    )
    assert sum(cost.prompt.total_s for cost in costs) == pytest.approx(
        plan.predicted.ttft_s, rel=NEAR
    )
    assert not any(cost.token.work.away_s or cost.prompt.work.away_s for cost in costs)
    read = measure_work(question.workload, question.options).decode.read_bytes.sum()
    told = sum(cost.weights_bytes + cost.kv_bytes for cost in costs)
    assert told == pytest.approx(read, abs=2 * len(costs))


@settings(max_examples=30, deadline=None)
@given(question=cases(devices=4, backends=BACKENDS))
def test_links_add_up_to_the_stages(question: Case) -> None:
    """What links take together is what the wires of all stages take."""
    plan = solve(*question)
    assume(plan.status == "optimal")
    costs = taken_apart(Question(*question), plan)
    links = links_of("a", costs)
    for phase in ("token", "prompt"):
        assert sum(getattr(link, phase).total_s for link in links) == pytest.approx(
            sum(getattr(cost, phase).wire.total_s for cost in costs), rel=NEAR
        )
    crossed = [cost.traffic for cost in costs if cost.traffic]
    assert sum(link.traffic.there_bytes for link in links) == sum(
        one.there_bytes for one in crossed
    )
    assert sum(link.traffic.back_bytes for link in links) == sum(one.back_bytes for one in crossed)


def test_a_prompt_of_several_batches_adds_up() -> None:
    """The prompt's parts are of all its micro-batches, with the output head once."""
    question = case(device("b/cuda:0"), asked=options(ctx=2048, prompt_tokens=1300))
    plan = evaluate(question.registry, question.workload, [("b/cuda:0", 0, 3)], question.options)
    (cost,) = taken_apart(Question(*question), plan)
    assert plan.predicted is not None
    assert cost.prompt.total_s == pytest.approx(plan.predicted.ttft_s, rel=NEAR)
    assert cost.prompt.wire.round_trip_s == pytest.approx(3 * cost.token.wire.round_trip_s)


def test_reading_and_arithmetic_of_a_block_are_not_both_counted() -> None:
    """A block that computes for longer than it reads takes arithmetic only, and the other way."""
    slow = case(device("a/cuda:0", bandwidth=1e12, flops=1e9))
    (cost,) = pinned(slow, ("a/cuda:0", 0, 3))
    assert cost.token.work.weights_s == cost.token.work.kv_s == 0
    assert cost.token.work.arithmetic_s > 0
    (cost,) = pinned(case(device("a/cuda:0", bandwidth=1e9)), ("a/cuda:0", 0, 3))
    assert cost.token.work.weights_s > cost.token.work.kv_s > 0
    assert cost.token.work.arithmetic_s == 0


def test_reading_is_by_bytes() -> None:
    """Where one rate holds for all, weights and KV share the time as they share the bytes."""
    (cost,) = pinned(case(device("a/cuda:0", bandwidth=1e9)), ("a/cuda:0", 0, 3))
    work = cost.token.work
    assert work.weights_s == pytest.approx(cost.weights_bytes / 1e9)
    assert work.kv_s == pytest.approx(cost.kv_bytes / 1e9)
    assert cost.weights_bytes == 220 * MB


def test_what_crosses_a_wire() -> None:
    """Hidden states go in and out between far nodes, logits come home; nothing else counts."""
    question = case(device("b/cuda:0"), device("c/cuda:0"), device("a/cuda:0"))
    costs = pinned(question, ("b/cuda:0", 0, 1), ("a/cuda:0", 2, 2), ("c/cuda:0", 3, 3))
    first, own, last = costs
    assert own.traffic is None
    assert own.token.wire.total_s == 0
    assert first.traffic is not None
    assert last.traffic is not None
    hidden = 4 * question.workload.n_embd
    assert first.traffic.back_bytes == hidden
    control = first.traffic.there_bytes - hidden
    assert 0 < control == last.traffic.there_bytes - hidden
    assert last.traffic.back_bytes == 4 * question.workload.n_vocab
    assert first.token.wire.logits_s == 0 < first.token.wire.hidden_out_s
    assert last.token.wire.hidden_out_s == 0 < last.token.wire.logits_s
    assert last.token.wire.round_trip_s == pytest.approx(1e-3)


def test_neighbours_on_a_far_node_hand_over_for_nothing() -> None:
    """Between two stages of one far node hidden states cross no wire."""
    question = case(device("b/cuda:0"), device("b/cuda:1"))
    first, last = pinned(question, ("b/cuda:0", 0, 1), ("b/cuda:1", 2, 3))
    assert first.token.wire.hidden_in_s > first.token.wire.hidden_out_s == 0
    assert last.token.wire.hidden_in_s == 0
    assert first.traffic is not None
    assert first.traffic.back_bytes == 0


def test_what_is_drawn_far_away_crosses_instead_of_logits() -> None:
    """Over a slow link a far card draws tokens itself: few bytes come back."""
    slow = registry(device("b/cuda:0"), nodes=("a",), links=None)
    slow = slow.model_copy(
        update={
            "links": tuple(
                one.model_copy(update={"bandwidth_bytes_per_s": 1e5}) for one in slow.links
            )
        }
    )
    (cost,) = pinned(Case(slow, workload(n_vocab=100_000), options()), ("b/cuda:0", 0, 3))
    assert cost.traffic is not None
    assert cost.traffic.back_bytes == 226


def test_weights_on_disk_take_longer_than_their_parts() -> None:
    """What the disk takes beyond reading memory is a part of its own, and all adds up."""
    own = device("a/cpu:0", 130 * MB, bandwidth=1e11)
    known = registry(own, ram={"a": 130 * MB})
    node = known.nodes[0].model_copy(update={"disk_read_bytes_per_s": 1e9})
    question = Case(known.model_copy(update={"nodes": (node,)}), workload(), options())
    plan = solve(*question)
    assert plan.stages[0].memory.mapped_bytes > 0
    (cost,) = taken_apart(Question(*question), plan)
    assert cost.token.total_s == pytest.approx(plan.stages[0].seconds_per_token, rel=NEAR)
    assert cost.token.work.away_s > 0.9 * cost.token.total_s


@pytest.mark.parametrize(("cpu_bytes_per_s", "longer"), [(1e9, True), (1e15, False)])
def test_experts_in_ram_add_up(cpu_bytes_per_s: float, longer: bool) -> None:
    """Experts of a slow CPU are a part of their own; those of a quick one spare the card some."""
    mixture = block(100 * MB).model_copy(
        update={"expert_bytes": 80 * MB, "expert_share": 0.1, "flops_per_token": 1e8}
    )
    question = case(
        device("a/cuda:0", 260 * MB, 1e10),
        device("a/cpu:0", 2000 * MB, cpu_bytes_per_s, 1e16),
        model=workload(blocks=[mixture] * 4),
    )
    question = question._replace(options=question.options.model_copy(update={"cpu_experts": 3}))
    plan = solve(*question)
    assert plan.stages[0].experts_away == 3
    (cost,) = taken_apart(Question(*question), plan)
    assert cost.token.total_s == pytest.approx(plan.stages[0].seconds_per_token, rel=NEAR)
    assert (cost.token.work.away_s > 0) == longer


def test_a_plan_without_a_placement_is_no_answer() -> None:
    """What fits nowhere has nothing to take apart."""
    assert answer_of(solve(*case(device("b/cuda:0", 10 * MB)))) is None
