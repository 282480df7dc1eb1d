"""What a device can keep up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.thermal.activity import Power
from hgx.thermal.rc import Network, steady_c, steady_rise, step, temperature_c
from hgx.thermal.sustained import Work, kept_share, peak_c, sustained
from tests.thermal.made import CARD, networks, parameters

DEVICE = parameters(CARD)
BUSY, IDLE = Power(690.0), Power(75.0)
WORK = Work(BUSY, IDLE)
LIMITS = st.floats(20.0, 80.0)


@given(LIMITS)
def test_the_steady_temperature_stays_at_the_limit(limit_c: float) -> None:
    """At it where there is a choice, below it with full work, above it even at rest."""
    duty = sustained(DEVICE, limit_c, WORK).duty
    reached_c = steady_c(CARD, duty * BUSY.power_w + (1 - duty) * IDLE.power_w)
    if 0 < duty < 1:
        assert reached_c == pytest.approx(limit_c)
    elif duty == 1:
        assert reached_c <= limit_c
    else:
        assert reached_c >= limit_c - 1e-6


@given(LIMITS, st.floats(0.1, 60.0))
@settings(max_examples=30)
def test_turns_of_work_and_rest_never_exceed_it(limit_c: float, period_s: float) -> None:
    """Gone through turn after turn; longer turns leave less."""
    duty = sustained(DEVICE, limit_c, Work(BUSY, IDLE, period_s)).duty
    assert duty <= sustained(DEVICE, limit_c, WORK).duty + 1e-9
    if not 0 < duty < 1:
        return
    state = steady_rise(CARD, duty * BUSY.power_w + (1 - duty) * IDLE.power_w)
    hottest_c = 0.0
    for _ in range(round(600 / period_s) + 20):
        state = step(CARD, state, BUSY.power_w, duty * period_s)
        hottest_c = float(temperature_c(CARD, state))
        state = step(CARD, state, IDLE.power_w, (1 - duty) * period_s)
    assert hottest_c == pytest.approx(limit_c, abs=0.01)


@given(networks(), st.floats(0, 1), st.floats(0.0, 100.0))
def test_the_peak_is_between_rest_and_work(network: Network, duty: float, period_s: float) -> None:
    """And at both ends exactly that."""
    rest_c, work_c = (peak_c(network, share, 50.0, 5.0, period_s) for share in (0.0, 1.0))
    assert rest_c == pytest.approx(steady_c(network, 5.0))
    assert work_c == pytest.approx(steady_c(network, 50.0))
    assert rest_c - 1e-9 <= peak_c(network, duty, 50.0, 5.0, period_s) <= work_c + 1e-9


def test_what_is_not_sure_widens_the_interval() -> None:
    """Of resistances, of the ambient, and of the power."""
    sure = sustained(DEVICE, 50.0, WORK)
    assert sure.low == sure.duty == sure.high
    unsure = DEVICE.model_copy(
        update={"resistance_span_k_per_w": (0.06, 0.075), "ambient_span_c": (18.0, 21.0)}
    )
    found = sustained(unsure, 50.0, Work(Power(690.0, 10.0, "guessed"), IDLE))
    assert found.low < found.duty < found.high
    assert found.doubt == "guessed"
    assert found.duty == sure.duty


def test_a_warmer_day_leaves_less() -> None:
    """What the device is warmer than its model says counts."""
    assert sustained(DEVICE, 50.0, WORK, bias_c=5.0).duty < sustained(DEVICE, 50.0, WORK).duty


@given(LIMITS, st.floats(1.0, 1e4))
@settings(max_examples=30)
def test_a_shorter_run_keeps_more(limit_c: float, duration_s: float) -> None:
    """From everything at once to what can be kept up for ever."""
    share = kept_share(DEVICE, limit_c, WORK, duration_s)
    longer = kept_share(DEVICE, limit_c, WORK, 3 * duration_s)
    ever = sustained(DEVICE, limit_c, WORK).duty
    assert ever - 1e-6 <= longer + 1e-3
    assert longer <= share + 1e-3
    assert share <= 1.0


def test_in_the_long_run_it_is_what_is_sustained() -> None:
    """And at once all of it, or from a hot start less."""
    assert kept_share(DEVICE, 50.0, WORK, 0.0) == 1.0
    assert kept_share(DEVICE, 50.0, WORK, 5.0) == 1.0
    ever = sustained(DEVICE, 50.0, WORK).duty
    assert kept_share(DEVICE, 50.0, WORK, 1e5) == pytest.approx(ever, abs=0.005)
    hot = kept_share(DEVICE, 50.0, WORK, 60.0, np.array([20.0, 20.0]))
    assert hot < kept_share(DEVICE, 50.0, WORK, 60.0)


def test_a_device_that_is_too_hot_at_rest_does_nothing() -> None:
    """However long."""
    assert kept_share(DEVICE, 20.0, WORK, 100.0) == 0.0
    assert sustained(DEVICE, 20.0, WORK).duty == 0.0


@pytest.mark.parametrize("rest_w", [690.0, 700.0])
def test_rest_that_does_not_cool_is_no_way(rest_w: float) -> None:
    """Where rest is taken to draw what work does, nothing keeps a limit that work exceeds."""
    assert kept_share(DEVICE, 50.0, Work(BUSY, Power(rest_w)), 1e5) < 0.01
    assert kept_share(DEVICE, 90.0, Work(BUSY, Power(690.0)), 1e5) == 1.0
