"""From a trace to parameters, or to a reason why not."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from hgx.core.thermal import ThermalParameters
from hgx.thermal.activity import Activity
from hgx.thermal.clean import clean
from hgx.thermal.fit import Refusal, fit
from hgx.thermal.holdout import look_back
from hgx.thermal.rc import steady_rise
from hgx.thermal.trace import Trace, make_trace
from tests.thermal.made import BUSY_W, CARD, IDLE_W, twin, watched, work
from tests.thermal.real import DATA, HEATING, MISSING, STEADY, first_part, read_gpus

TARGETS = {10.0: 1.1, 30.0: 1.4}
"""°C that forecasts with the power known may be off, by seconds ahead."""

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=MISSING)


def fitted(trace: Trace, stages: int | None = None) -> ThermalParameters:
    """The parameters, where there must be some."""
    found = fit(trace, stages=stages)
    assert isinstance(found, ThermalParameters), found
    return found


def refused(trace: Trace) -> Refusal:
    """The refusal, where there must be one."""
    found = fit(trace)
    assert isinstance(found, Refusal), found
    return found


def hold_out(trace: Trace) -> None:
    """Fit to the first 60% and hold the targets on the rest, ahead of what is simple."""
    seen = first_part(trace, 0.6)
    hindsight = look_back(
        fitted(seen, stages=2), clean(trace)[0][-1], float(seen.time_s[-1]), tuple(TARGETS)
    )
    for came, most_c in zip(hindsight, TARGETS.values(), strict=True):
        off_c = came.rmse_c(came.planned)
        assert off_c <= most_c
        assert off_c < min(came.rmse_c(came.stays), came.rmse_c(came.power_stays))


def test_a_trace_gives_parameters_with_their_evidence() -> None:
    """The device that was simulated, how sure that is, and how far forecasts were off."""
    trace = twin()
    now = datetime(2026, 1, 2, 12, tzinfo=UTC)
    found = fit(trace, source="a twin", fitted_at=now)
    assert isinstance(found, ThermalParameters)
    assert len(found.stages) == 2
    assert found.stages[1].tau_s == pytest.approx(CARD.stages[1].tau_s, rel=0.1)
    assert found.resistance_span_k_per_w is not None
    low, high = found.resistance_span_k_per_w
    assert low < CARD.resistance_k_per_w < high
    assert found.held_out
    assert [error.ahead_s for error in found.errors] == [5.0, 10.0, 30.0, 60.0]
    assert all(error.rmse_c < 1.0 for error in found.errors)
    assert (found.source, found.fitted_at, found.warnings) == ("a twin", now, ())
    assert (found.samples, found.highest_power_w) == (len(trace.time_s), trace.power_w.max())
    assert found.duration_s == pytest.approx(266.0, abs=1.0)


def test_one_stage_is_enough_where_there_is_one() -> None:
    """A second stage must be worth it."""
    network = CARD._replace(stages=(CARD.stages[1],))
    assert len(fitted(twin(network=network)).stages) == 1


def test_so_many_stages_as_are_asked_for() -> None:
    """Worse though it is."""
    assert len(fitted(twin(), stages=1).stages) == 1


def test_powers_are_learnt_too() -> None:
    """Where the trace says what was done."""
    trace = twin()
    busy = Activity("decode", "Q4_K", 1)
    done = tuple(busy if power > 600 else Activity("idle") for power in trace.power_w)
    powers = {one.kind: one.power_w for one in fitted(trace._replace(activities=done)).powers}
    assert powers["decode"] == pytest.approx(BUSY_W, rel=0.02)
    assert powers["idle"] == pytest.approx(IDLE_W, rel=0.1)


def test_what_was_wrong_with_readings_is_said() -> None:
    """The rest of the trace is enough."""
    trace = twin()
    trace.temperature_c[100:110] = -3.0
    found = fitted(trace)
    assert found.warnings == ("10 readings of temperature that cannot be",)
    assert found.resistance_span_k_per_w is not None


def test_pieces_count_together() -> None:
    """A gap in the middle costs little; after the cut all of the last piece is unseen."""
    trace = twin(300.0)
    for share in (0.598, 0.7):
        time = trace.time_s.copy()
        time[int(share * len(time)) :] += 100_000
        found = fitted(trace._replace(time_s=time))
        assert found.held_out
        assert found.stages[-1].tau_s == pytest.approx(CARD.stages[1].tau_s, rel=0.15)
    back = trace.time_s.copy()
    back[int(0.3 * len(back)) :] -= 100_000
    assert fitted(trace._replace(time_s=back)).held_out


def test_a_first_part_that_tells_nothing_leaves_errors_of_the_whole() -> None:
    """They are said not to be held out."""
    time, power = work(400.0, np.random.default_rng(0))
    power = np.where(time < 260, IDLE_W, power)
    found = fitted(watched(time, power))
    assert not found.held_out
    assert found.errors


def steady() -> Trace:
    """A device that was busy all along, and warms up at first."""
    time, _ = work(450.0, np.random.default_rng(0))
    power = 400.0 - np.where(time % 29 < 1.5, 120.0, 0.0)
    return watched(time, power, rise_k=np.array([12.0, 5.0]))


def unrelated() -> Trace:
    """A temperature that has nothing to do with the power."""
    trace = twin()
    return trace._replace(temperature_c=np.round(50 + 20 * np.sin(trace.time_s / 9)))


def warming() -> Trace:
    """A device that has only begun to warm up."""
    network = CARD._replace(
        stages=(CARD.stages[1]._replace(tau_s=2000.0, resistance_k_per_w=0.12),)
    )
    time, _ = work(100.0, np.random.default_rng(0))
    return watched(time, np.where(time < 10, IDLE_W, BUSY_W), network=network)


def constant(temperature_c: float | None = None, power_w: float | None = None) -> Trace:
    """A trace of which a column never changes."""
    trace = twin()
    count = len(trace.time_s)
    if temperature_c is not None:
        # A little below and above, or else it is stuck.
        flicker = temperature_c + (np.arange(count) % 2)
        return trace._replace(temperature_c=flicker)
    return trace._replace(power_w=np.full(count, power_w))


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        (make_trace(np.zeros(0), np.zeros(0), np.zeros(0)), "too short: 0 good readings in 0 s"),
        (twin(40.0), "too short"),
        (constant(power_w=300.0), "power hardly changes: from 300 to 300 W"),
        (constant(power_w=0.0), "power hardly changes"),
        (constant(temperature_c=40.0), "temperature hardly changes: from 40.0 to 41.0 °C"),
        (steady(), "power changes too little to tell"),
        (unrelated(), "temperature does not follow power"),
        (warming(), "still warming up"),
    ],
)
def test_a_trace_that_tells_too_little_is_refused(trace: Trace, said: str) -> None:
    """With the reason and what to do."""
    found = refused(trace)
    assert said in found.reason
    assert found.remedy.startswith("record")


def test_a_temperature_that_falls_with_power_is_refused() -> None:
    """No resistance is negative."""
    trace = twin()
    falling = np.round(90 - trace.power_w / 20)
    assert refused(trace._replace(temperature_c=falling)).reason == (
        "the temperature does not rise with the power"
    )


def test_a_refusal_says_what_else_was_wrong() -> None:
    """Of readings."""
    trace = twin()
    trace.temperature_c[5:] = np.nan
    assert refused(trace).notes[0].endswith("readings without temperature")


@pytest.mark.parametrize("seed", range(3))
def test_twins_are_forecast_as_well_as_is_wanted(seed: int) -> None:
    """At most 1.1 °C off at ten seconds and 1.4 °C at thirty."""
    hold_out(twin(seed=seed))


@needs_data
@pytest.mark.parametrize("card", range(8))
def test_real_cards_are_forecast_as_well_as_is_wanted(card: int) -> None:
    """The same for each of eight cards from idle to 690 W."""
    hold_out(read_gpus(DATA / HEATING)[card])


@needs_data
def test_real_cards_at_steady_power_are_refused() -> None:
    """From 400 W all along nothing follows for other powers."""
    for card in (1, 7):
        assert "power changes too little" in refused(read_gpus(DATA / STEADY)[card]).reason


@needs_data
def test_the_same_cards_in_another_run() -> None:
    """What was learnt of one run holds for another, half an hour before."""
    traces, other = read_gpus(DATA / HEATING), read_gpus(DATA / STEADY)
    for card in (0, 1):  # one in the cool, one in the warm
        trace = traces[card]
        (piece,) = clean(other[card])[0]
        (came,) = look_back(fitted(trace, stages=2), piece, -np.inf, [30.0])
        assert came.rmse_c(came.planned) <= TARGETS[30.0]
        assert came.rmse_c(came.planned) < came.rmse_c(came.stays)


def test_it_begins_warm() -> None:
    """What the device did before the trace does not matter."""
    time, power = work(266.0, np.random.default_rng(5))
    found = fitted(watched(time, power, rise_k=steady_rise(CARD, 500.0)))
    assert found.stages[-1].tau_s == pytest.approx(CARD.stages[1].tau_s, rel=0.15)
