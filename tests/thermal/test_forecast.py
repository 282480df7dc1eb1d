"""Temperatures to come, and when a limit is reached."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.thermal import ForecastError, ThermalParameters
from hgx.thermal.activity import Power
from hgx.thermal.drift import Seen, begin, observe
from hgx.thermal.forecast import forecast, time_to_limit
from hgx.thermal.rc import steady_c
from tests.thermal.made import BUSY_W, CARD, IDLE_W, parameters

DEVICE = parameters(CARD)
IDLE_C = steady_c(CARD, IDLE_W)
IDLE = begin(DEVICE, Seen(0.0, IDLE_C, IDLE_W))
BUSY = Power(BUSY_W)
LOST = observe(DEVICE, IDLE, Seen(20.0, None, IDLE_W))


def test_it_begins_where_the_device_is_and_ends_where_it_will_be() -> None:
    """From idle to the steady temperature of what is planned; the bias stays."""
    ahead = [0.0, 1e5]
    expected = [IDLE_C, steady_c(CARD, BUSY_W)]
    assert forecast(DEVICE, IDLE, BUSY, ahead).temperature_c == pytest.approx(expected)
    warmer = IDLE._replace(bias_c=4.0)
    found = forecast(DEVICE, warmer, BUSY, ahead)
    assert found.temperature_c == pytest.approx(np.array(expected) + 4.0)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 1e4))
def test_more_power_is_forecast_no_cooler(one_w: float, other_w: float, ahead_s: float) -> None:
    """At any time, and it reaches a limit no later."""
    less, more = (Power(power) for power in sorted((one_w, other_w)))
    cool, warm = (forecast(DEVICE, IDLE, power, ahead_s) for power in (less, more))
    assert warm.temperature_c[0] >= cool.temperature_c[0] - 1e-9
    late, soon = (time_to_limit(DEVICE, IDLE, power, 60.0) for power in (less, more))
    assert soon.expected_s <= late.expected_s


@given(st.floats(0, 1000), st.floats(20, 120))
def test_the_soonest_comes_before_the_latest(power_w: float, limit_c: float) -> None:
    """With what is expected between."""
    found = time_to_limit(DEVICE, IDLE, Power(power_w, 5.0), limit_c)
    assert found.soonest_s <= found.expected_s <= found.latest_s


def test_the_time_to_a_limit_is_when_it_is_reached() -> None:
    """As the forecast for then says."""
    found = time_to_limit(DEVICE, IDLE, BUSY, 60.0)
    then = forecast(DEVICE, IDLE, BUSY, found.expected_s).temperature_c[0]
    assert then == pytest.approx(60.0, abs=0.05)
    assert 0 < found.soonest_s < found.expected_s < found.latest_s < 600


def test_a_limit_may_be_reached_already_or_never() -> None:
    """Now, or not within the horizon."""
    assert time_to_limit(DEVICE, IDLE, BUSY, IDLE_C - 5) == (0.0, 0.0, 0.0)
    assert time_to_limit(DEVICE, IDLE, BUSY, 120.0) == (math.inf, math.inf, math.inf)
    soon = time_to_limit(DEVICE, IDLE, BUSY, 60.0, horizon_s=10.0)
    assert soon.latest_s == math.inf


def test_unknown_is_never_cool() -> None:
    """It may be at any limit now, whatever the model thinks."""
    assert LOST.unknown
    found = forecast(DEVICE, LOST, Power(0.0), [0.0, 60.0])
    assert np.isinf(found.high_c).all()
    assert found.doubts == LOST.doubts
    assert time_to_limit(DEVICE, LOST, Power(0.0), 90.0).soonest_s == 0.0


def test_intervals_grow_with_what_is_not_known() -> None:
    """With errors further ahead, with the power's scatter, and with a power far from now's."""

    def width(parameters: ThermalParameters, power: Power = BUSY, ahead_s: float = 30.0) -> float:
        found = forecast(parameters, IDLE, power, ahead_s)
        return float(found.high_c[0] - found.low_c[0])

    usual = width(DEVICE)
    assert usual == pytest.approx(2 * 1.96 * 0.7)
    errors = tuple(ForecastError(ahead_s=s, rmse_c=c) for s, c in ((10, 0.5), (60, 2.0), (99, 1)))
    growing = DEVICE.model_copy(update={"errors": errors})
    at = [width(growing, ahead_s=ahead_s) for ahead_s in (1.0, 10.0, 30.0, 60.0, 500.0)]
    assert at == sorted(at)
    assert at[3] == at[4]  # less error further ahead was chance
    assert width(DEVICE, Power(BUSY_W, 20.0)) > usual
    unsure = DEVICE.model_copy(update={"resistance_span_k_per_w": (0.05, 0.08)})
    assert width(unsure) > usual
    assert width(unsure, Power(IDLE_W)) == pytest.approx(usual)
    blank = DEVICE.model_copy(update={"errors": ()})
    assert width(blank) == pytest.approx(usual)


def test_a_doubt_about_the_power_is_said() -> None:
    """Beside those about the sensors."""
    found = forecast(DEVICE, LOST, Power(1.0, 0.0, "never measured"), 1.0)
    assert found.doubts == (*LOST.doubts, "never measured")
