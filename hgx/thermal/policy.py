"""What to do before a device gets too hot: a pure function of forecast, limits and possibilities.

There are five means, in this order: fewer parallel slots; pauses (a duty cycle); moving blocks
away; a smaller quantisation or KV type of the same model; a power limit. A later one is taken where
it gets more done within the limit than the earlier ones, by as much as its trouble is worth
(``WORTH``): pauses interrupt nobody, the others load weights again or ask for rights. On a battery
that runs low the device is given back.

It acts on what is expected, not on what is: as soon as the present way of working is forecast to
come too near to the limit, the way is taken that gets most done and keeps the limit for ``HOLD_S``.
It is not looked for anything better within ``REST_S`` of the last action, and only more than
``GAIN`` is taken: that is the hysteresis. What is unknown is never cool: without a temperature that
can be relied on nothing is taken back, and the device works half of the time at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hgx.thermal.means import Action, Ahead, Load, Setting, State
from hgx.thermal.outlook import most_duty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgx.core.reading import Battery
    from hgx.thermal.means import Forecast, Kind, Limits, Means, Possible, Sight, Way

ORDER: Final[tuple[Means, ...]] = ("slots", "duty", "move", "smaller", "power limit")
WORTH: Final[dict[Means, float]] = {
    "slots": 1.0,
    "duty": 1.03,
    "move": 1.25,
    "smaller": 1.25,
    "power limit": 1.25,
}
"""How many times as much a means must get done as the ones before it."""

LOOK_S = 15.0
"""So far ahead the present way of working must keep the limit."""

HOLD_S = 90.0
"""So long a new one must: then the next action is more than a minute away."""

REST_S = 60.0
"""After an action nothing better is looked for so long."""

CHANGE_S = 600.0
"""Blocks, weights and power limits are changed no sooner after one another."""

GAIN = 1.015
"""A better way of working must get so many times as much done."""

CAREFUL_DUTY = 0.5
"""Share of work where the temperature is not known."""

LEAST_DUTY = 0.02
"""Less work than that is none: a request would wait for minutes."""

_SOON, _LATER, _END = Ahead(0, LOOK_S), Ahead(0, HOLD_S), Ahead(HOLD_S / 2, HOLD_S)
_STEP = 0.005
_CHARGED_AGAIN = 0.05


def decide(
    sight: Sight, forecast: Forecast | None, limits: Limits, possible: Possible, state: State
) -> tuple[State, Action | None]:
    """Decide what to do.

    Args:
        sight: What is seen now.
        forecast: What will be; null where nothing can be said.
        limits: What is to be kept.
        possible: What can be done.
        state: As the last decision left it.

    Returns:
        The new state, and the action that led to it, if any.
    """
    given_back, action = give_back(sight, limits, possible, state)
    if action or given_back.given_back:
        return given_back, action
    judge = _Judge(sight, forecast, limits, possible, state)
    action = judge.unknown() if sight.temperature_c is None or not forecast else judge.known()
    return (state, None) if action is None else (_after(state, action), action)


def give_back(
    sight: Sight, limits: Limits, possible: Possible, state: State
) -> tuple[State, Action | None]:
    """Decide by the battery alone: for devices whose temperature nothing ever told.

    Args:
        sight: What is seen now.
        limits: What is to be kept.
        possible: What can be done.
        state: As the last decision left it.

    Returns:
        As ``decide``.
    """
    low = _low_battery(sight.battery, limits, given_back=state.given_back)
    if bool(low) == state.given_back:
        return state, None
    # It comes back with pauses: if it is warm, the next decision says how many.
    setting = Setting(possible.ways[0], 0.0 if low else CAREFUL_DUTY)
    back = "its battery is charged again, or it has power from outside"
    reason = f"{low}: the device is given back" if low else f"{back}: {setting.words}"
    action = Action(sight.at_s, "give back", bool(low), setting, reason, None, None)
    return State(setting, sight.at_s, state.changed_at_s, given_back=bool(low)), action


def _after(state: State, action: Action) -> State:
    small = {"slots", "duty"}
    changed = action.setting.way != state.setting.way and not (
        {action.setting.way.means, state.setting.way.means} <= small
    )
    return State(action.setting, action.at_s, action.at_s if changed else state.changed_at_s)


class _Judge:
    """Weighs what is possible at one moment."""

    def __init__(
        self,
        sight: Sight,
        forecast: Forecast | None,
        limits: Limits,
        possible: Possible,
        state: State,
    ) -> None:
        self._sight = sight
        self._forecast = forecast
        self._limits = limits
        self._possible = possible
        self._state = state

    def unknown(self) -> Action | None:
        """Work half of the time at most, less where even that is forecast to be too hot."""
        now = self._state.setting
        duty = min(now.duty, CAREFUL_DUTY)
        if self._forecast:
            duty = min(duty, self._duty(now.way, self._limits.aims_c(cools=True)))
        # Forecasts without readings drift: only what matters is an action.
        if duty >= now.duty * (1 if now.duty > CAREFUL_DUTY else 1 / GAIN):
            return None
        why = self._sight.trouble or "its temperature is not known"
        return self._action(Setting(now.way, duty), f"{why}, and unknown is not cool", cools=True)

    def known(self) -> Action | None:
        """Act where the limit is near, or where more could be done."""
        now = self._state.setting
        peak_c, acts_c = self._peak(now, _SOON), self._limits.acts_c
        if peak_c > (self._limits.urgent_c if self._resting else acts_c):
            chosen = self._choose(cools=True)
            if chosen == now or chosen.duty == now.duty == 0:
                return None
            reason = f"it would reach {peak_c:.1f} °C within {LOOK_S:.0f} s, above {acts_c:.1f} °C"
            return self._action(chosen, reason, cools=True)
        if self._resting or self._state.acted_at_s is None:
            return None
        chosen = self._choose(cools=False)
        if chosen.rate <= now.rate * GAIN:
            return None
        reason = f"it stays below {acts_c:.1f} °C for {HOLD_S:.0f} s with more work"
        return self._action(chosen, reason, cools=False)

    @property
    def _resting(self) -> bool:
        acted_s = self._state.acted_at_s
        return acted_s is not None and self._sight.at_s - acted_s < REST_S

    def _choose(self, *, cools: bool) -> Setting:
        """Choose what gets most done and keeps the limit, in the order of the means."""
        chosen: Setting | None = None
        for means in ORDER:
            settings = self._of(means, self._limits.aims_c(cools=cools))
            best = max(settings, key=lambda setting: setting.rate, default=None)
            if best and (chosen is None or best.rate > WORTH[means] * chosen.rate):
                chosen = best
        return chosen or self._coolest()

    def _coolest(self) -> Setting:
        """Return what is left where nothing keeps the limit."""
        ways = self._possible.ways
        if self._possible.pauses:
            return Setting(ways[0], 0.0)
        return Setting(min(ways, key=lambda way: way.power_w))

    def _of(self, means: Means, aims_c: float) -> Iterator[Setting]:
        """All settings of a means that keep the limit."""
        for way in self._possible.ways:
            own = "slots" if means == "duty" else means
            if way.means != own or not self._may_change(way):
                continue
            duty = self._duty(way, aims_c)
            if duty == 1 or (means != "slots" and duty >= LEAST_DUTY):
                yield Setting(way, duty)

    def _may_change(self, way: Way) -> bool:
        """Tell whether a way is as easily taken as pauses are, or the last change is long ago."""
        now, changed_s = self._state.setting.way, self._state.changed_at_s
        if way == now or changed_s is None or {way.means, now.means} == {"slots"}:
            return True
        return self._sight.at_s - changed_s >= CHANGE_S

    def _duty(self, way: Way, aims_c: float) -> float:
        """Return the largest share of work that keeps the limit and settles below a temperature."""
        # Between where it acts and where it must: what is there already may take its time.
        most_c = (self._limits.acts_c + self._limits.urgent_c) / 2
        too_hot = self._peak(Setting(way, 0.0), Ahead(0, 0)) > most_c
        whole = Ahead(LOOK_S if too_hot else 0, HOLD_S)

        def keeps(duty: float) -> bool:
            setting = Setting(way, duty)
            return self._peak(setting, whole) <= most_c and self._peak(setting, _END) <= aims_c

        return most_duty(keeps, _STEP) if self._possible.pauses else float(keeps(1.0))

    def _peak(self, setting: Setting, ahead: Ahead) -> float:
        if self._forecast is None:  # for the type checker: nobody asks then
            return float("inf")
        idle_w, period_s = self._possible.idle_w, self._possible.period_s
        load = Load(max(setting.way.power_w, idle_w), idle_w, setting.duty, period_s)
        return self._forecast(load, ahead)

    def _action(self, chosen: Setting, reason: str, *, cools: bool) -> Action:
        now, known = self._state.setting, self._forecast is not None
        return Action(
            at_s=self._sight.at_s,
            kind=_kind(now, chosen),
            cools=cools,
            setting=chosen,
            reason=f"{reason}: {chosen.words}",
            before_c=self._peak(now, _LATER) if known else None,
            after_c=self._peak(chosen, _LATER) if known else None,
        )


def _kind(now: Setting, chosen: Setting) -> Kind:
    """Name what is changed: where it is the way, the one of both that is not the usual."""
    if chosen.way == now.way:
        return "duty"
    return chosen.means if chosen.way.means != "slots" else now.way.means


def _low_battery(battery: Battery | None, limits: Limits, *, given_back: bool) -> str | None:
    """Say why a device is to be given back; what is not known of a battery in use counts as low."""
    least = limits.least_charge
    if least is None or (battery and battery.plugged):
        return None
    if battery is None or battery.charge is None:
        in_use = given_back or (battery is not None and battery.plugged is False)
        return "it is on battery, and its charge is not known" if in_use else None
    level = least + _CHARGED_AGAIN if given_back else least
    return f"its battery is at {battery.charge:.0%}" if battery.charge < level else None
