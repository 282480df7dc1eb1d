"""Power per activity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.thermal import ActivityPower, ThermalParameters
from hgx.thermal.activity import (
    IDLE,
    Activity,
    Power,
    cycled,
    learn_powers,
    parse_activity,
    power_of,
    with_powers,
)
from hgx.thermal.trace import Trace, make_trace
from tests.thermal.made import BUSY_W, parameters

DECODE, BATCH, PREFILL = (
    Activity("decode", "Q4_K", 1),
    Activity("decode", "Q4_K", 8),
    Activity("prefill", "Q4_K"),
)
DRAWN = {IDLE: 20.0, DECODE: 150.0, BATCH: 210.0, PREFILL: 300.0}


def traced(order: list[Activity | None], each_s: float = 10.0) -> Trace:
    """A trace of activities one after the other; the meter is a second late at each change."""
    time, power, done = list[float](), list[float](), list[Activity | None]()
    before = 20.0
    for at, activity in enumerate(order):
        drawn = 500.0 if activity is None else DRAWN[activity]
        for since in np.arange(0.0, each_s, 0.5):
            time.append(at * each_s + since)
            power.append(before if since < 1 else drawn + math.sin(since))
            done.append(activity)
        before = drawn
    return make_trace(np.array(time), np.full(len(time), 50.0), np.array(power), None, tuple(done))


def known(*powers: tuple[Activity, float]) -> ThermalParameters:
    """A device of which some powers are known."""
    return parameters().model_copy(
        update={
            "powers": tuple(
                ActivityPower(
                    kind=one.kind,
                    precision=one.precision,
                    batch=one.batch,
                    power_w=power_w,
                    scatter_w=3.0,
                    samples=9,
                )
                for one, power_w in powers
            )
        }
    )


def test_powers_are_learnt_by_kind_precision_and_batch() -> None:
    """Without the moments after a change, and without what nobody named."""
    trace = traced([IDLE, DECODE, PREFILL, BATCH, IDLE, None, DECODE])
    learnt = {Activity(one.kind, one.precision, one.batch): one for one in learn_powers(trace)}
    assert set(learnt) == set(DRAWN)
    for activity, drawn in DRAWN.items():
        assert learnt[activity].power_w == pytest.approx(drawn, abs=1.0)
        assert 0 < learnt[activity].scatter_w < 2
    assert learnt[IDLE].samples == 2 * 16


def test_what_never_settles_is_not_learnt() -> None:
    """Where activities change every second, the meter shows neither; nor without readings."""
    assert learn_powers(traced([DECODE, IDLE] * 20, each_s=1.0)) == ()
    trace = traced([DECODE])
    assert learn_powers(trace._replace(power_w=np.full(len(trace.time_s), -1.0))) == ()
    assert learn_powers(trace._replace(power_w=np.full(len(trace.time_s), np.nan))) == ()


def test_a_clock_that_goes_back_begins_anew() -> None:
    """Time since a change is not negative."""
    trace = traced([DECODE])
    back = trace._replace(time_s=np.where(trace.time_s < 5, trace.time_s, trace.time_s - 1000))
    assert learn_powers(back)[0].power_w == pytest.approx(150.0, abs=1.0)


def test_what_was_measured_is_expected() -> None:
    """Without a doubt."""
    found = power_of(known((DECODE, 150.0), (BATCH, 210.0)), BATCH)
    assert found == Power(210.0, 3.0)


@pytest.mark.parametrize(
    ("activity", "expected", "said"),
    [
        (Activity("decode", "Q4_K", 4), 210.0, "decode:Q4_K:8"),  # the next larger batch
        (Activity("decode", "Q4_K", 64), 210.0, "decode:Q4_K:8"),  # none is larger: the most
        (Activity("decode", "Q4_K"), 210.0, "decode:Q4_K:8"),
        (Activity("decode", "F16", 1), 210.0, "decode:Q4_K:8"),  # another precision: the most
        (PREFILL, BUSY_W, "the most that was seen"),  # another kind: the most ever
    ],
)
def test_what_was_not_measured_is_rather_too_much(
    activity: Activity, expected: float, said: str
) -> None:
    """And it is said what is taken instead."""
    found = power_of(known((DECODE, 150.0), (BATCH, 210.0)), activity)
    assert found.power_w == expected
    assert found.doubt is not None
    assert said in found.doubt
    assert str(activity) in found.doubt


@given(
    st.builds(
        Activity,
        st.sampled_from(["idle", "prefill", "decode"]),
        st.none() | st.from_regex(r"[A-Z][A-Z0-9_]{0,7}", fullmatch=True),
        st.none() | st.integers(1, 999_999),
    )
)
def test_what_is_written_reads_back(activity: Activity) -> None:
    """Whatever of it is known."""
    assert parse_activity(str(activity)) == activity


@pytest.mark.parametrize(
    "text", ["", "dance", "decode:Q4 K", "decode::0", "decode::-1", "decode::x", "decode:Q4:1:2"]
)
def test_what_is_none_is_refused(text: str) -> None:
    """The message says what one looks like."""
    with pytest.raises(ValueError, match="decode:Q4_K:8"):
        parse_activity(text)


@given(st.floats(0, 1))
def test_a_duty_cycle_draws_the_mean(duty: float) -> None:
    """Between idle and work."""
    found = cycled(Power(100.0, 4.0, "guessed"), Power(20.0, 2.0), duty)
    assert found.power_w == pytest.approx(20 + 80 * duty)
    assert found.scatter_w == pytest.approx(2 + 2 * duty)
    assert found.doubt == "guessed"


def test_powers_add_up() -> None:
    """Newer ones take the place of those of the same activity, and the highest is known."""
    before = known((IDLE, 20.0), (DECODE, 150.0))
    found = with_powers(before, known((DECODE, 160.0), (PREFILL, 999.0)).powers)
    drawn = {one.kind: one.power_w for one in found.powers}
    assert drawn == {"idle": 20.0, "decode": 160.0, "prefill": 999.0}
    assert (found.highest_power_w, with_powers(before, ()).highest_power_w) == (999.0, BUSY_W)


def test_not_more_powers_than_may_be_kept() -> None:
    """The newest stay, so that the registry can be read again."""
    many = known(*((Activity("decode", "Q4_K", batch), 9.0) for batch in range(1, 400)))
    found = with_powers(many, known((IDLE, 20.0)).powers)
    assert found.powers[-1].kind == "idle"
    assert ThermalParameters.model_validate(found.model_dump()) == found
