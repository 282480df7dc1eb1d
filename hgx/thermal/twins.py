"""Devices to try a policy on: made up, or as one was fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.core.thermal import ThermalParameters, ThermalStage
from hgx.thermal.means import Limits, Possible, Way
from hgx.thermal.rc import Network, Stage, network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


IDLE_SHARE: Final = 0.3
"""Of the highest power: what a device draws at rest with a model in memory, rather too much."""


class Twin(NamedTuple):
    """A device as it is, and how it is seen.

    Attributes:
        name: What to call it.
        network: What its sensor sees, without power the temperature of its surroundings.
        possible: What can be done about it.
        limits: What is to be kept, everywhere on it.
        hidden: A stage that no sensor sees: the hottest spot above it; null where there is none.
        step_c: The sensor rounds to multiples of this.
        noise_c: Standard deviation of the sensor.
    """

    name: str
    network: Network
    possible: Possible
    limits: Limits
    hidden: Stage | None = None
    step_c: float = 1.0
    noise_c: float = 0.0

    @property
    def whole(self) -> Network:
        """All of it, with what no sensor sees."""
        hidden = (self.hidden,) if self.hidden else ()
        return Network((*self.network.stages, *hidden), self.network.ambient_c)


def parameters_of(twin: Twin, *, resistance: float = 1.0, tau: float = 1.0) -> ThermalParameters:
    """Return a model of what a sensor sees of a device, wrong by factors.

    Args:
        twin: The device.
        resistance: By how much all resistances are wrong.
        tau: By how much all time constants are wrong.
    """
    stages = tuple(
        ThermalStage(
            resistance_k_per_w=stage.resistance_k_per_w * resistance, tau_s=stage.tau_s * tau
        )
        for stage in twin.network.stages
    )
    return ThermalParameters(
        stages=stages,
        ambient_c=twin.network.ambient_c,
        rmse_c=0.0,
        highest_power_w=max(way.power_w for way in twin.possible.ways),
        samples=1,
        duration_s=1.0,
        source="made up",
    )


def fitted(parameters: ThermalParameters, name: str, limits: Limits) -> Twin:
    """Return a device that is as it was fitted, and works as hard as it was ever seen to.

    Args:
        parameters: Its model.
        name: What to call it.
        limits: What is to be kept.
    """
    return Twin(name, network_of(parameters), usual(parameters), limits)


def usual(parameters: ThermalParameters) -> Possible:
    """Return what can be done about a device of which only its heat is known: pauses.

    At rest it draws what it was seen to; where it never was at rest, ``IDLE_SHARE`` of the most.
    """
    idle = [one.power_w for one in parameters.powers if one.kind == "idle"]
    busy_w = parameters.highest_power_w
    return Possible(_at_full_load(busy_w), min(idle[0], busy_w) if idle else IDLE_SHARE * busy_w)


def _at_full_load(power_w: float) -> tuple[Way, ...]:
    return (Way("slots", "at full load", power_w, 1.0),)


def laptop() -> Twin:
    """A slow one: a heat pipe and a case that takes half an hour to warm through."""
    return Twin(
        "slow laptop",
        Network((Stage(0.5, 8.0), Stage(0.8, 500.0)), 28.0),
        Possible(_at_full_load(45.0), idle_w=6.0),
        Limits(80.0),
    )


def graphics_card() -> Twin:
    """A fast one, whose hottest spot is 27 °C above the sensor within a quarter of a second."""
    return Twin(
        "graphics card with a hot spot",
        Network((Stage(0.08, 6.0), Stage(0.12, 60.0)), 30.0),
        Possible(_at_full_load(300.0), idle_w=30.0),
        Limits(105.0, hidden_c=27.0),
        hidden=Stage(0.09, 0.25),
    )


def phone() -> Twin:
    """Without a fan: it slows down soon, and its sensor shows tenths."""
    return Twin(
        "phone",
        Network((Stage(2.5, 20.0), Stage(4.0, 250.0)), 25.0),
        Possible(_at_full_load(5.0), idle_w=0.7),
        Limits(44.0, reserve_c=0.15, band_c=0.1),
        step_c=0.1,
    )


SYNTHETIC: Final[Mapping[str, Callable[[], Twin]]] = {
    "laptop": laptop,
    "card": graphics_card,
    "phone": phone,
}
"""Devices that were made up, by name."""
