"""Plans that hold for hours: devices count with the speed that heat and power allow for so long.

A device works at full speed until it reaches the temperature where it slows down, and from then on
as much as keeps it there. It is taken to work all the time, as it does when many ask; one stage of
several works less for one conversation, so that this is the careful side. Devices whose heat was
never fitted, or whose limit nobody knows, count as they are, and are named. Devices without power
for so long do not count at all; see ``hgx.flows.plan_battery``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.flows.plan_battery import powered
from hgx.thermal.activity import IDLE, Activity, power_of
from hgx.thermal.sustained import Work, kept_share
from hgx.units import format_seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from hgx.core.engine_rates import EngineRates, TypeRates
    from hgx.core.options import PlanOptions
    from hgx.core.registry import Device, Registry
    from hgx.flows.plan_battery import ShortBattery

RESERVE_K = 2.0
"""Kept free below the temperature where the hardware slows down."""

NOTABLE = 0.995
"""A device that keeps more than this share counts as it is."""

LEAST = 0.01
"""A share below this is as good as none, and none cannot be divided by."""


class Lasting(NamedTuple):
    """A registry for a long run.

    Attributes:
        registry: Devices as fast as they stay, without those that have no power for so long.
        options: For that registry.
        shares: What is left of the speed of each device that slows down, by id.
        unknown: Devices whose heat is not known, by id.
        batteries: Those that do not last.
    """

    registry: Registry
    options: PlanOptions
    shares: dict[str, float]
    unknown: tuple[str, ...] = ()
    batteries: tuple[ShortBattery, ...] = ()


def lasting(registry: Registry, options: PlanOptions, pinned: Collection[str] = ()) -> Lasting:
    """Slow devices down to what they keep up for so long, from a cool beginning.

    Args:
        registry: Nodes, devices and links.
        options: How the model will be run, and for how long; for no time where that is null.
        pinned: Devices that have their blocks already.

    Raises:
        RegistryError: The options name a device that is not there, or contradict each other.
    """
    registry, options, batteries = powered(registry, options, pinned)
    if options.duration_s is None:
        return Lasting(registry, options, {})
    shares: dict[str, float] = {}
    unknown: list[str] = []
    devices: list[Device] = []
    for device in registry.devices:
        share = _kept(device, options.duration_s)
        if share is None:
            unknown.append(device.id)
        elif share < NOTABLE:
            shares[device.id] = share
        devices.append(_slowed(device, shares.get(device.id, 1.0)))
    changed = registry.model_copy(update={"devices": tuple(devices)})
    return Lasting(changed, options, shares, tuple(unknown), batteries)


def heat_notes(slowed: Lasting, used: Sequence[Device], duration_s: float) -> Iterator[str]:
    """Say what heat leaves of devices, and what is not known of it; a sentence for each.

    Args:
        slowed: For a long run.
        used: The devices that are used.
        duration_s: How long that is.
    """
    span = format_seconds(duration_s)
    for device in used:
        if device.id in slowed.shares:
            share = f"{slowed.shares[device.id]:.0%}"
            rest = device.thermal and power_of(device.thermal, IDLE).doubt
            yield f"over {span} {device.id} keeps {share} of its speed: it reaches its limit" + (
                ", and rest is taken to cool nothing, as nobody knows what it draws then: "
                "hgx thermal record --activity idle, then fit"
                if rest
                else ""
            )
    unknown = [device for device in used if device.id in slowed.unknown]
    if names := ", ".join(device.id for device in unknown if device.thermal is None):
        yield f"how warm {names} would be is not known: hgx thermal record, then fit"
    if names := ", ".join(device.id for device in unknown if device.thermal):
        yield f"where {names} slows down is not known: give temperature_limit_c in the registry"


def _kept(device: Device, duration_s: float) -> float | None:
    """What is left of a device's speed; null where its heat or its limit is not known."""
    parameters, limit_c = device.thermal, device.temperature_limit_c
    if parameters is None or limit_c is None:
        return None
    work = Work(power_of(parameters, Activity("decode")), power_of(parameters, IDLE))
    return max(LEAST, kept_share(parameters, limit_c - RESERVE_K, work, duration_s))


def _slowed(device: Device, share: float) -> Device:
    if share == 1.0:
        return device
    update: dict[str, object] = {
        "memory_bandwidth_bytes_per_s": device.memory_bandwidth_bytes_per_s * share,
        "compute_flops_per_s": device.compute_flops_per_s * share,
    }
    if device.engine is not None:
        update["engine"] = _slower_engine(device.engine, 1.0 / share)
    return device.model_copy(update=update)


def _slower_engine(engine: EngineRates, factor: float) -> EngineRates:
    """The same rates, all of them taking longer; what the wire costs does not."""

    def longer(types: dict[str, TypeRates]) -> dict[str, TypeRates]:
        return {
            name: rates.model_copy(
                update={field: factor * seconds for field, seconds in dict(rates).items()}
            )
            for name, rates in types.items()
        }

    fields = (
        "decode_layer_s",
        "prefill_layer_s",
        "head_s",
        "worker_decode_layer_s",
        "decode_attention_s_per_flop",
        "prefill_attention_s_per_flop",
    )
    values = {name: getattr(engine, name) for name in fields}
    return engine.model_copy(
        update={
            "types": longer(engine.types),
            "worker_types": longer(engine.worker_types),
            **{name: None if value is None else factor * value for name, value in values.items()},
        }
    )
