"""Synthetic devices that behave as the real traces do, and what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from hgx.core.thermal import ForecastError, ThermalParameters, ThermalStage
from hgx.thermal.rc import Network, Stage, run, steady_rise, temperature_c
from hgx.thermal.trace import Trace, make_trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CARD = Network((Stage(0.03, 0.4), Stage(0.037, 34.0)), 19.5)
"""A card of 700 W, as the real ones were found to be."""

IDLE_W, BUSY_W = 75.0, 690.0
FINE_S = 0.05
METER_S = 1.0
"""What a power meter shows is the mean over so many seconds."""


def networks() -> st.SearchStrategy[Network]:
    """Devices of one or two stages."""
    stage = st.builds(Stage, st.floats(0.001, 10.0), st.floats(0.1, 1000.0))
    return st.builds(Network, st.lists(stage, min_size=1, max_size=2).map(tuple), st.floats(0, 60))


def parameters(network: Network = CARD, *, rmse_c: float = 0.7) -> ThermalParameters:
    """A device as the registry has it, that draws 690 W at most."""
    return ThermalParameters(
        stages=tuple(ThermalStage(resistance_k_per_w=r, tau_s=tau) for r, tau in network.stages),
        ambient_c=network.ambient_c,
        rmse_c=rmse_c,
        errors=(ForecastError(ahead_s=10.0, rmse_c=rmse_c),),
        highest_power_w=BUSY_W,
        samples=100,
        duration_s=100.0,
    )


def work(seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Time and power, finely: idle, busy with short breaks, and idle at the end again."""
    time = np.arange(0.0, seconds, FINE_S)
    power = np.full(len(time), BUSY_W)
    for begin in np.arange(0.2 * seconds, 0.85 * seconds, 25.0):
        length = random.uniform(0.5, 6.0)
        power[(time >= begin) & (time < begin + length)] = random.uniform(150.0, 500.0)
    power[(time < 0.1 * seconds) | (time > 0.9 * seconds)] = IDLE_W
    return time, power + random.normal(0.0, 2.0, len(time))


def watched(
    time: Floats,
    power: Floats,
    *,
    network: Network = CARD,
    rise_k: Floats | None = None,
    step_s: float = 0.3,
    seed: int = 0,
) -> Trace:
    """What sensors show of a device: whole degrees and means of power, at uneven steps.

    Args:
        time: Fine steps, as ``power``.
        power: What is drawn.
        network: The device.
        rise_k: Its state at the begin; null where it was idle for long.
        step_s: Between readings, about.
        seed: Of the unevenness.
    """
    start = steady_rise(network, float(power[0])) if rise_k is None else rise_k
    true_c = temperature_c(network, run(network, start, time, power))
    span = round(METER_S / FINE_S)
    padded = np.concatenate([np.full(span, power[0]), power])
    shown_w = np.convolve(padded, np.full(span, 1 / span), mode="valid").astype(np.float64)
    random = np.random.default_rng(seed)
    gaps = random.uniform(0.7, 1.3, int(2 * time[-1] / step_s)) * step_s
    at = np.unique(np.searchsorted(time, np.cumsum(gaps)))
    at = at[at < len(time)]
    return make_trace(time[at], np.round(true_c[at]), np.round(shown_w[at], 2))


def twin(seconds: float = 266.0, *, network: Network = CARD, seed: int = 0) -> Trace:
    """A trace like the real one from idle to full power and back."""
    time, power = work(seconds, np.random.default_rng(seed))
    return watched(time, power, network=network, seed=seed)
