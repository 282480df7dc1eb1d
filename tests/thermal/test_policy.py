"""What is done before a device gets too hot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.reading import Battery
from hgx.thermal.means import Action, Limits, Possible, Setting, Sight, State, Way, as_usual
from hgx.thermal.policy import (
    CAREFUL_DUTY,
    CHANGE_S,
    HOLD_S,
    LOOK_S,
    REST_S,
    decide,
    give_back,
)

if TYPE_CHECKING:
    from hgx.thermal.means import Ahead, Forecast, Load, Means

LIMITS = Limits(80.0)
FULL = Way("slots", "4 slots", 100.0, 1.0, 4)
USUAL = Possible((FULL,), idle_w=0.0)


def steady(ambient_c: float = 30.0, k_per_w: float = 0.6) -> Forecast:
    """A device without any heat capacity: its temperature follows the mean power at once."""

    def forecast(load: Load, ahead: Ahead) -> float:
        del ahead
        return ambient_c + k_per_w * load.mean_w

    return forecast


def soon(now_c: float, then_c: float) -> Forecast:
    """A device that is as warm as this now, and at full work as that in ``LOOK_S`` and later."""

    def forecast(load: Load, ahead: Ahead) -> float:
        rise = load.mean_w / 100.0 * (then_c - now_c)
        return now_c + (rise if ahead.until_s >= LOOK_S else 0.0)

    return forecast


def seen(at_s: float = 0.0, battery: Battery | None = None) -> Sight:
    """A sight of a device whose temperature is known."""
    return Sight(at_s, 50.0, None, battery)


def acts(forecast: Forecast, possible: Possible = USUAL, state: State | None = None) -> Action:
    """Decide; there must be an action."""
    after, action = decide(seen(), forecast, LIMITS, possible, state or as_usual(possible))
    assert action is not None
    assert after.setting == action.setting
    assert after.acted_at_s == action.at_s
    return action


def test_a_cool_device_works_as_usual() -> None:
    """Nothing is done where the forecast stays below the limit, however long it lasts."""
    state = as_usual(USUAL)
    for at_s in (0.0, 100.0, 1e5):
        assert decide(seen(at_s), steady(k_per_w=0.4), LIMITS, USUAL, state) == (state, None)


def test_it_acts_before_the_limit_and_says_why() -> None:
    """It pauses while the device is cool, because of the forecast, which the action carries."""
    action = acts(soon(50.0, 90.0))
    assert (action.kind, action.cools) == ("duty", True)
    assert 0 < action.setting.duty < 1
    assert action.before_c == pytest.approx(90.0)
    assert LIMITS.acts_c - 1 <= (action.after_c or 0) <= LIMITS.acts_c
    for words in ("90.0 °C within 15 s", f"{LIMITS.acts_c:.1f} °C", "4 slots", "% of the time"):
        assert words in action.reason


def test_only_what_no_work_would_cure_is_paused() -> None:
    """Where even rest is too hot there is a pause, which is not decided on again."""
    hot = steady(ambient_c=90.0)
    action = acts(hot)
    assert action.setting.duty == 0
    assert action.reason.endswith("a pause")
    assert decide(seen(), hot, LIMITS, USUAL, State(action.setting, 0.0))[1] is None


def test_without_pauses_the_coolest_way_is_taken() -> None:
    """Where a device cannot pause and nothing keeps the limit, the way of least power is left."""
    ways = (FULL, Way("slots", "1 slot", 60.0, 0.4, 1), Way("smaller", "Q4_K_M", 80.0, 1.0))
    possible = Possible(ways, 0.0, pauses=False)
    assert acts(steady(ambient_c=79.0), possible).setting == Setting(ways[1])
    after = State(Setting(ways[1]), 0.0)
    assert decide(seen(), steady(ambient_c=79.0), LIMITS, possible, after)[1] is None


# What each means gets done where the limit allows a mean of 82 W.
_SLOTS = Way("slots", "3 slots", 80.0, 0.81, 3)
_BAD_SLOTS = Way("slots", "3 slots", 80.0, 0.7, 3)
_MOVE = Way("move", "4 blocks on tower", 60.0, 0.95)
_SMALL = Way("smaller", "Q4_K_M", 70.0, 1.3)
_POWER = Way("power limit", "82 W", 82.0, 0.97)
_GOOD_MOVE = Way("move", "8 blocks on tower", 60.0, 1.2)


@pytest.mark.parametrize(
    ("ways", "chosen", "kind"),
    [
        ((_SLOTS, _MOVE, _POWER), "3 slots", "slots"),
        ((), "4 slots", "duty"),
        ((_BAD_SLOTS, _MOVE), "4 slots", "duty"),
        ((_SLOTS, _GOOD_MOVE, _POWER), "8 blocks on tower", "move"),
        ((_SLOTS, _MOVE, _SMALL), "Q4_K_M", "smaller"),
        ((_GOOD_MOVE, _SMALL), "8 blocks on tower", "move"),
        ((Way("power limit", "82 W", 82.0, 1.1),), "82 W", "power limit"),
        ((_POWER,), "4 slots", "duty"),
    ],
)
def test_the_order_of_means(ways: tuple[Way, ...], chosen: str, kind: Means) -> None:
    """The first of the order is taken, unless a later one gets so much more done."""
    action = acts(steady(), Possible((FULL, *ways), 0.0))
    assert (action.setting.way.name, action.kind) == (chosen, kind)
    assert (action.setting.duty < 1) == (chosen == "4 slots")


def test_fewer_slots_may_pause_too() -> None:
    """Where fewer slots alone are too hot they pause, if that gets more done than all do."""
    thrifty = Way("slots", "2 slots", 90.0, 0.99, 2)
    action = acts(steady(), Possible((FULL, thrifty), 0.0))
    assert (action.setting.way, action.setting.means) == (thrifty, "duty")


def test_it_rests_after_an_action() -> None:
    """Nothing better is looked for within a minute, and then only what is notably better."""
    paused = State(Setting(FULL, 0.4), acted_at_s=100.0)
    cool = steady()
    assert decide(seen(100.0 + REST_S - 1), cool, LIMITS, USUAL, paused)[1] is None
    _, action = decide(seen(100.0 + REST_S), cool, LIMITS, USUAL, paused)
    assert action is not None
    assert (action.kind, action.cools) == ("duty", False)
    assert action.setting.duty > 0.8
    assert f"{HOLD_S:.0f} s with more work" in action.reason
    nearly = State(action.setting._replace(duty=action.setting.duty - 0.005), 100.0)
    assert decide(seen(1000.0), cool, LIMITS, USUAL, nearly)[1] is None


def test_more_work_leaves_more_free_than_less_work() -> None:
    """What is taken back is aimed lower than what is given up, so that they do not take turns."""
    limits = LIMITS._replace(band_c=3.0)
    _, less = decide(seen(1e3), steady(), limits, USUAL, as_usual(USUAL))
    _, more = decide(seen(1e3), steady(), limits, USUAL, State(Setting(FULL, 0.1), 0.0))
    assert less is not None
    assert more is not None
    assert less.setting.duty - more.setting.duty == pytest.approx(3.0 / 60.0, abs=0.01)


def test_right_after_an_action_only_what_is_urgent_counts() -> None:
    """A forecast a little above waits for a minute after an action; one at the limit does not."""
    after = State(Setting(FULL, 0.9), acted_at_s=95.0)
    little = soon(50.0, 50.0 + (LIMITS.acts_c + 0.1 - 50.0) / 0.9)
    much = soon(50.0, 50.0 + (LIMITS.urgent_c + 0.1 - 50.0) / 0.9)
    assert decide(seen(100.0), little, LIMITS, USUAL, after)[1] is None
    assert decide(seen(100.0 + REST_S), little, LIMITS, USUAL, after)[1] is not None
    assert decide(seen(100.0), much, LIMITS, USUAL, after)[1] is not None


def test_weights_are_not_changed_again_soon() -> None:
    """Between blocks, weights and power limits ten minutes pass; pauses do until then."""
    possible = Possible((FULL, _SMALL), 0.0)
    state, action = decide(seen(), steady(), LIMITS, possible, as_usual(possible))
    assert action is not None
    assert (state.setting.way, state.changed_at_s) == (_SMALL, 0.0)
    cool = steady(k_per_w=0.1)
    assert decide(seen(CHANGE_S - 1), cool, LIMITS, possible, state)[1] is None
    hot = steady(k_per_w=0.9)
    later, action = decide(seen(CHANGE_S - 1), hot, LIMITS, possible, state)
    assert action is not None
    assert (action.setting.way, action.setting.duty < 1, action.kind) == (_SMALL, True, "duty")
    assert later.changed_at_s == 0.0
    back = Possible((FULL, _SMALL._replace(rate=0.9)), 0.0)
    state = State(Setting(back.ways[1]), 0.0, 0.0)
    state, action = decide(seen(CHANGE_S), cool, LIMITS, back, state)
    assert action is not None
    assert (action.setting.way, action.kind, state.changed_at_s) == (FULL, "smaller", CHANGE_S)


def test_hidden_heat_lowers_the_limit() -> None:
    """What no sensor sees is kept free."""
    hidden = LIMITS._replace(hidden_c=27.0)
    _, action = decide(seen(), soon(40.0, 60.0), hidden, USUAL, as_usual(USUAL))
    assert action is not None
    assert (action.after_c or 99) <= 53.0


@pytest.mark.parametrize("forecast", [None, steady(ambient_c=-100.0)])
def test_unknown_is_never_cool(forecast: Forecast | None) -> None:
    """Without a temperature the device works half of the time, and never more, whatever comes."""
    blind = Sight(0.0, None, "the sensor says nothing")
    state, action = decide(blind, forecast, LIMITS, USUAL, as_usual(USUAL))
    assert action is not None
    assert (action.setting.duty, action.cools) == (CAREFUL_DUTY, True)
    assert action.reason.startswith("the sensor says nothing, and unknown is not cool")
    assert (action.before_c is None) == (forecast is None)
    for at_s in (1.0, 1e3, 1e6):
        assert decide(blind._replace(at_s=at_s), forecast, LIMITS, USUAL, state)[1] is None


def test_unknown_and_forecast_to_be_hot() -> None:
    """Without a temperature the forecast still counts where it is for less work."""
    blind = Sight(0.0, None)
    _, action = decide(blind, steady(k_per_w=2.0), LIMITS, USUAL, as_usual(USUAL))
    assert action is not None
    assert 0 < action.setting.duty < 0.3
    assert "its temperature is not known" in action.reason


def test_known_again() -> None:
    """When the temperature is back, work is too."""
    _, action = decide(
        seen(200.0), steady(k_per_w=0.4), LIMITS, USUAL, State(Setting(FULL, 0.5), 0.0)
    )
    assert action is not None
    assert action.setting == Setting(FULL)


@pytest.mark.parametrize(
    ("battery", "low"),
    [
        (Battery(charge=0.19, plugged=False), True),
        (Battery(charge=0.19), True),
        (Battery(charge=0.19, plugged=True), False),
        (Battery(charge=0.5, plugged=False), False),
        (Battery(plugged=False), True),
        (Battery(), False),
        (None, False),
    ],
)
def test_a_low_battery_gives_the_device_back(battery: Battery | None, *, low: bool) -> None:
    """On battery below a level nothing is done any more; an unknown charge counts as low."""
    state, action = decide(seen(0.0, battery), steady(k_per_w=0.1), LIMITS, USUAL, as_usual(USUAL))
    assert (action is not None) == low == state.given_back
    if action:
        assert (action.kind, action.setting.duty) == ("give back", 0.0)
        assert "battery" in action.reason
        assert decide(seen(1e6, battery), steady(), LIMITS, USUAL, state) == (state, None)


@pytest.mark.parametrize(
    ("battery", "back"),
    [
        (Battery(charge=0.1, plugged=True), True),
        (Battery(charge=0.24, plugged=False), False),
        (Battery(charge=0.26, plugged=False), True),
        (None, False),
        (Battery(), False),
    ],
)
def test_a_charged_battery_takes_it_up_again(battery: Battery | None, *, back: bool) -> None:
    """It works again with power, or some more charge; never because the battery is not seen."""
    given = State(Setting(FULL, 0.0), 0.0, given_back=True)
    state, action = give_back(seen(10.0, battery), LIMITS, USUAL, given)
    assert (action is not None) == back == (not state.given_back)
    if action:
        assert (action.setting.duty, action.cools) == (CAREFUL_DUTY, False)


def test_batteries_may_be_left_out() -> None:
    """Without a level no battery matters."""
    empty = Battery(charge=0.0, plugged=False)
    limits = LIMITS._replace(least_charge=None)
    assert decide(seen(0.0, empty), steady(k_per_w=0.1), limits, USUAL, as_usual(USUAL))[1] is None


@given(
    ambient_c=st.floats(0, 100),
    k_per_w=st.floats(0, 5),
    rates=st.lists(st.tuples(st.floats(1, 100), st.floats(0.01, 1)), max_size=4),
)
def test_whatever_is_chosen_keeps_the_limit(
    ambient_c: float, k_per_w: float, rates: list[tuple[float, float]]
) -> None:
    """Of any ways, what an action sets is forecast to stay below the limit, or is a pause."""
    means: tuple[Means, ...] = ("slots", "move", "smaller", "power limit")
    ways = tuple(
        Way(kind, kind, power_w, rate) for kind, (power_w, rate) in zip(means, rates, strict=False)
    )
    possible, forecast = Possible((FULL, *ways), 0.0), steady(ambient_c, k_per_w)
    _, action = decide(seen(), forecast, LIMITS, possible, as_usual(possible))
    if action and action.setting.duty:
        assert (action.after_c or 0) <= LIMITS.acts_c
    assert (action is None) == (ambient_c + k_per_w * 100 <= LIMITS.acts_c)
