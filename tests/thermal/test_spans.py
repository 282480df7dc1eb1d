"""How sure a fit is."""

from __future__ import annotations

import numpy as np
import pytest

from hgx.thermal.clean import clean
from hgx.thermal.search import search
from hgx.thermal.spans import spans_of
from tests.thermal.made import CARD, twin, watched, work

SEEDS = range(8)


def test_spans_hold_the_truth() -> None:
    """Of simulated devices nearly always, and they are not wide."""
    held: list[bool] = []
    for seed in SEEDS:
        pieces, _ = clean(twin(seed=seed))
        spans = spans_of(pieces, search(pieces, 2))
        slow_r, slow_tau = spans.stages[1]
        for (low, high), true in (
            (spans.ambient_c, CARD.ambient_c),
            (spans.resistance_k_per_w, CARD.resistance_k_per_w),
            (slow_r, CARD.stages[1].resistance_k_per_w),
            (slow_tau, CARD.stages[1].tau_s),
        ):
            held.append(low <= true <= high)
            assert (high - low) / 2 < 0.15 * true
    assert np.mean(held) > 0.8


def test_steady_power_tells_nothing_of_resistances() -> None:
    """However well the model fits: the span is as wide as the number."""
    time, _ = work(400.0, np.random.default_rng(0))
    power = 400.0 + np.random.default_rng(0).normal(0.0, 5.0, len(time))
    pieces, _ = clean(watched(time, power, rise_k=np.array([12.0, 5.0])))
    found = search(pieces, 2)
    low, high = spans_of(pieces, found).resistance_k_per_w
    assert high - low > found.network.resistance_k_per_w


def test_errors_that_follow_each_other_count_less() -> None:
    """What the model lacks for long widens the spans; half a trace does too."""
    pieces, _ = clean(twin())
    found = search(pieces, 2)
    usual = spans_of(pieces, found)
    wave = 2 * np.sin(pieces[0].time_s / 20)
    off = [pieces[0]._replace(temperature_c=pieces[0].temperature_c + wave)]
    waving = spans_of(off, search(off, 2))
    assert waving.alike > 5 * usual.alike
    assert np.ptp(waving.ambient_c) > 3 * np.ptp(usual.ambient_c)


def test_no_errors_leave_no_doubt() -> None:
    """A fit without any error has spans of nothing."""
    pieces, _ = clean(twin())
    found = search(pieces, 1)
    perfect = found._replace(starts_k=np.zeros((1, 1)))
    zero = found.network._replace(
        stages=tuple(stage._replace(resistance_k_per_w=0.0) for stage in found.network.stages)
    )
    flat = [pieces[0]._replace(temperature_c=np.full_like(pieces[0].time_s, zero.ambient_c))]
    spans = spans_of(flat, perfect._replace(network=zero))
    assert spans.ambient_c == pytest.approx((zero.ambient_c, zero.ambient_c))
    assert spans.alike == 1.0
