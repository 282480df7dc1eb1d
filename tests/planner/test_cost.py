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
    SAMPLE_BYTES,
    Hop,
    Wire,
    block_seconds,
    hop_seconds,
    wires_from,
)
from hgx.planner.work import Batch
from tests.planner.made import device, link, registry


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


def test_a_hop_pays_each_way_at_its_own_rate() -> None:
    """Four bytes per element go there and back; mask and positions go there only."""
    hop = hop_seconds(Wire(0.01, 1e6, 2e6), batch(tokens=3, times=5), n_embd=1000)
    assert hop.turn == pytest.approx(5 * (0.01 + 3 * (2 * 50 + 12) / 1e6))
    assert hop.enter == pytest.approx(5 * 3 * 4000 / 1e6)
    assert hop.leave == pytest.approx(5 * 3 * 4000 / 2e6)
    assert hop.finish == pytest.approx(5 * 2 * SAMPLE_BYTES / 2e6)


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
