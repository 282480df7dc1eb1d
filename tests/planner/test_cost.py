"""Seconds of blocks and of the wire."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.planner.cost import (
    BLOCK_OVERHEAD_S,
    LOOPBACK_BYTES_PER_S,
    LOOPBACK_RTT_S,
    Hop,
    Wire,
    block_seconds,
    hop_seconds,
    wires_from,
)
from hgx.planner.work import Batch, Kinds
from tests.planner.made import device, link, rates, registry, with_engine


def batch(*, reads: float = 1e9, flops: float = 1e9, tokens: int = 1, times: int = 1) -> Batch:
    """A batch of one block and the output head, which cost the same."""
    return Batch(np.array([reads] * 2), np.array([flops] * 2), tokens, 2, 50.0, times)


@given(
    reads=st.floats(0, 1e12),
    flops=st.floats(0, 1e15),
    bandwidth=st.floats(1e8, 1e13),
    rate=st.floats(1e8, 1e15),
    times=st.integers(1, 9),
)
def test_a_block_takes_the_longer_of_reading_and_computing(
    reads: float, flops: float, bandwidth: float, rate: float, times: int
) -> None:
    """Arithmetic and reads overlap; launching is paid on top, once per run."""
    seconds = block_seconds(
        device("a/cuda:0", bandwidth=bandwidth, flops=rate),
        batch(reads=reads, flops=flops, times=times),
    )
    expected = times * (max(reads / bandwidth, flops / rate) + BLOCK_OVERHEAD_S)
    assert seconds.tolist() == pytest.approx([expected] * 2)


KINDS = Kinds(
    ("Q4_K", "Q6_K"), np.array([[3e8, 0.0], [1e8, 5e8]]), np.array([[4e9, 0], [1e9, 7e9]])
)
MIXED = Batch(np.array([5e8, 5e8]), np.array([6e9, 7e9]), 1, 1, 50.0, 2, KINDS)


def test_each_type_is_read_at_its_own_rate() -> None:
    """Weights go at the engine's rates, KV at the device's, and the fixed costs come on top."""
    engine = rates(Q4_K=1e-10, Q6_K=3e-10).model_copy(
        update={"decode_layer_s": 0.01, "prefill_layer_s": 0.02, "head_s": 0.05}
    )
    card = with_engine(device("a/cuda:0", bandwidth=1e10, flops=1e12), engine)
    reads = [3e8 * 1e-10 + 1e8 * 3e-10 + 1e8 / 1e10, 5e8 * 3e-10]
    assert block_seconds(card, MIXED).tolist() == pytest.approx(
        [2 * (reads[0] + 0.01), 2 * (reads[1] + 0.05)]
    )
    prompt = MIXED._replace(prefill=True)
    assert block_seconds(card, prompt)[0] == pytest.approx(2 * (reads[0] + 0.02))


def test_many_tokens_are_computed_at_the_engines_rate() -> None:
    """Operations of each type go at the engine's rate, attention at the device's."""
    engine = rates(Q4_K=1e-10, Q6_K=3e-10)
    card = with_engine(device("a/cuda:0", bandwidth=1e15, flops=1e12), engine)
    heavy = MIXED._replace(flops=1e3 * MIXED.flops, kinds=KINDS._replace(flops=1e3 * KINDS.flops))
    expected = 2 * (4e12 * 1e-12 + 1e12 * 3e-12 + 1e12 / 1e12)
    assert block_seconds(card, heavy)[0] == pytest.approx(expected)


def test_looking_back_at_its_own_rate() -> None:
    """Measured attention has its reads in its rate; in a prompt it adds to the products."""
    engine = rates(Q4_K=1e-10, Q6_K=3e-10).model_copy(
        update={"decode_attention_s_per_flop": 2e-9, "prefill_attention_s_per_flop": 5e-10}
    )
    card = with_engine(device("a/cuda:0", bandwidth=1e10, flops=1e12), engine)
    weights, attention = 3e8 * 1e-10 + 1e8 * 3e-10, 1e9
    assert block_seconds(card, MIXED)[0] == pytest.approx(2 * (weights + attention * 2e-9))
    slow_memory = with_engine(device("a/cuda:0", bandwidth=1e7, flops=1e12), engine)
    assert block_seconds(slow_memory, MIXED)[0] == pytest.approx(2 * (weights + 1e8 / 1e7))
    prompt = MIXED._replace(prefill=True)
    products = 4e9 * 1e-12 + 1e9 * 3e-12
    expected = 2 * max(weights + 1e8 / 1e10, products + attention * 5e-10)
    assert block_seconds(card, prompt)[0] == pytest.approx(expected)


def test_without_a_measured_type_the_bandwidth_counts() -> None:
    """Fixed costs of the engine count even where no type was measured; a head costs a block's."""
    engine = rates().model_copy(update={"decode_layer_s": 0.01})
    card = with_engine(device("a/cuda:0", bandwidth=1e9, flops=1e12), engine)
    assert block_seconds(card, MIXED).tolist() == pytest.approx([2 * (0.5 + 0.01)] * 2)


def test_a_stage_takes_its_turn() -> None:
    """What the engine takes per stage is paid once per run, with the round trip."""
    wire = Wire(0.01, 1e6, 2e6)
    plain, slow = (hop_seconds(wire, batch(times=5), 1000, stage_s) for stage_s in (0.0, 0.002))
    assert slow.turn == pytest.approx(plain.turn + 5 * 0.002)
    assert slow[1:] == plain[1:]


def test_a_hop_pays_each_way_at_its_own_rate() -> None:
    """Four bytes per element go there and back; mask and positions go there only."""
    hop = hop_seconds(Wire(0.01, 1e6, 2e6), batch(tokens=3, times=5), n_embd=1000)
    assert hop.turn == pytest.approx(5 * (0.01 + 3 * (2 * 50 + 12) / 1e6))
    assert hop.enter == pytest.approx(5 * 3 * 4000 / 1e6)
    assert hop.leave == pytest.approx(5 * 3 * 4000 / 2e6)
    assert hop.finish == 0


def test_hops_scale_and_add_part_by_part() -> None:
    """Scaling and adding keep the parts apart; no hops add up to nothing."""
    assert Hop(1, 2, 3, 4).scaled(2) == Hop(2, 4, 6, 8)
    assert Hop.total([Hop(1, 2, 3, 4), Hop(10, 20, 30, 40)]) == Hop(11, 22, 33, 44)
    assert Hop.total([]) == Hop()


def test_a_link_counts_both_ways() -> None:
    """A link that is given in one direction serves the other one too, whichever it is."""
    for one in (link("a", "b", 0.002, 1e8), link("b", "a", 0.002, 1e8)):
        wires = wires_from(registry(nodes="ab", links=[one]), "a")
        assert wires["b"] == Wire(0.002, 1e8, 1e8)


def test_each_direction_has_its_own_rate() -> None:
    """Where both directions are given, rates differ and the round trip is their mean."""
    both = [link("a", "b", 0.002, 1e8), link("b", "a", 0.004, 3e8)]
    wires = wires_from(registry(nodes="ab", links=both), "a")
    assert wires["b"] == pytest.approx(Wire(0.003, 1e8, 3e8))


def test_only_linked_nodes_have_a_wire() -> None:
    """A node that only others have a link with is out of reach: traffic is a star."""
    wires = wires_from(registry(nodes="abc", links=[link("b", "c"), link("a", "b")]), "a")
    assert set(wires) == {"a", "b"}


def test_the_loopback_is_assumed_until_it_is_given() -> None:
    """The coordinator reaches itself by a default, or by its own link in the registry."""
    assumed = Wire(LOOPBACK_RTT_S, LOOPBACK_BYTES_PER_S, LOOPBACK_BYTES_PER_S)
    assert wires_from(registry(nodes="a"), "a") == {"a": assumed}
    given_one = registry(nodes="a", links=[link("a", "a", 1e-6, 1e10)])
    assert wires_from(given_one, "a") == {"a": Wire(1e-6, 1e10, 1e10)}
