"""Plans that hold for hours: machines whose batteries do not last as long are left out.

A battery lasts until the charge at which a device is given back, and gives the more of what it
gives now and what the devices take at work. What is not known is never enough. A machine with
power from outside counts only where its battery is known to drain nevertheless. Who names a device
to be used gets it, and is told.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from hgx.planner.wishes import read_wishes
from hgx.sensors.battery import read_battery
from hgx.sensors.source import MACHINE
from hgx.thermal.activity import Activity, power_of
from hgx.thermal.means import LEAST_CHARGE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from hgx.core.options import PlanOptions
    from hgx.core.reading import Battery
    from hgx.core.registry import Device, Node, Registry
    from hgx.sensors.source import Source

_S_PER_HOUR = 3600.0


class ShortBattery(NamedTuple):
    """A battery that does not last for the whole run.

    Attributes:
        node: Whose it is.
        battery: As it was last seen.
        seen_at: When that was, in ISO 8601; null where nobody wrote that down.
        lasts_s: For so long; null where that is not known.
        devices: Of the node, those that could have been used, by id.
        wanted: Whether they may be used nevertheless, because they were named.
    """

    node: str
    battery: Battery
    seen_at: str | None
    lasts_s: float | None
    devices: tuple[str, ...]
    wanted: bool


class Powered(NamedTuple):
    """What has power for the whole run.

    Attributes:
        registry: Without the devices whose machines do not last.
        options: Naming no device that is left out: its node stands for it.
        short: The batteries that do not last.
    """

    registry: Registry
    options: PlanOptions
    short: tuple[ShortBattery, ...] = ()


def with_battery_now(
    registry: Registry, options: PlanOptions, this_node: str | None, source: Source = MACHINE
) -> Registry:
    """Put this machine's battery as it is now in place of what discovery saw, for a long run.

    Batteries of other machines stay as they were seen, and so does one that nothing tells of.

    Args:
        registry: Nodes, devices and links.
        options: How the model will be run, and for how long.
        this_node: Id of this machine, which need not be in the registry.
        source: The machine.
    """
    if options.duration_s is None or this_node not in {node.id for node in registry.nodes}:
        return registry
    battery = read_battery(source)
    nodes = (
        node.model_copy(update={"battery": battery}) if battery and node.id == this_node else node
        for node in registry.nodes
    )
    return registry.model_copy(update={"nodes": tuple(nodes)})


def powered(registry: Registry, options: PlanOptions, pinned: Collection[str] = ()) -> Powered:
    """Leave out devices whose machines have no power for as long as a run lasts.

    Args:
        registry: Nodes, devices and links.
        options: How the model will be run; what it requires stays.
        pinned: Devices that have their blocks already, and stay; no others are used then.

    Raises:
        RegistryError: The options name a device that is not there, or contradict each other.
    """
    if options.duration_s is None:
        return Powered(registry, options)
    short = tuple(_short_batteries(registry, options, pinned, options.duration_s))
    gone = {one.node for one in short if not one.wanted}
    node_of = {one.id: one.node for one in registry.devices if one.node in gone}
    named = {
        field: tuple(node_of.get(name, name) for name in names)
        for field, names in (("exclude", options.exclude), ("only", options.only))
    }
    left = tuple(one for one in registry.devices if one.id not in node_of)
    return Powered(
        registry.model_copy(update={"devices": left}), options.model_copy(update=named), short
    )


def battery_notes(
    short: Iterable[ShortBattery], coordinator: str | None, duration_s: float
) -> Iterator[str]:
    """Say which batteries do not last, what follows from it, and what to do; one sentence each.

    Args:
        short: Batteries that do not last.
        coordinator: Node that coordinates; null where none does.
        duration_s: How long the run is.
    """
    for one in short:
        coordinates = one.node == coordinator
        if not (one.devices or coordinates):
            continue  # it takes no part anyway
        what = _in_words(one, duration_s)
        if one.devices:
            what += ", and is used as you ask" if one.wanted else ", so its devices are left out"
        if coordinates:
            what += "; nothing works without it, as it coordinates"
        charger = "a stronger charger" if one.battery.plugged else "its charger"
        cure = f"connect {charger} and run `hgx discover`, or shorten --duration"
        anyway = f"; --require {one.node} uses it nevertheless"
        yield f"{what}: {cure}" + (anyway if one.devices and not one.wanted else "")


def age_notes(nodes: Iterable[Node]) -> Iterator[str]:
    """Say of which time batteries are, where that is known; one sentence each.

    Args:
        nodes: Whose batteries are taken to last.
    """
    for node in nodes:
        if node.battery and node.seen_at:
            yield f"{node.id}'s battery{_of(node.seen_at)} lasts: `hgx discover` looks again"


def _of(seen_at: str | None) -> str:
    return f" (as of {seen_at})" if seen_at else ""


def _short_batteries(
    registry: Registry, options: PlanOptions, pinned: Collection[str], duration_s: float
) -> Iterator[ShortBattery]:
    named = {*options.require, *pinned}
    everything = {one.id for one in registry.devices}
    allowed = set(pinned) or everything - read_wishes(registry, options).refused
    for node in registry.nodes:
        if node.battery is None or not _drains(node.battery):
            continue
        devices = [one for one in registry.devices if one.node == node.id]
        usable = [one for one in devices if one.id in allowed]
        lasts_s = _lasts_s(node.battery, _work_w(usable))
        if lasts_s is None or lasts_s < duration_s:
            wanted = not named.isdisjoint({node.id, *(one.id for one in devices)})
            names = tuple(one.id for one in usable)
            yield ShortBattery(node.id, node.battery, node.seen_at, lasts_s, names, wanted)


def _drains(battery: Battery) -> bool:
    """Tell whether a battery gets emptier, as far as is known."""
    if battery.plugged:
        return battery.charging is False and bool(battery.power_w and battery.full_wh)
    # Without a word on chargers, one with a charge that is not known to rise seems to be in use.
    return battery.plugged is False or (battery.charge is not None and not battery.charging)


def _work_w(devices: Iterable[Device]) -> float:
    """Return what devices take at work, of those whose power was learnt."""
    return sum(power_of(one.thermal, Activity("decode")).power_w for one in devices if one.thermal)


def _lasts_s(battery: Battery, work_w: float) -> float | None:
    """Return for how long a battery lasts; null where that is not known."""
    if battery.charge is not None and battery.charge <= LEAST_CHARGE:
        return 0.0
    now_w = 0.0 if battery.charging else battery.power_w or 0.0
    watts = now_w if battery.plugged else max(now_w, work_w)
    if battery.charge is None or battery.full_wh is None or not watts:
        return None
    return (battery.charge - LEAST_CHARGE) * battery.full_wh * _S_PER_HOUR / watts


def _in_words(one: ShortBattery, duration_s: float) -> str:
    battery, charge = f"{one.node}'s battery{_of(one.seen_at)}", one.battery.charge
    if one.lasts_s is None:
        return f"how long {battery} lasts is not known"
    if charge is not None and charge <= LEAST_CHARGE:
        return f"{battery} is at {charge:.0%} and needs more than {LEAST_CHARGE:.0%}"
    nevertheless = " although it is plugged in" if one.battery.plugged else ""
    minutes = f"{one.lasts_s // 60:.0f} of {math.ceil(duration_s / 60)} min"
    return f"{battery} lasts {minutes}{nevertheless}"
