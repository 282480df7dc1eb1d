"""One or two RC stages in Foster form: from power to temperature.

    T(t) = ambient + sum_i x_i(t),      x_i' = (R_i P(t) - x_i) / tau_i

A state is the rise ``x`` of every stage above ambient, in kelvin, on the last axis. Where power is
constant for ``h`` seconds the step is exact, however long it is:

    x_i(t + h) = a_i x_i(t) + (1 - a_i) R_i P,      a_i = exp(-h / tau_i)

so time may be sampled as it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from hgx.core.thermal import ThermalParameters

    Floats = NDArray[np.float64]


class Stage(NamedTuple):
    """Kelvin that a lasting watt adds, and seconds until 63% of that is reached."""

    resistance_k_per_w: float
    tau_s: float


class Network(NamedTuple):
    """A device's stages, and where it ends up without power in °C."""

    stages: tuple[Stage, ...]
    ambient_c: float

    @property
    def resistances(self) -> Floats:
        """K/W, shape ``(stages,)``."""
        return np.array([stage.resistance_k_per_w for stage in self.stages])

    @property
    def taus(self) -> Floats:
        """Seconds, shape ``(stages,)``."""
        return np.array([stage.tau_s for stage in self.stages])

    @property
    def resistance_k_per_w(self) -> float:
        """All stages together: kelvin that a lasting watt adds in the end."""
        return sum(stage.resistance_k_per_w for stage in self.stages)


def network_of(parameters: ThermalParameters) -> Network:
    """Return what is computed with, of what the registry keeps."""
    stages = (Stage(one.resistance_k_per_w, one.tau_s) for one in parameters.stages)
    return Network(tuple(stages), parameters.ambient_c)


def temperature_c(network: Network, rise_k: ArrayLike) -> Floats:
    """Return the temperature of states, of shape ``(..., stages)``; the result lacks that axis."""
    return np.asarray(rise_k, float).sum(axis=-1) + network.ambient_c


def steady_rise(network: Network, power_w: ArrayLike) -> Floats:
    """Return the state in the end at a lasting power; shape ``(..., stages)``."""
    return np.asarray(power_w, float)[..., None] * network.resistances


def steady_c(network: Network, power_w: float) -> float:
    """Return the temperature in the end at a lasting power: ambient + R P."""
    return network.ambient_c + network.resistance_k_per_w * power_w


def rise_at(network: Network, observed_c: float, power_w: float) -> Floats:
    """Guess the state of a device of which only the temperature is known.

    It is taken to have long drawn what it draws, only as much warmer or cooler in every stage as
    it is seen to be. Where it draws next to nothing the stages share the rise by their resistances.

    Args:
        network: The device.
        observed_c: Its temperature.
        power_w: What it draws.

    Returns:
        Rises that add up to the temperature; shape ``(stages,)``.
    """
    steady = steady_rise(network, power_w)
    rest_k = observed_c - network.ambient_c - steady.sum()
    return steady + rest_k * network.resistances / network.resistance_k_per_w


def step(network: Network, rise_k: ArrayLike, power_w: ArrayLike, seconds: ArrayLike) -> Floats:
    """Advance states while power is constant.

    Args:
        network: The device.
        rise_k: States, shape ``(..., stages)``.
        power_w: Power of each, shape ``(...)`` or one for all.
        seconds: How long, likewise.

    Returns:
        The states then.
    """
    decay = np.exp(-np.asarray(seconds, float)[..., None] / network.taus)
    steady = steady_rise(network, power_w)
    return steady + (np.asarray(rise_k, float) - steady) * decay


def run(network: Network, rise_k: ArrayLike, time_s: Floats, power_w: Floats) -> Floats:
    """Compute a device's states over time.

    Args:
        network: The device.
        rise_k: Its state at the first time, shape ``(stages,)``.
        time_s: Rising, shape ``(n,)``.
        power_w: What it draws from each time until the next, shape ``(n,)``; the last is not used.

    Returns:
        Its state at every time, shape ``(n, stages)``.
    """
    decay = np.exp(-(time_s - time_s[0])[:, None] / network.taus)
    driven = response(network.taus, time_s, power_w) * network.resistances
    return driven + decay * np.asarray(rise_k, float)


def response(taus: Floats, time_s: Floats, power_w: Floats) -> Floats:
    """Filter power with time constants: the rise of stages of 1 K/W that begin at ambient.

    Steps are joined two by two, four by four and so on, so that numpy does all of a doubling at
    once: two steps ``x -> a x + b`` one after the other are such a step again.

    Args:
        taus: In seconds, shape ``(m,)``.
        time_s: Rising, shape ``(n,)``.
        power_w: From each time until the next, shape ``(n,)``.

    Returns:
        Shape ``(n, m)``, the first row zero.
    """
    scale = np.exp(-np.diff(time_s, prepend=time_s[0])[:, None] / taus)
    before = np.concatenate(([0.0], power_w[:-1]))
    shift = (1 - scale) * before[:, None]
    joined = 1
    while joined < len(time_s):
        shift[joined:] += scale[joined:] * shift[:-joined]
        scale[joined:] = scale[joined:] * scale[:-joined]
        joined *= 2
    return shift
