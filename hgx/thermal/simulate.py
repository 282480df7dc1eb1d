"""A policy and a device in a closed loop: what it would have come to.

The device is a network of its own, as it is; the policy has a model of it, which may be wrong, and
sees it through a sensor that rounds and lies a little. Time passes in turns of work and rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.thermal.drift import Seen, begin, observe
from hgx.thermal.means import as_usual
from hgx.thermal.optimum import Task, most_work
from hgx.thermal.outlook import forecast_of, sight_of
from hgx.thermal.policy import decide
from hgx.thermal.rc import steady_rise, step, temperature_c
from hgx.thermal.twins import parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hgx.core.thermal import ThermalParameters
    from hgx.thermal.means import Action, Forecast, Limits, Possible, Setting, Sight, State
    from hgx.thermal.twins import Twin

    Floats = NDArray[np.float64]
    Policy = Callable[
        [Sight, Forecast | None, Limits, Possible, State], tuple[State, Action | None]
    ]

SAMPLE_S: Final = 0.25
"""The device is looked at so often, and at every begin and end of work."""

STEADY_SHARE: Final = 0.5
"""The second half of a run counts as steady."""


class Run(NamedTuple):
    """What it came to.

    Attributes:
        time_s: Of the samples; shape ``(n,)`` as of the next two.
        hottest_c: The hottest spot, as it was and not as it was seen.
        shown_c: What the sensor showed; NaN where it was not read.
        duty: Share of work; shape ``(turns,)`` as of the next.
        rate: What got done, as a share of the usual way without pauses.
        actions: All of them, in order.
        duration_s: For how long it ran.
    """

    time_s: Floats
    hottest_c: Floats
    shown_c: Floats
    duty: Floats
    rate: Floats
    actions: tuple[Action, ...]
    duration_s: float

    @property
    def done(self) -> float:
        """What got done on average, as a share of the usual way without pauses."""
        return float(self.rate.mean())

    @property
    def actions_per_minute(self) -> float:
        """The most actions within any minute of the steady part."""
        times = [one.at_s for one in self.actions if one.at_s >= STEADY_SHARE * self.duration_s]
        return max((sum(0 <= other - one < 60 for other in times) for one in times), default=0)


def simulate(
    twin: Twin,
    duration_s: float,
    *,
    believed: ThermalParameters | None = None,
    policy: Policy = decide,
    start_k: Floats | None = None,
    seed: int = 0,
) -> Run:
    """Let a policy keep a device that has work without end.

    Args:
        twin: The device.
        duration_s: For how long.
        believed: What the policy takes the device for; null for the truth, without what is hidden.
        policy: As ``hgx.thermal.policy.decide``.
        start_k: Rises of the device's stages at the begin, the hidden one last; null after long
            rest.
        seed: Of the sensor's noise.
    """
    possible, model = twin.possible, believed or parameters_of(twin)
    device = _Device(twin, start_k, np.random.default_rng(seed))
    state, track = as_usual(possible), begin(model, device.seen(possible.idle_w))
    settings: list[Setting] = []
    actions: list[Action] = []
    for _ in range(math.ceil(duration_s / possible.period_s)):
        forecast = forecast_of(model, track)
        state, action = policy(sight_of(track), forecast, twin.limits, possible, state)
        actions += [action] if action else []
        settings.append(state.setting)
        work_s = state.setting.duty * possible.period_s
        for power_w, seconds in (
            (state.setting.way.power_w, work_s),
            (possible.idle_w, possible.period_s - work_s),
        ):
            if seconds > 0:
                device.go_on(power_w, seconds)
                track = observe(model, track, device.seen(power_w))
    return Run(
        *device.samples(),
        np.array([setting.duty for setting in settings]),
        np.array([setting.rate for setting in settings]),
        tuple(actions),
        duration_s,
    )


def best(twin: Twin, duration_s: float, start_k: Floats | None = None) -> float:
    """Return the most that pauses alone leave possible, as a share of the usual way without them.

    Args:
        twin: The device, as it is.
        duration_s: For how long.
        start_k: As for ``simulate``.
    """
    usual, idle_w = twin.possible.ways[0], twin.possible.idle_w
    whole = twin.whole
    task = Task(
        whole, usual.power_w, idle_w, twin.limits.ceiling_c, twin.possible.period_s, duration_s
    )
    start = steady_rise(whole, idle_w) if start_k is None else start_k
    return usual.rate * most_work(task, [float(one) for one in start])


class _Device:
    """A device as it is, going on in time."""

    def __init__(self, twin: Twin, start_k: Floats | None, noise: np.random.Generator) -> None:
        idle_w = twin.possible.idle_w
        self._twin = twin
        self._rise_k = steady_rise(twin.whole, idle_w) if start_k is None else start_k
        self._noise = noise
        self._now_s = 0.0
        self._parts: list[tuple[Floats, Floats, Floats]] = []

    def go_on(self, power_w: float, seconds: float) -> None:
        """Draw a power for some seconds."""
        count = math.ceil(seconds / SAMPLE_S)
        since_s = np.arange(1, count + 1) * seconds / count
        rises = step(self._twin.whole, self._rise_k, power_w, since_s)
        self._rise_k = rises[-1]
        hottest_c = temperature_c(self._twin.whole, rises)
        self._parts.append((self._now_s + since_s, hottest_c, np.full(count, np.nan)))
        self._now_s += seconds

    def seen(self, power_w: float) -> Seen:
        """Read the sensors."""
        network, step_c = self._twin.network, self._twin.step_c
        true_c = float(temperature_c(network, self._rise_k[: len(network.stages)]))
        lied_c = true_c + self._twin.noise_c * self._noise.normal()
        shown_c = round(lied_c / step_c) * step_c
        if self._parts:
            self._parts[-1][2][-1] = shown_c
        return Seen(self._now_s, shown_c, power_w, step_c)

    def samples(self) -> tuple[Floats, Floats, Floats]:
        """Return times, hottest spots and what the sensor showed."""
        times, hottest, shown = zip(*self._parts, strict=True)
        return np.concatenate(times), np.concatenate(hottest), np.concatenate(shown)
