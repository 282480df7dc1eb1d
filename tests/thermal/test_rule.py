"""The rule of thumb for devices that were never fitted."""

from __future__ import annotations

import pytest

from hgx.thermal.drift import LONGEST_GAP_S, UNKNOWN_AFTER_S, Seen, Track
from hgx.thermal.means import Ahead, Limits, Load, State, as_usual
from hgx.thermal.outlook import forecast_of, sight_of
from hgx.thermal.policy import decide
from hgx.thermal.rc import steady_rise, step, temperature_c
from hgx.thermal.rule import IDLE, STUCK_S, Rule, usual_ways
from hgx.thermal.simulate import best
from hgx.thermal.twins import SYNTHETIC

WORK = Load(1.0, IDLE, 1.0, 10.0)
REST = WORK._replace(duty=0.0)


def peak(rule: Rule, seen: Seen, load: Load, until_s: float = 90.0) -> float:
    """What is forecast of a load."""
    return forecast_of(*rule.observe(seen))(load, Ahead(0, until_s))


def test_what_gets_warmer_goes_on_to() -> None:
    """Half a degree a second makes it fifteen more in the end; rest makes it cooler."""
    rule = Rule()
    for second in range(10):
        rule.observe(Seen(second, 60.0 + second / 2, 1.0))
    seen = Seen(10.0, 65.0, 1.0)
    assert peak(rule, seen, WORK) == pytest.approx(80.0, abs=1.0)
    assert 65.0 < peak(rule, seen, WORK, 15.0) < 75.0
    assert peak(rule, seen, REST) == pytest.approx(65.0)


def test_what_stays_as_warm_does_so() -> None:
    """Where nothing changes nothing is forecast to, at the share of work there was."""
    rule = Rule()
    for second in range(30):
        rule.observe(Seen(second, 70.0, 0.65))
    seen = Seen(30.0, 70.0, 0.65)
    assert peak(rule, seen, Load(1.0, IDLE, 0.5, 0.1)) == pytest.approx(70.0, abs=0.2)
    assert peak(rule, seen, WORK) == pytest.approx(35.0 + 35.0 / 0.65, abs=3.0)


def test_a_cool_device_is_taken_to_become_a_little_warmer() -> None:
    """One that is cooler than any room in summer has no negative resistance."""
    assert 20.0 < peak(Rule(), Seen(0.0, 20.0, 0.3), WORK) < 60.0


@pytest.mark.parametrize("name", ["laptop", "card"])
def test_a_device_stays_below_the_limit(name: str) -> None:
    """Devices it knows nothing of are kept below the limit, and do more than half the best."""
    twin = SYNTHETIC[name]()
    possible = usual_ways(1)
    limits = Limits(twin.limits.ceiling_c - twin.limits.hidden_c, reserve_c=2.0)
    rise, rule, done = steady_rise(twin.network, twin.possible.idle_w), Rule(), 0.0
    state: State = as_usual(possible)
    work_w, idle_w = twin.possible.ways[0].power_w, twin.possible.idle_w
    worked, turns, hottest = 0.0, 360, 0.0
    for turn in range(turns):
        reading_c = round(float(temperature_c(twin.network, rise)))
        parameters, track = rule.observe(
            Seen(turn * possible.period_s, reading_c, IDLE + (1 - IDLE) * worked)
        )
        state, _ = decide(sight_of(track), forecast_of(parameters, track), limits, possible, state)
        worked = state.setting.duty
        for power_w, share in ((work_w, worked), (idle_w, 1 - worked)):
            rise = step(twin.network, rise, power_w, share * possible.period_s)
            hottest = max(hottest, float(temperature_c(twin.network, rise)))
        done += worked / turns
    assert hottest <= limits.ceiling_c
    assert done > 0.5 * best(twin, turns * possible.period_s)


def silent(rule: Rule, from_s: float, count: int) -> Track:
    """Let the sensor say nothing for so many seconds."""
    track: Track | None = None
    for second in range(count):
        track = rule.observe(Seen(from_s + second, None, 1.0))[1]
    assert track is not None
    return track


def test_a_sensor_that_vanishes() -> None:
    """Its last temperature counts for some seconds, and then it is unknown."""
    rule = Rule()
    rule.observe(Seen(0.0, 60.0, 1.0))
    assert not silent(rule, 1.0, 5).unknown
    track = silent(rule, 6.0, int(UNKNOWN_AFTER_S))
    assert track.unknown
    assert "no temperature" in track.doubts[0]
    assert not rule.observe(Seen(20.0, 61.0, 1.0))[1].unknown


@pytest.mark.parametrize("reading_c", [-5.0, 127.0, None])
def test_a_sensor_that_never_made_sense(reading_c: float | None) -> None:
    """What cannot be is unknown from the start, and why is said."""
    track = Rule().observe(Seen(0.0, reading_c, 1.0))[1]
    assert track.unknown
    assert track.doubts


def test_a_fall_is_believed_when_it_lasts() -> None:
    """A jump down leaves the temperature as it was for some seconds; a jump up counts at once."""
    rule = Rule()
    rule.observe(Seen(0.0, 80.0, 1.0))
    track = rule.observe(Seen(2.0, 40.0, 1.0))[1]
    assert track.temperature_c == 80.0
    assert "all at once" in track.doubts[0]
    assert rule.observe(Seen(4.0, 41.0, 1.0))[1].temperature_c == 80.0
    assert rule.observe(Seen(8.0, 41.0, 1.0))[1].temperature_c == 41.0
    assert rule.observe(Seen(9.0, 90.0, 1.0))[1].temperature_c == 90.0


def test_a_sensor_that_is_stuck() -> None:
    """The same temperature for minutes while work comes is none; while all stays, it is."""
    rule, calm = Rule(), Rule()
    track = still = None
    for second in range(0, int(STUCK_S) + 20, 2):
        work = IDLE if second < STUCK_S / 2 else 1.0
        track = rule.observe(Seen(second, 50.0, work))[1]
        still = calm.observe(Seen(second, 50.0, 1.0))[1]
    assert track is not None
    assert still is not None
    assert "stuck" in track.doubts[0]
    assert still.doubts == ()


def test_a_clock_that_steps() -> None:
    """After a step of the clock nothing from before it is used: not for a slope, not for a fall."""
    for at_s in (-1000.0, 11.0 + LONGEST_GAP_S):
        rule = Rule()
        for second in range(10):
            rule.observe(Seen(second, 60.0 + second, 1.0))
        track = rule.observe(Seen(at_s, 30.0, 1.0))[1]
        assert (track.temperature_c, track.doubts) == (30.0, ())


def test_slots_are_worth_their_share() -> None:
    """All conversations come first, fewer of them draw and do less, and one is called so."""
    ways = usual_ways(3).ways
    assert [way.slots for way in ways] == [3, 2, 1]
    assert [way.rate for way in ways] == [1.0, pytest.approx(2 / 3), pytest.approx(1 / 3)]
    assert ways[2].name == "one conversation at a time"
