"""From documents to numbers."""

from __future__ import annotations

import numpy as np
import pytest

from hgx.gguf.arrangement import Arrangement
from hgx.gguf.memory import compute_buffers, host_buffers, kv_bytes
from hgx.planner.calibrate import Correction, Factor
from hgx.planner.cost import Hop
from hgx.planner.problem import Pool, Problem, Question, Slot, build_problem
from hgx.planner.work import run_shape
from tests.planner.made import (
    MB,
    Case,
    case,
    device,
    link,
    options,
    rates,
    registry,
    with_engine,
    workload,
)


def slot_of(problem: Problem, name: str) -> Slot:
    """The slot of a device."""
    return next(slot for slot in problem.slots if slot.device == name)


def test_the_footprint_is_what_the_memory_formulas_say() -> None:
    """Weights, KV and scratch come per block with the output head last, all in bytes."""
    model, asked = workload([10 * MB, 30 * MB], head=5 * MB), options(ctx=1024, parallel=2)
    run = run_shape(asked)
    pipeline = Arrangement.PIPELINE
    compute, host = compute_buffers(model, run, pipeline), host_buffers(model, run, pipeline)
    footprint = case(device("a/cuda:0"), model=model, asked=asked).problem().footprint
    assert footprint.weights.tolist() == [10 * MB, 30 * MB, 5 * MB]
    assert footprint.kv.tolist() == [kv_bytes(part.kv, run) for part in model.blocks] + [0]
    assert footprint.scratch.tolist() == [*compute.blocks, compute.output]
    assert footprint.inputs == compute.inputs
    assert (footprint.entered.tolist(), footprint.left.tolist()) == (
        list(compute.entered),
        list(compute.left),
    )
    assert (footprint.host_weights, footprint.host_compute) == (host.weights, host.compute)


@pytest.mark.parametrize(("tied", "shared"), [(True, 20 * MB), (False, 0)])
def test_a_tied_head_shares_the_hosts_embedding(*, tied: bool, shared: int) -> None:
    """Only where output and embedding are one tensor does the host have the head anyway."""
    asked = case(device("a/cpu:0"), model=workload(tied=tied))
    assert asked.problem().footprint.shared_head == shared


def test_where_a_device_stands_decides_its_wire() -> None:
    """A card of the coordinator has no wire, its CPU has the loopback, other nodes their link."""
    asked = case(device("a/cuda:0"), device("a/cpu:0"), device("b/cuda:0"))
    problem = asked.problem()
    card, host, far = (slot_of(problem, one.id) for one in asked.registry.devices)
    assert (card.on_host, card.remote, card.decode.hop) == (False, False, Hop())
    assert (host.on_host, host.remote) == (True, False)
    assert (far.on_host, far.remote) == (False, True)
    assert far.decode.hop.turn > host.decode.hop.turn > 0
    assert far.prefill.hop.enter == pytest.approx(100 * far.decode.hop.enter)


def test_the_head_runs_once_per_prompt() -> None:
    """Prefill runs the blocks for every micro-batch, and the output head for the last token."""
    long = options(prompt_tokens=1536, ctx=4096)
    short = options(prompt_tokens=512, ctx=4096)
    thrice, once = (
        case(device("a/cuda:0"), asked=asked).problem().slots[0].prefill.blocks
        for asked in (long, short)
    )
    assert thrice[-1] == once[-1]
    assert (thrice[:-1] > 2.9 * once[:-1]).all()


def test_capacity_is_what_is_free_without_the_headroom() -> None:
    """Free memory counts where it is known, never more than all, and never below zero."""
    question = case(
        device("a/cuda:0", 900 * MB, free=300 * MB),
        device("a/cuda:1", 900 * MB),
        device("a/cuda:2", 50 * MB),
        asked=options().model_copy(update={"headroom_bytes": 100 * MB}),
    )
    assert [slot.capacity for slot in question.problem().slots] == [200 * MB, 800 * MB, 0]


def test_a_node_without_a_link_is_out_of_reach() -> None:
    """Devices that the coordinator has no link with are listed, not planned with."""
    lonely = registry(device("a/cuda:0"), device("b/cuda:0"), links=[])
    problem = Case(lonely, workload(), options()).problem()
    assert [slot.device for slot in problem.slots] == ["a/cuda:0"]
    assert problem.unreachable == ("b/cuda:0",)


def test_unified_memory_is_one_pool() -> None:
    """A CPU and the device that shares its memory have the larger of both together."""
    question = case(device("b/cpu:0", 500 * MB), device("b/metal:0", 400 * MB, unified=True))
    together = frozenset(("b/cpu:0", "b/metal:0"))
    assert question.problem().pools == (Pool(together, 500 * MB),)


def test_a_card_of_its_own_is_in_no_pool() -> None:
    """Memory on a card is no part of the node's RAM."""
    assert case(device("a/cuda:0")).problem().pools == ()


def test_cpus_of_one_node_add_up_to_its_ram() -> None:
    """Two CPUs have the memory of both, and no more than the node's RAM where it is known."""
    cpus = (device("b/cpu:0", 300 * MB), device("b/cpu:1", 300 * MB))
    names = frozenset(one.id for one in cpus)
    for ram, capacity in ({}, 600 * MB), ({"b": 450 * MB}, 450 * MB):
        problem = Case(registry(*cpus, nodes="a", ram=ram), workload(), options()).problem()
        assert problem.pools == (Pool(names, capacity),)


def test_the_coordinators_pool_is_smaller_by_its_buffers() -> None:
    """Token embedding and host buffers come first in the coordinator's RAM, nowhere else."""
    question = case(device("a/cpu:0", 800 * MB), device("b/cpu:0", 800 * MB))
    problem = question.problem()
    capacity = {min(pool.devices): pool.capacity for pool in problem.pools}
    own = problem.footprint.host_weights + problem.footprint.host_compute
    assert capacity == {"a/cpu:0": 800 * MB - own, "b/cpu:0": 800 * MB}
    assert problem.host_capacity == 800 * MB


def test_ram_of_which_nothing_is_known_bounds_nothing() -> None:
    """Without a CPU and without a size of its RAM, the coordinator is taken to have enough."""
    assert case(device("b/cuda:0")).problem().host_capacity is None


def test_objectives_weigh_the_phases() -> None:
    """Latency is the prompt and every token of the answer; throughput is one token."""
    latency, throughput = (
        case(device("a/cuda:0"), asked=options(objective)).problem()
        for objective in ("latency", "throughput")
    )
    assert (latency.total, latency.peak) == ((1.0, 128.0), (0.0, 0.0))
    assert (throughput.total, throughput.peak) == ((0.0, 0.0), (0.0, 1.0))
    assert (latency.bottleneck, throughput.bottleneck) == (False, True)


def test_a_slower_link_only_slows_the_wire() -> None:
    """Seconds of blocks do not depend on where a device stands."""
    near, far = (
        Case(
            registry(device("b/cuda:0"), nodes="a", links=[link("a", "b", rtt_s)]),
            workload(),
            options(),
        )
        .problem()
        .slots[0]
        for rtt_s in (1e-4, 1e-2)
    )
    assert np.array_equal(near.decode.blocks, far.decode.blocks)
    assert near.decode.hop.turn < far.decode.hop.turn


def test_a_correction_stretches_what_its_device_does() -> None:
    """Blocks take as many times as long as served requests did; wires and others stay."""
    question = case(device("a/cuda:0"), device("b/cuda:0"))
    plain = question.problem()
    learnt = {"b/cuda:0": Correction(Factor(1.5), Factor(0.5))}
    mended = build_problem(Question(*question, learnt), "a")
    assert np.array_equal(mended.slots[0].decode.blocks, plain.slots[0].decode.blocks)
    was, now = plain.slots[1], mended.slots[1]
    assert np.allclose(now.decode.blocks, 1.5 * was.decode.blocks)
    assert np.allclose(now.prefill.blocks, 0.5 * was.prefill.blocks)
    assert (now.decode.hop, now.prefill.hop) == (was.decode.hop, was.prefill.hop)


def test_only_stages_on_a_wire_pay_for_it() -> None:
    """What the engine takes per remote stage is part of its wire, and a card at home has none."""
    engine = rates(Q4_K=1e-10).model_copy(update={"stage_s": 0.5})
    cards = [device("a/cuda:0"), device("b/cuda:0")]
    near, far = case(*(with_engine(one, engine) for one in cards)).problem().slots
    assert near.decode.hop == Hop()
    plain = case(*cards).problem().slots[1]
    assert far.decode.hop.turn == pytest.approx(plain.decode.hop.turn + 0.5)
    assert far.prefill.hop.turn == pytest.approx(plain.prefill.hop.turn + 0.5)


def test_elsewhere_a_device_is_a_worker() -> None:
    """On another node the rates behind an rpc server count, at home the others."""
    engine = rates(F16=1e-10).model_copy(update={"worker_types": rates(F16=4e-10).types})
    cards = (device("a/cuda:0"), device("b/cuda:0"))
    near, far = case(*(with_engine(one, engine) for one in cards)).problem().slots
    assert far.decode.blocks.sum() > 3 * near.decode.blocks.sum()
