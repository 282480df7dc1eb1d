"""Registries with more of one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.explanation import Binding
from hgx.planner.anatomy import answer_of, price_answer
from hgx.planner.changes import more_memory, promising
from hgx.planner.problem import Question
from hgx.planner.solve import solve
from hgx.units import GIB
from tests.planner.made import MB, Case, case, device, link, rates, registry, with_engine

if TYPE_CHECKING:
    from hgx.core.explanation import Binds
    from hgx.core.registry import Device
    from hgx.planner.changes import Change


def changes(question: Case, *binds: Binding, search: bool = True) -> list[Change]:
    """What is proposed for the best plan."""
    answer = answer_of(solve(*question))
    assert answer is not None
    return list(promising(price_answer(Question(*question), answer), binds, search=search))


def bound(kind: Binds, subject: str, share: float = 0.5) -> Binding:
    """Something that takes a share."""
    return Binding(kind=kind, subject=subject, share=share)


def changed_device(change: Change, name: str) -> Device:
    """A device as it is in the changed registry."""
    return next(one for one in change.registry.devices if one.id == name)


@given(size=st.integers(1, 2**45))
def test_the_memory_proposed_is_a_quarter_or_a_little_more(size: int) -> None:
    """A power of two, at least a quarter of what there is and less than half of it."""
    extra = more_memory(size)
    assert extra & (extra - 1) == 0
    assert size / 4 <= extra + 1
    assert extra < max(2, size / 2 + 1)


def test_examples_of_more_memory() -> None:
    """16 GiB become 20, 24 become 32."""
    assert more_memory(16 * GIB) == 4 * GIB
    assert more_memory(24 * GIB) == 8 * GIB


def test_memory_is_proposed_where_not_all_fits() -> None:
    """A device that could hold the whole model needs no more; those in use come first."""
    question = case(
        device("c/cuda:0", 130 * MB, 1e9),
        device("b/cuda:0", 170 * MB),
        device("a/cuda:0", 1000 * MB, 2e9),
    )
    found = changes(question)
    assert [change.subject for change in found] == ["b/cuda:0", "c/cuda:0"]
    grown = changed_device(found[0], "b/cuda:0")
    assert grown.memory_total_bytes == 170 * MB + (found[0].extra_bytes or 0)
    assert changes(question, search=False) == []


def test_more_ram_is_there_for_all_that_is_in_it() -> None:
    """With a unified device's memory its CPU's grows, and what is known of the node's RAM."""
    known = registry(
        device("a/metal:0", 150 * MB, unified=True, free=140 * MB),
        device("a/cpu:0", 150 * MB, 1e10),
        device("a/cuda:0", 150 * MB, 2e10),
        device("b/cuda:0", 1000 * MB, 1e9),
        ram={"a": 160 * MB},
    )
    question = case()._replace(registry=known)
    change = next(one for one in changes(question) if one.subject == "a/metal:0")
    extra = change.extra_bytes or 0
    assert changed_device(change, "a/metal:0").memory_free_bytes == 140 * MB + extra
    assert changed_device(change, "a/cpu:0").memory_total_bytes == 150 * MB + extra
    assert changed_device(change, "a/cuda:0").memory_total_bytes == 150 * MB
    assert change.registry.nodes[0].ram_total_bytes == 160 * MB + extra
    assert change.registry.nodes[0].ram_free_bytes is None
    card = next(one for one in changes(question) if one.subject == "a/cuda:0")
    assert card.registry.nodes == known.nodes


@pytest.mark.parametrize(
    ("kind", "same", "field"),
    [
        ("bandwidth", "compute_flops_per_s", "memory_bandwidth_bytes_per_s"),
        ("arithmetic", "memory_bandwidth_bytes_per_s", "compute_flops_per_s"),
    ],
)
def test_twice_a_rate(kind: Binds, same: str, field: str) -> None:
    """The one rate doubles, also as the engine was measured, and the other stays."""
    engine = rates(Q4_K=4e-11).model_copy(
        update={
            "worker_types": rates(Q4_K=8e-11).types,
            "decode_attention_s_per_flop": 2e-12,
            "prefill_attention_s_per_flop": 2e-12,
        }
    )
    old = with_engine(device("b/cuda:0"), engine)
    (change,) = changes(case(old), bound(kind, "b/cuda:0"))
    new = changed_device(change, "b/cuda:0")
    assert getattr(new, field) == 2 * getattr(old, field)
    assert getattr(new, same) == getattr(old, same)
    assert new.engine is not None
    decode, prefill = (2, 1) if kind == "bandwidth" else (1, 2)
    for before, after in (
        (engine.types, new.engine.types),
        (engine.worker_types, new.engine.worker_types),
    ):
        assert after["Q4_K"].decode_s_per_byte == before["Q4_K"].decode_s_per_byte / decode
        assert after["Q4_K"].prefill_s_per_flop == before["Q4_K"].prefill_s_per_flop / prefill
    assert new.engine.decode_attention_s_per_flop == 2e-12 / decode
    assert new.engine.prefill_attention_s_per_flop == 2e-12 / prefill


def test_a_link_twice_as_fast_is_so_both_ways() -> None:
    """Round trip and rates of both directions change, other links do not."""
    known = registry(
        device("b/cuda:0"),
        nodes=("a", "c"),
        links=[link("a", "b", 2e-3, 1e7), link("b", "a", 4e-3, 2e7), link("a", "c", 2e-3, 1e7)],
    )
    (change,) = changes(case()._replace(registry=known), bound("link", "b"))
    assert [(one.rtt_s, one.bandwidth_bytes_per_s) for one in change.registry.links] == [
        (1e-3, 2e7),
        (2e-3, 4e7),
        (2e-3, 1e7),
    ]


def test_what_hardly_counts_or_cannot_be_bought_is_not_proposed() -> None:
    """Small shares, launching, drawing, the own loopback and full memories give no change."""
    question = case(device("b/cuda:0"))
    full = Binding(kind="memory", subject="b/cuda:0", share=None, left_bytes=0)
    binds = [
        bound("bandwidth", "b/cuda:0", 0.001),
        bound("launch", "b/cuda:0"),
        bound("sampling", "b/cuda:0"),
        bound("link", "a"),
        full,
    ]
    assert changes(question, *binds) == []
