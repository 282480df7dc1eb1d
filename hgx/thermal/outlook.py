"""How hot a device gets that works and rests in turns: what a policy looks at before it acts.

A load is so many seconds of work, then of rest, again and again. All stages are linear, so their
state at the begin of period ``k`` is known without the periods before it: with the state ``s`` that
repeats itself in every period, and ``p`` the period,

    x(k) = s + (x(0) - s) exp(-k p / tau)

and a period is hottest where its work ends. That counts quick stages as hot as work makes them,
which a mean power would not: pauses of seconds do not cool what heats up in a tenth of one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hgx.thermal.means import Sight
from hgx.thermal.rc import network_of, steady_rise, temperature_c

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from hgx.core.reading import Battery
    from hgx.core.thermal import ThermalParameters
    from hgx.thermal.drift import Track
    from hgx.thermal.means import Ahead, Forecast, Load
    from hgx.thermal.rc import Network

_HALVINGS = 14
"""Finds a share to a ten-thousandth, which is finer than any pause."""

DISBELIEF_K = 2.0
"""A reading so far above what the model says counts more than the model."""


def highest_c(network: Network, rise_k: ArrayLike, load: Load, ahead: Ahead) -> float:
    """Return the highest temperature in a part of the future.

    Args:
        network: The device.
        rise_k: Its state now, shape ``(stages,)``.
        load: What it does from now on.
        ahead: Which part; all periods that begin in it count.

    Returns:
        In °C.
    """
    now = np.asarray(rise_k, float)
    first, last = (math.ceil(end_s / load.period_s) for end_s in ahead)
    begins_s = np.arange(first, max(last, first + 1)) * load.period_s
    work_s, rest_s = load.duty * load.period_s, (1 - load.duty) * load.period_s
    hot, cold = steady_rise(network, load.power_w), steady_rise(network, load.idle_w)
    worked, rested = np.exp(-work_s / network.taus), np.exp(-rest_s / network.taus)
    repeats = cold + (hot - cold) * (1 - worked) * rested / (1 - worked * rested)
    begins = repeats + (now - repeats) * np.exp(-begins_s[:, None] / network.taus)
    ends = hot + (begins - hot) * worked
    return float(max(temperature_c(network, begins).max(), temperature_c(network, ends).max()))


def sight_of(track: Track, battery: Battery | None = None) -> Sight:
    """Return what a policy needs to know of where a device stands now."""
    known_c = None if track.unknown else track.temperature_c
    return Sight(track.time_s, known_c, "; ".join(track.doubts) or None, battery)


def forecast_of(parameters: ThermalParameters, track: Track) -> Forecast:
    """Return what a model forecasts for loads, corrected by what the sensors said last."""
    network = network_of(parameters)
    expected_c = float(temperature_c(network, track.rise_k)) + track.bias_c
    surprise_k = max(0.0, track.temperature_c - expected_c - DISBELIEF_K)

    def forecast(load: Load, ahead: Ahead) -> float:
        return highest_c(network, track.rise_k, load, ahead) + track.bias_c + surprise_k

    return forecast


def most_duty(keeps: Callable[[float], bool], step: float) -> float:
    """Find the largest share of work that keeps a limit.

    Args:
        keeps: Whether a share does; where one does, so do all smaller ones.
        step: The share is a multiple of this, or 1.

    Returns:
        0 where none does, too.
    """
    if keeps(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return round(math.floor(low / step + 1e-9) * step, 6)
