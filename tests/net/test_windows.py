"""Rates of bytes that arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.net.windows import WINDOW_S, Windows


def test_one_rate_per_window() -> None:
    """A window ends with the first bytes after its end; the last may be shorter."""
    windows = Windows(0)
    for now_s, count in ((0.05, 100), (0.1, 100), (0.2, 50), (0.25, 50)):
        windows.add(now_s, count)
    assert windows.rates() == pytest.approx([2000, 500, 1000])


def test_nothing_arrived() -> None:
    """Where nothing arrived there is no rate."""
    assert Windows(0).rates() == []


@given(st.lists(st.tuples(st.floats(1e-4, 1), st.integers(1, 10**6)), min_size=1))
def test_no_bytes_are_lost(steps: list[tuple[float, int]]) -> None:
    """Rates are above zero, and there are at most as many as windows fit into the time."""
    windows, now_s = Windows(0), 0.0
    for step_s, count in steps:
        now_s += step_s
        windows.add(now_s, count)
    rates = windows.rates()
    assert all(rate > 0 for rate in rates)
    assert 1 <= len(rates) <= now_s / WINDOW_S + 1
    assert min(rates) <= sum(count for _, count in steps) / now_s * (1 + 1e-6)
    assert max(rates) >= sum(count for _, count in steps) / now_s * (1 - 1e-6)
