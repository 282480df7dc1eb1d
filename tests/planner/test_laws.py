"""The laws of an optimum, whatever the search that finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner import cost, problem, sampling
from hgx.planner.solve import solve
from tests.planner.made import (
    Case,
    cases,
    link,
    optimum,
    placement_of,
    rates,
    with_devices,
    with_engine,
)

if TYPE_CHECKING:
    from hgx.core.registry import Device


@settings(max_examples=50, deadline=None)
@given(question=cases(devices=4, blocks=6), data=st.data())
def test_better_devices_never_make_it_worse(question: Case, data: st.DataObject) -> None:
    """More memory, bandwidth or arithmetic on any device costs the optimum nothing."""
    field = data.draw(
        st.sampled_from(
            ("memory_total_bytes", "memory_bandwidth_bytes_per_s", "compute_flops_per_s")
        )
    )
    devices = list(question.registry.devices)
    at = data.draw(st.integers(0, len(devices) - 1))
    factor = data.draw(st.sampled_from((2, 5)))
    devices[at] = devices[at].model_copy(update={field: factor * getattr(devices[at], field)})
    before = optimum(question)
    after = optimum(with_devices(question, devices))
    assert after <= before * (1 + 1e-8)


@settings(max_examples=50, deadline=None)
@given(question=cases(devices=4, blocks=6), data=st.data())
def test_names_and_order_do_not_matter(question: Case, data: st.DataObject) -> None:
    """With nodes renamed and everything listed in another order, the optimum is the same."""
    names = dict(zip("abc", data.draw(st.permutations("xyz")), strict=True))
    old = question.registry

    def renamed(one: Device) -> Device:
        node = names[one.node]
        return one.model_copy(update={"id": node + one.id[1:], "node": node})

    new = old.model_copy(
        update={
            "nodes": tuple(
                node.model_copy(update={"id": names[node.id]})
                for node in data.draw(st.permutations(old.nodes))
            ),
            "devices": tuple(renamed(one) for one in data.draw(st.permutations(old.devices))),
            "links": tuple(
                one.model_copy(update={"source": names[one.source], "target": names[one.target]})
                for one in data.draw(st.permutations(old.links))
            ),
        }
    )
    coordinator = question.options.coordinator
    asked = question.options.model_copy(update={"coordinator": coordinator and names[coordinator]})
    assert optimum(Case(new, question.workload, asked)) == pytest.approx(
        optimum(question), rel=1e-8
    )


@settings(max_examples=30, deadline=None)
@given(question=cases(devices=4, blocks=6), factor=st.sampled_from((0.25, 3.0)))
def test_a_faster_world_is_faster_by_its_factor(question: Case, factor: float) -> None:
    """With all rates times a factor and round trips divided by it, so is the optimum.

    The overhead of a block and the time to draw a token are constants, which are set to zero here;
    the loopback, whose defaults are constants too, is given by the registry.
    """
    old = question.registry
    loops = [link(node, node, 2e-4, 1e9) for node in "abc"]
    slow = old.model_copy(update={"links": (*old.links, *loops)})
    fast = slow.model_copy(
        update={
            "devices": tuple(
                one.model_copy(
                    update={
                        "memory_bandwidth_bytes_per_s": factor * one.memory_bandwidth_bytes_per_s,
                        "compute_flops_per_s": factor * one.compute_flops_per_s,
                    }
                )
                for one in slow.devices
            ),
            "links": tuple(
                one.model_copy(
                    update={
                        "rtt_s": one.rtt_s / factor,
                        "bandwidth_bytes_per_s": factor * one.bandwidth_bytes_per_s,
                    }
                )
                for one in slow.links
            ),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "BLOCK_OVERHEAD_S", 0.0)
        patch.setattr(problem, "COORDINATOR_S", 0.0)
        patch.setattr(sampling, "CPU_S", sampling.COORDINATOR_S)
        before = optimum(question._replace(registry=slow))
        after = optimum(question._replace(registry=fast))
    assert after == pytest.approx(before / factor, rel=1e-7)


@settings(max_examples=30, deadline=None)
@given(question=cases(devices=4, blocks=6))
def test_one_device_less_never_makes_it_better(question: Case) -> None:
    """A device need not be used: to take it away cannot help."""
    devices = question.registry.devices
    assume(len(devices) > 1)
    # A node's RAM is known by its devices, so that only cards can go without a trace.
    cards = [one for one in devices if one.backend == "cuda"]
    for card in cards:
        fewer = with_devices(question, (one for one in devices if one is not card))
        assert optimum(fewer) >= optimum(question) * (1 - 1e-8)


@settings(max_examples=20, deadline=None)
@given(question=cases(devices=4, blocks=6))
def test_the_same_question_has_the_same_answer(question: Case) -> None:
    """Asked twice, the placement is the same and not only the objective."""
    assert placement_of(solve(*question)) == placement_of(solve(*question))


@settings(max_examples=50, deadline=None)
@given(question=cases(devices=4, blocks=6), data=st.data())
def test_a_faster_engine_never_makes_it_worse(question: Case, data: st.DataObject) -> None:
    """Fewer seconds per byte of any type on any device cost the optimum nothing.

    The models have Q4_K and Q6_K, so that the others count only where they stand for those.
    """
    names = data.draw(st.sets(st.sampled_from(("Q4_0", "Q4_K", "Q6_K", "F16")), min_size=1))
    speeds = st.sampled_from((1e-12, 2e-11, 1e-10, 5e-10))
    devices = [
        with_engine(one, rates(**{name: data.draw(speeds) for name in sorted(names)}))
        for one in question.registry.devices
    ]
    before = optimum(with_devices(question, devices))
    at = data.draw(st.integers(0, len(devices) - 1))
    engine = devices[at].engine
    assert engine is not None
    name = data.draw(st.sampled_from(sorted(names)))
    faster = rates(**{name: engine.types[name].decode_s_per_byte / 3}).types
    update = {"types": {**engine.types, **faster}}
    devices[at] = with_engine(devices[at], engine.model_copy(update=update))
    assert optimum(with_devices(question, devices)) <= before * (1 + 1e-8)


@settings(max_examples=50, deadline=None)
@given(question=cases(devices=4, blocks=6))
def test_an_engine_as_fast_as_the_device_changes_nothing(question: Case) -> None:
    """Where the engine's rates are the device's own, the optimum is the same."""
    same = with_devices(question, [with_engine(one) for one in question.registry.devices])
    assert optimum(same) == pytest.approx(optimum(question), rel=1e-9)
