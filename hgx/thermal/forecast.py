"""How warm a device will be if it does something, and when it would reach a limit.

What is forecast is planned work: with the power that this very work draws. That the power stays as
it is was found to predict no better than that the temperature does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.thermal.rc import network_of, step, temperature_c

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from hgx.core.thermal import ThermalParameters
    from hgx.thermal.activity import Power
    from hgx.thermal.drift import Track
    from hgx.thermal.rc import Network

    Floats = NDArray[np.float64]

SIGMAS: Final = 1.96
"""Standard deviations on either side that hold 95% of what is normal."""

_FIRST_S: Final = 0.1
_POINTS: Final = 400
"""Moments at which a limit is looked for, closer together the sooner they are."""


class Forecast(NamedTuple):
    """Temperatures to come; all of shape ``(n,)``.

    Attributes:
        ahead_s: Seconds from now.
        temperature_c: What is expected.
        low_c: With 95% confidence it is warmer.
        high_c: With 95% confidence it is cooler; infinite where the temperature is not known now.
        doubts: What makes it less certain than that, in words.
    """

    ahead_s: Floats
    temperature_c: Floats
    low_c: Floats
    high_c: Floats
    doubts: tuple[str, ...] = ()


class TimeToLimit(NamedTuple):
    """Seconds until a device reaches a limit; infinity where it does not within the horizon.

    Attributes:
        soonest_s: With 95% confidence not sooner; zero where the temperature is not known now.
        expected_s: Most likely then.
        latest_s: With 95% confidence not later.
    """

    soonest_s: float
    expected_s: float
    latest_s: float


def forecast(
    parameters: ThermalParameters, track: Track, power: Power, ahead_s: ArrayLike
) -> Forecast:
    """Forecast temperatures while a device draws something from now on.

    Args:
        parameters: Its model.
        track: Where it stands now.
        power: What it will draw.
        ahead_s: Seconds from now, shape ``(n,)``.
    """
    network, ahead = network_of(parameters), np.atleast_1d(np.asarray(ahead_s, float))
    expected = temperature_c(network, step(network, track.rise_k, power.power_w, ahead))
    expected = expected + track.bias_c
    half = _half_width_k(parameters, network, track, power, ahead)
    doubts = (*track.doubts, power.doubt) if power.doubt else track.doubts
    high = np.full_like(expected, np.inf) if track.unknown else expected + half
    return Forecast(ahead, expected, expected - half, high, doubts)


def _half_width_k(
    parameters: ThermalParameters, network: Network, track: Track, power: Power, ahead: Floats
) -> Floats:
    """Half of the width of the interval: of the model, of the power, and of what is new to it.

    How far forecasts were off says what the model lacks where the power stays within what it saw.
    What the resistances may be in all counts by how far the power goes from where it is.
    """
    known_s = [error.ahead_s for error in parameters.errors] or [1.0]
    known_k = [error.rmse_c for error in parameters.errors] or [parameters.rmse_c]
    # What was off less further ahead was so by chance.
    model = SIGMAS * np.interp(ahead, known_s, np.maximum.accumulate(known_k))
    reached = step(network, np.zeros(len(network.stages)), 1.0, ahead).sum(axis=-1)
    scatter = SIGMAS * power.scatter_w * reached
    low, high = parameters.resistance_span_k_per_w or (0.0, 0.0)
    share = reached / network.resistance_k_per_w
    new = (high - low) / 2 * abs(power.power_w - track.power_w) * share
    return np.sqrt(model**2 + scatter**2 + new**2)


def time_to_limit(
    parameters: ThermalParameters,
    track: Track,
    power: Power,
    limit_c: float,
    horizon_s: float = 3600.0,
) -> TimeToLimit:
    """Find when a device reaches a limit if it draws something from now on.

    Args:
        parameters: Its model.
        track: Where it stands now.
        power: What it will draw.
        limit_c: Where it throttles, or whatever is not to be reached.
        horizon_s: How far to look ahead.
    """
    ahead = np.concatenate(([0.0], np.geomspace(min(_FIRST_S, horizon_s / 2), horizon_s, _POINTS)))
    found = forecast(parameters, track, power, ahead)
    return TimeToLimit(
        _first_above(ahead, found.high_c, limit_c),
        _first_above(ahead, found.temperature_c, limit_c),
        _first_above(ahead, found.low_c, limit_c),
    )


def _first_above(ahead_s: Floats, values_c: Floats, limit_c: float) -> float:
    """Find when values first reach a limit, between neighbours linearly."""
    at = int((values_c >= limit_c).argmax())
    if values_c[at] < limit_c:
        return math.inf
    if at == 0:
        return 0.0
    before, after = values_c[at - 1], values_c[at]
    share = (limit_c - before) / (after - before)
    return float(ahead_s[at - 1] + share * (ahead_s[at] - ahead_s[at - 1]))
