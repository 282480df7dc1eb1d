"""The model beside the sensors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.thermal.drift import (
    LONGEST_GAP_S,
    MOST_BIAS_K,
    MOST_GAIN,
    UNKNOWN_AFTER_S,
    Seen,
    Track,
    begin,
    observe,
)
from hgx.thermal.rc import run, steady_c, steady_rise, temperature_c
from tests.thermal.made import BUSY_W, CARD, IDLE_W, parameters

DEVICE = parameters(CARD)
HOT_C = steady_c(CARD, BUSY_W)


def busy(seconds: float = 60.0, *, warmer_k: float = 0.0) -> Track:
    """A device that has long been busy, warmer than its model by something."""
    track = begin(DEVICE, Seen(0.0, HOT_C, BUSY_W))
    for time_s in np.arange(1.0, seconds):
        track = observe(DEVICE, track, Seen(float(time_s), HOT_C + warmer_k, BUSY_W))
    return track


def later(track: Track, reading_c: float | None, power_w: float | None, count: int) -> Track:
    """So many readings more, all the same, a second apart."""
    for _ in range(count):
        track = observe(DEVICE, track, Seen(track.time_s + 1.0, reading_c, power_w))
    return track


def test_it_follows_a_device() -> None:
    """Through idle and work, from a state it had to guess."""
    time = np.arange(0.0, 200.0, 0.5)
    power = np.where((time > 20) & (time < 120), BUSY_W, IDLE_W)
    true = temperature_c(CARD, run(CARD, steady_rise(CARD, IDLE_W), time, power))
    track = begin(DEVICE, Seen(0.0, round(float(true[0])), IDLE_W))
    for at in range(1, len(time)):
        reading = round(float(true[at]))
        track = observe(DEVICE, track, Seen(float(time[at]), reading, float(power[at - 1])))
        assert track.doubts == ()
        assert not track.unknown
        assert track.temperature_c == pytest.approx(true[at], abs=1.1)


@given(st.floats(-10.0, 10.0))
def test_the_bias_becomes_what_the_device_is_warmer(warmer_k: float) -> None:
    """Within a minute, and it is in what to reckon with."""
    track = busy(60.0, warmer_k=warmer_k)
    assert track.bias_c == pytest.approx(warmer_k, abs=0.05)
    assert track.temperature_c == pytest.approx(HOT_C + warmer_k, abs=0.1)
    assert track.doubts == ()


@given(st.floats(0.0, LONGEST_GAP_S), st.floats(1.0, 60.0))
def test_one_reading_moves_the_bias_by_a_bounded_share(seconds: float, jump_k: float) -> None:
    """However long after the last, and never beyond its bounds; the jump itself is believed."""
    track = busy(2.0)
    jumped = observe(DEVICE, track, Seen(track.time_s + seconds, HOT_C + jump_k, BUSY_W))
    assert 0 <= jumped.bias_c <= min(MOST_GAIN * jump_k + 0.01, MOST_BIAS_K)
    assert jumped.temperature_c >= HOT_C + jump_k - 1e-9


@given(st.floats(-3.0, 3.0))
def test_what_rounding_leaves_open_moves_no_bias(warmer_k: float) -> None:
    """A sensor of whole degrees tells of a difference only beyond half of one."""
    track = busy(2.0)
    for _ in range(60):
        seen = Seen(track.time_s + 1, HOT_C + warmer_k, BUSY_W, step_c=1.0)
        track = observe(DEVICE, track, seen)
    least = max(0.0, abs(warmer_k) - 0.5)
    assert abs(track.bias_c) == pytest.approx(least, abs=0.02)


def test_far_from_its_model_it_is_another_device() -> None:
    """Beyond twenty kelvin the bias goes no further, and it is said; what is seen still counts."""
    warm = busy(120.0, warmer_k=30.0)
    assert warm.bias_c == MOST_BIAS_K
    assert "K warmer than its model: fit it anew" in warm.doubts[0]
    assert warm.temperature_c == pytest.approx(HOT_C + 30)
    cool = busy()
    for _ in range(4):
        cool = later(cool, HOT_C + cool.bias_c - 10, BUSY_W, 60)
    assert cool.bias_c == -MOST_BIAS_K
    assert "K cooler than its model: fit it anew" in cool.doubts[0]


@pytest.mark.parametrize(
    ("reading_c", "said"),
    [
        (None, "no temperature reading"),
        (-3.0, "cannot be"),
        (127.5, "cannot be"),
        (math.nan, "cannot be"),
        (HOT_C - 40, "cooler than the device can have become"),
    ],
)
def test_what_cannot_be_is_not_believed(reading_c: float | None, said: str) -> None:
    """The model goes on; after ten seconds the temperature is unknown, and never cool."""
    track = later(busy(), reading_c, BUSY_W, 1)
    assert said in track.doubts[0]
    assert track.temperature_c == pytest.approx(HOT_C, abs=1.0)
    assert not track.unknown
    track = later(track, reading_c, BUSY_W, int(UNKNOWN_AFTER_S) + 1)
    assert track.unknown
    assert track.temperature_c == pytest.approx(HOT_C, abs=1.0)
    assert not later(track, HOT_C, BUSY_W, 1).unknown


def test_colder_than_around_the_device_cannot_be() -> None:
    """A model that was fitted in a warm case knows what a sensor that says 2 °C is worth."""
    warm = parameters(CARD._replace(ambient_c=40.0))
    track = begin(warm, Seen(0.0, 2.0, IDLE_W))
    assert track.unknown
    assert "colder than around the device" in track.doubts[0]


def test_a_fall_that_the_power_explains_is_believed() -> None:
    """However steep: a device that stops drawing power cools at once by what is quick."""
    track = later(busy(), 60.0, IDLE_W, 1)
    assert track.doubts == ()
    assert observe(DEVICE, busy(), Seen(64.0, 45.0, IDLE_W)).doubts == ()


def test_a_stuck_sensor_is_found() -> None:
    """It says the same while the device must have become warmer, or cooler."""
    idle = begin(DEVICE, Seen(0.0, 25.0, IDLE_W))
    stuck = later(idle, 25.0, BUSY_W, 20)
    assert "stuck" in stuck.doubts[0]
    assert stuck.unknown
    assert stuck.temperature_c > 45.0
    cooling = later(busy(), HOT_C, IDLE_W, 20)
    assert "stuck" in cooling.doubts[0]


def test_without_a_power_meter_the_most_is_assumed() -> None:
    """And said; a reading that stays the same is then no sign of a stuck sensor."""
    idle = begin(DEVICE, Seen(0.0, 25.0, None))
    assert idle.power_w == BUSY_W
    track = later(idle, 25.0, None, 100)
    assert "the most that was seen is assumed" in track.doubts[-1]
    assert not track.unknown
    assert track.temperature_c >= 25.0
    odd = later(busy(), HOT_C, -5.0, 1)
    assert "-5 W cannot be" in odd.doubts[0]


def test_a_fall_without_a_power_meter_may_be_true() -> None:
    """Nobody knows whether it draws anything."""
    track = later(busy(), HOT_C - 25, None, 1)
    assert not any("cooler" in doubt for doubt in track.doubts)


@pytest.mark.parametrize(
    ("step_s", "said"), [(-5.0, "went back"), (3600.0, "no readings for 3600")]
)
def test_a_clock_that_steps_begins_anew(step_s: float, said: str) -> None:
    """With what the sensors say now."""
    before = busy(warmer_k=5.0)
    track = observe(DEVICE, before, Seen(before.time_s + step_s, 40.0, IDLE_W))
    assert said in track.doubts[0]
    assert (track.temperature_c, track.bias_c, track.unknown) == (40.0, 0.0, False)
    lost = observe(DEVICE, before, Seen(before.time_s + step_s, None, IDLE_W))
    assert lost.unknown
    assert lost.temperature_c == pytest.approx(HOT_C)


def test_a_sensor_that_comes_late_is_believed() -> None:
    """Until then the device is taken to be as hot as it can become."""
    track = begin(DEVICE, Seen(0.0, None, IDLE_W))
    assert track.unknown
    assert track.temperature_c == pytest.approx(HOT_C)
    track = later(track, None, IDLE_W, 5)
    assert track.unknown
    track = later(track, 30.0, IDLE_W, 1)
    assert not track.unknown
    assert track.temperature_c == 30.0


READINGS = st.none() | st.floats(-50.0, 150.0) | st.just(math.nan)
POWERS = st.none() | st.floats(-10.0, 2e4)


@given(st.lists(st.tuples(st.floats(-10.0, 100.0), READINGS, POWERS), min_size=1, max_size=30))
def test_whatever_sensors_say_it_goes_on(
    readings: list[tuple[float, float | None, float | None]],
) -> None:
    """Numbers stay finite, a believed reading counts, and a strange one is said."""
    track: Track | None = None
    time_s = 0.0
    for seconds, reading_c, power_w in readings:
        time_s += seconds
        seen = Seen(time_s, reading_c, power_w)
        track = begin(DEVICE, seen) if track is None else observe(DEVICE, track, seen)
        assert np.isfinite([*track.rise_k, track.bias_c, track.temperature_c]).all()
        assert abs(track.bias_c) <= MOST_BIAS_K
        if not track.doubts:
            assert reading_c is not None
            assert track.believed_s == time_s
            assert track.temperature_c >= reading_c
