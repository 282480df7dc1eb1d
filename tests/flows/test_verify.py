"""Predicted against measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.served import Expected
from hgx.flows.verify import verify
from tests.planner.made import device
from tests.planner.requests import request

ONE, OTHER = device("a/cuda:0"), device("b/cuda:0")


def test_an_empty_ledger() -> None:
    """Of nothing, nothing is said."""
    assert verify([]) == ((), None, None)


def test_models_and_placements_are_told_apart() -> None:
    """Each model with each placement is a group; that which served last comes last."""
    requests = [
        request([(ONE, 0.01)], tpot_s=0.01),
        request([(ONE, 0.01), (OTHER, 0.01)], tpot_s=0.01),
        request([(ONE, 0.01)], tpot_s=0.01, model="another"),
        request([(ONE, 0.02)], tpot_s=0.01),
    ]
    groups = verify(requests).groups
    assert [(group.model, group.requests, len(group.placement)) for group in groups] == [
        ("a model", 1, 2),
        ("another", 1, 1),
        ("a model", 2, 1),
    ]
    assert groups[0].placement == (("a/cuda:0", 0, 0), ("b/cuda:0", 1, 1))


def test_medians_and_quartiles() -> None:
    """Times are compared request by request; errors have the sign of what took longer."""
    took = (0.009, 0.010, 0.011, 0.012, 0.050)
    requests = [request([(ONE, 0.01)], tpot_s=it, ttft_s=0.2) for it in took]
    found = verify(requests)
    (group,) = found.groups
    assert group.tpot
    assert group.ttft
    assert (group.tpot.requests, group.tpot.predicted_s, group.tpot.measured_s) == (5, 0.01, 0.011)
    assert group.tpot.ratio == pytest.approx(1.1)
    assert group.tpot.quartiles == pytest.approx((0.0, 0.2))
    assert (group.ttft.predicted_s, group.ttft.ratio) == pytest.approx((0.1, 2.0))
    assert found.promised
    assert found.promised.median == pytest.approx(0.1)
    assert found.promised.p90 == pytest.approx(0.2 + 0.6 * (4.0 - 0.2))


def test_what_was_promised_is_what_counts() -> None:
    """Users are told corrected predictions; what they were without is beside it."""
    one = request([(ONE, 0.01)], tpot_s=0.02)
    mended = one.model_copy(update={"promised": Expected(ttft_s=0.1, tpot_s=0.02)})
    found = verify([mended])
    assert found.promised == (1, 0.0, 0.0)
    assert found.uncorrected == (1, 1.0, 1.0)
    assert found.groups[0].tpot
    assert found.groups[0].tpot.ratio == 1.0


def test_what_was_not_measured_is_left_out() -> None:
    """An answer of one token has no time per token, and a group may have none at all."""
    found = verify([request([(ONE, 0.01)], tpot_s=None, ttft_s=0.1)])
    (group,) = found.groups
    assert group.tpot is None
    assert group.ttft
    assert found.promised is None
    assert found.uncorrected is None


@given(took=st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=30))
def test_errors_are_ordered(took: list[float]) -> None:
    """Quartiles surround the median error, and the 90th percentile is above it."""
    found = verify([request([(ONE, 0.01)], tpot_s=it) for it in took])
    quantity = found.groups[0].tpot
    assert quantity
    low, high = quantity.quartiles
    assert low - 1e-9 <= quantity.ratio - 1 <= high + 1e-9
    assert found.promised
    assert found.promised.median <= found.promised.p90 + 1e-9
