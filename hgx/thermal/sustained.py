"""What a device can keep up: the share of full work at which it stays within a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.thermal.rc import network_of, steady_rise, step, temperature_c

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hgx.core.thermal import ThermalParameters
    from hgx.thermal.activity import Power
    from hgx.thermal.rc import Network

    Floats = NDArray[np.float64]

_HALVINGS: Final = 40
_SHORTEST_TURN: Final = 1e-9
"""In time constants: shorter ones are as good as a mean."""

_GROWTH: Final = 0.02
_FIRST_STEP_S: Final = 0.5
"""Time goes on by this, and by this part of what has passed: heat is quick first and slow later."""


class Sustained(NamedTuple):
    """A share of full work, 0 to 1, that keeps the limit for ever.

    Attributes:
        duty: As expected.
        low: With 95% confidence it is more.
        high: With 95% confidence it is less.
        doubt: What makes it less certain, in words; null where nothing does.
    """

    duty: float
    low: float
    high: float
    doubt: str | None = None


class Work(NamedTuple):
    """Work that is done in turns with rest.

    Attributes:
        busy: What is drawn while it works.
        idle: What is drawn while it rests.
        period_s: One turn of work and rest; zero where they change so soon that only the mean
            power matters.
    """

    busy: Power
    idle: Power
    period_s: float = 0.0


def sustained(
    parameters: ThermalParameters, limit_c: float, work: Work, bias_c: float = 0.0
) -> Sustained:
    """Find the share of work at which the hottest moment of each turn is at the limit in the end.

    Args:
        parameters: The device's model.
        limit_c: What is not to be exceeded.
        work: What it does.
        bias_c: What it is now warmer than the model says.
    """
    network = network_of(parameters)._replace(ambient_c=parameters.ambient_c + bias_c)
    least, most = parameters.resistance_span_k_per_w or (network.resistance_k_per_w,) * 2
    cool, warm = parameters.ambient_span_c or (parameters.ambient_c,) * 2
    best = _scaled(network, least, cool - parameters.ambient_c)
    worst = _scaled(network, most, warm - parameters.ambient_c)

    def most_duty(of: Network, sigmas: float) -> float:
        busy_w = max(0.0, work.busy.power_w + sigmas * work.busy.scatter_w)
        return _largest(
            lambda duty: peak_c(of, duty, busy_w, work.idle.power_w, work.period_s) <= limit_c
        )

    return Sustained(
        most_duty(network, 0.0),
        most_duty(worst, 2.0),
        most_duty(best, -2.0),
        work.busy.doubt or work.idle.doubt,
    )


def _scaled(network: Network, resistance_k_per_w: float, warmer_k: float) -> Network:
    """Return the network with another resistance in all, and another ambient."""
    scale = resistance_k_per_w / network.resistance_k_per_w
    stages = (
        one._replace(resistance_k_per_w=one.resistance_k_per_w * scale) for one in network.stages
    )
    return network._replace(stages=tuple(stages), ambient_c=network.ambient_c + warmer_k)


def peak_c(network: Network, duty: float, busy_w: float, idle_w: float, period_s: float) -> float:
    """Return the hottest moment of each turn once turns repeat themselves: the end of work.

    Args:
        network: The device.
        duty: Share of each turn that it works, 0 to 1.
        busy_w: Drawn then.
        idle_w: Drawn the rest of the time.
        period_s: One turn; zero for the temperature at the mean power.
    """
    turns = np.maximum(period_s / network.taus, _SHORTEST_TURN)
    share = np.expm1(-duty * turns) / np.expm1(-turns)
    power_w = idle_w + share * (busy_w - idle_w)
    return float((power_w * network.resistances).sum()) + network.ambient_c


def _largest(keeps: Callable[[float], bool]) -> float:
    """Find the largest share of work that keeps a limit; 0 where none does."""
    if keeps(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low


def kept_share(
    parameters: ThermalParameters,
    limit_c: float,
    work: Work,
    duration_s: float,
    rise_k: Floats | None = None,
) -> float:
    """Return what is done in some time that begins cool, as a share of full work all along.

    The device works fully until it reaches the limit, and from then on as much as keeps it there.

    Args:
        parameters: The device's model.
        limit_c: What is not to be exceeded.
        work: What it does; its period does not matter.
        duration_s: How long it works.
        rise_k: The model's state at the begin; null where it was idle for long.
    """
    network = network_of(parameters)
    busy_w, idle_w = work.busy.power_w, work.idle.power_w
    state = steady_rise(network, idle_w) if rise_k is None else np.asarray(rise_k, float)
    passed_s, done_s = 0.0, 0.0
    while passed_s < duration_s:
        seconds = min(_FIRST_STEP_S + _GROWTH * passed_s, duration_s - passed_s)
        resting_c, working_c = (
            float(temperature_c(network, step(network, state, power_w, seconds)))
            for power_w in (idle_w, busy_w)
        )
        duty = 1.0
        if working_c > limit_c:
            # Rest that draws as much as work, as it is taken to where nobody knows, helps nothing.
            span_k = working_c - resting_c
            duty = max(0.0, (limit_c - resting_c) / span_k) if span_k > 0 else 0.0
        duty = min(duty, 1.0)
        state = step(network, state, idle_w + duty * (busy_w - idle_w), seconds)
        done_s += duty * seconds
        passed_s += seconds
    return done_s / duration_s if duration_s > 0 else 1.0
