"""Served requests, and what tells rates apart."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hgx.core.served import rates_key
from tests.planner.made import device, rates, with_engine
from tests.planner.requests import NOON, request


def test_equal_rates_have_one_key() -> None:
    """Only what predictions rest on is told apart: bandwidth and arithmetic."""
    one = device("a/cuda:0")
    assert rates_key(one) == rates_key(device("b/cpu:1", memory=5))
    assert rates_key(one) != rates_key(device("a/cuda:0", bandwidth=1.1e11))
    assert rates_key(one) != rates_key(device("a/cuda:0", flops=1.1e13))


def test_with_the_engine_measured_only_that_counts() -> None:
    """A new measurement with the engine is another key; bandwidth, a build or a date are not."""
    one, other = (device("a/cuda:0", bandwidth=rate) for rate in (1e11, 2e11))
    measured = rates(Q4_K=1e-10)
    later = measured.model_copy(
        update={"engine": "llama.cpp 2", "measured_at": NOON + timedelta(days=1)}
    )
    assert rates_key(with_engine(one, measured)) == rates_key(with_engine(other, later))
    assert rates_key(with_engine(one, measured)) != rates_key(with_engine(one, rates(Q4_K=2e-10)))
    assert rates_key(with_engine(one, rates())) == rates_key(one)  # no type was measured


@pytest.mark.parametrize(("prompt", "cached", "fresh"), [(100, 0, 100), (100, 60, 40), (5, 9, 0)])
def test_fresh_tokens(prompt: int, cached: int, fresh: int) -> None:
    """What is not cached has to be computed, and never less than nothing."""
    one = request([(device("a/cuda:0"), 0.1)], tpot_s=None, prompt=prompt, cached=cached)
    assert one.fresh_tokens == fresh
