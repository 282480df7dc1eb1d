"""The two ways in which stages add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.planner import semiring
from hgx.planner.semiring import append, combine

if TYPE_CHECKING:
    from numpy.typing import NDArray

costs = st.one_of(st.floats(0, 10), st.just(np.inf))


@st.composite
def products(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Costs of some states, and a strictly upper stage table of the same width."""
    width, states = draw(st.integers(2, 5)), draw(st.integers(1, 4))
    cost = draw(st.lists(costs, min_size=states * width, max_size=states * width))
    table = draw(st.lists(costs, min_size=width * width, max_size=width * width))
    square = np.array(table).reshape(width, width)
    upper = np.where(np.triu(np.ones_like(square), 1) > 0, square, np.inf)
    return np.array(cost).reshape(states, width), upper


def test_combine_adds_or_takes_the_larger() -> None:
    """Seconds of two stages add up under latency; under throughput the slower one counts."""
    one, other = np.array([1.0, 5.0]), np.array([2.0, 3.0])
    assert combine(one, other, bottleneck=False).tolist() == [3.0, 8.0]
    assert combine(one, other, bottleneck=True).tolist() == [2.0, 5.0]


@pytest.mark.parametrize("chunk", [1, semiring.CHUNK])
@pytest.mark.parametrize("bottleneck", [False, True])
@given(product=products())
def test_append_is_the_product_of_the_semiring(
    product: tuple[NDArray[np.float64], NDArray[np.float64]], *, bottleneck: bool, chunk: int
) -> None:
    """Every entry is the least combination over all places to cut, in chunks of any size."""
    cost, table = product
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(semiring, "CHUNK", chunk)
        out = append(cost, table, bottleneck=bottleneck)
    width = len(table)
    for row, done in zip(out, cost, strict=True):
        pairs = [[(float(done[b]), float(table[b, e])) for b in range(width)] for e in range(width)]
        assert row.tolist() == [
            min(max(pair) if bottleneck else sum(pair) for pair in column) for column in pairs
        ]
