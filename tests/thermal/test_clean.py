"""What of a trace can be relied on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.thermal.clean import LEAST_READINGS, MOST_PIECES, clean
from hgx.thermal.trace import Trace, make_trace

NAN = float("nan")


def good(count: int = 200) -> Trace:
    """A device that warms up under changing power; a reading a second."""
    time = np.arange(float(count))
    return make_trace(time, 30.0 + time // 10, np.where(time % 40 < 20, 100.0, 20.0))


def test_a_good_trace_stays_as_it_is() -> None:
    """One piece, nothing wrong."""
    trace = good()
    (piece,), notes = clean(trace)
    assert notes == ()
    assert all((ours == theirs).all() for ours, theirs in zip(piece, trace[:3], strict=True))
    assert piece.duration_s == 199.0


@pytest.mark.parametrize("reading", [-5.0, 127.5, -274.0])
def test_temperatures_that_cannot_be_are_unknown(reading: float) -> None:
    """Their power still counts."""
    trace = good()
    trace.temperature_c[50] = reading
    (piece,), notes = clean(trace)
    assert np.flatnonzero(np.isnan(piece.temperature_c)).tolist() == [50]
    assert notes == ("1 reading of temperature that cannot be",)


def test_missing_ones_are_counted() -> None:
    """A sensor that vanishes leaves the rest."""
    trace = good()
    trace.temperature_c[120:] = NAN
    (piece,), notes = clean(trace)
    assert np.isfinite(piece.temperature_c).sum() == 120
    assert notes == ("80 readings without temperature",)


def test_power_that_is_not_known_for_a_moment_is_held() -> None:
    """For longer, nobody knows what was drawn: two pieces."""
    trace = good()
    trace.power_w[30] = -1.0
    trace.power_w[100:120] = NAN
    pieces, notes = clean(trace)
    assert [len(piece.time_s) for piece in pieces] == [99, 80]
    assert set(notes) == {
        "20 readings without power",
        "1 reading of power that cannot be",
        "1 gap, the longest of 21 s",
    }


def test_a_clock_that_steps_splits() -> None:
    """Back or far ahead; a second reading at one time is left out."""
    trace = good()
    time = trace.time_s.copy()
    time[50:] -= 3600
    time[120:] += 7200
    time[150] = time[149]
    pieces, notes = clean(trace._replace(time_s=time))
    assert [len(piece.time_s) for piece in pieces] == [50, 70, 79]
    assert set(notes) == {"the clock went back 1 time", "1 gap, the longest of 7201 s"}


def test_jumps_are_unknown_and_steep_rises_are_not() -> None:
    """A reading that no reading around is near to is one."""
    trace = good()
    trace.temperature_c[60:] += 25
    trace.temperature_c[100] += 40
    trace.temperature_c[101] -= 30
    (piece,), notes = clean(trace)
    assert np.flatnonzero(np.isnan(piece.temperature_c)).tolist() == [100, 101]
    assert notes == ("2 jumps of temperature",)


def test_a_stuck_sensor_says_nothing() -> None:
    """It stays the same while power goes far and stays there; at steady power that is well."""
    time = np.arange(300.0)
    power = np.where((time > 100) & (time < 200), 300.0, 20.0)
    moving = 30 + np.where(time > 100, np.minimum(time - 100, 40), 0.0)
    steady = make_trace(time, np.where(time > 200, 50.0, moving), power)
    assert clean(steady)[1] == ()
    stuck = make_trace(time, np.where(time > 80, 31.0, 30.0), power)
    (piece,), notes = clean(stuck)
    assert notes == ("the temperature is stuck for 218 readings",)
    assert np.isfinite(piece.temperature_c[:82]).all()


def test_of_many_pieces_the_longest_count() -> None:
    """Each has a beginning of its own."""
    trace = good(400)
    for at in range(20, 400, 50):
        trace.power_w[at : at + 12] = NAN
    pieces, notes = clean(trace)
    assert len(pieces) == MOST_PIECES
    assert any("only the 4 longest" in note for note in notes)
    starts = [float(piece.time_s[0]) for piece in pieces]
    assert starts == sorted(starts)


def test_nothing_may_be_left() -> None:
    """Of an empty trace, or one without readings."""
    empty = make_trace(np.zeros(0), np.zeros(0), np.zeros(0))
    assert clean(empty)[0] == ()
    trace = good()
    assert clean(trace._replace(temperature_c=np.full(200, NAN)))[0] == ()
    assert clean(trace.part(0, LEAST_READINGS - 1))[0] == ()


VALUES = st.floats(-1e5, 1e5) | st.just(NAN) | st.floats(20, 100)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), VALUES, VALUES), max_size=60))
def test_what_is_left_can_be(rows: list[tuple[float, float, float]]) -> None:
    """Time rises, power is known, temperatures are possible; whatever came in."""
    time, temperature, power = np.array(rows).reshape(-1, 3).T
    for piece in clean(make_trace(time, temperature, power))[0]:
        assert (np.diff(piece.time_s) > 0).all()
        assert ((piece.power_w >= 0) & (piece.power_w <= 1e4)).all()
        seen = piece.temperature_c[np.isfinite(piece.temperature_c)]
        assert ((seen >= 0) & (seen <= 126)).all()
