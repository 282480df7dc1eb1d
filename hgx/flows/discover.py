"""Find the devices of this machine, measure them quickly, and write them into the registry."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, get_args

from hgx.core.registry import Device, EvidenceRank, Node, Registry
from hgx.drivers import all_drivers
from hgx.drivers.base import Measures
from hgx.errors import Unavailable
from hgx.sensors.memory import HostMemory, read_memory
from hgx.sensors.nvml_probe import probe_cards
from hgx.store.registry_file import update_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from hgx.drivers.base import DeviceInfo, Driver, Measurement
    from hgx.sensors.nvml import Card, Survey
    from hgx.store.home import Home

BANDWIDTH = "memory_bandwidth_bytes_per_s"
COMPUTE = "compute_flops_per_s"

_RANKS: tuple[str, ...] = get_args(EvidenceRank)
_CARDS = "cuda"  # the backend that runs on the cards NVML finds
_NVML = "NVML: bus width, cores and highest clocks"


class _Rate(NamedTuple):
    """A rate per second and where it comes from; samples if it was measured."""

    value: float
    rank: EvidenceRank
    source: str
    samples: tuple[float, ...] = ()


# Less than any card of the last ten years does, so that a plan is never built on hope.
_DEFAULTS = {
    BANDWIDTH: _Rate(50e9, "default", "assumed: 50 GB/s, because nothing tells it"),
    COMPUTE: _Rate(500e9, "default", "assumed: 500 GFLOP/s, because nothing tells it"),
}


class Discovery(NamedTuple):
    """What came of it.

    Attributes:
        registry: The registry as written, other nodes included.
        path: Where it was written.
        missing: What could not be looked for or did not answer, with reasons and remedies.
    """

    registry: Registry
    path: Path
    missing: tuple[Unavailable, ...]


def discover(
    home: Home,
    registry_path: Path | None = None,
    *,
    drivers: Mapping[str, Driver] | None = None,
    survey: Callable[[], Survey] = probe_cards,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Discovery:
    """Find and measure the devices of this machine and merge them into the registry.

    Other nodes, links and all fields hgx does not know stay. Devices of this node that are no
    longer there go, except those of backends that nothing here can look for. A rate of better
    evidence stays; one without evidence was written by hand and counts as a vendor's figure.

    Args:
        home: Where the node's id is kept, and the registry if no other path is given.
        registry_path: The registry to update; it need not exist, but its directory must.
        drivers: Drivers by the name of their backend; all there are when absent.
        survey: Reads the NVIDIA cards.
        now: Returns the time, with its zone.

    Raises:
        RegistryError: The registry is damaged.
        StorageError: The home or the registry is not writable.
        DeviceError: A device computes wrong results.
    """
    home.create()
    node = home.keep_node_id()
    drivers = all_drivers() if drivers is None else drivers
    memory, seen_at = read_memory(), now()
    cards, lost = survey()
    driven, absent = _driven(node, drivers, seen_at)
    # A driver has measured what NVML only describes: its word replaces the card's.
    devices = [*(_card_device(node, card, memory, seen_at) for card in cards), *driven]

    def change(old: Registry) -> Registry:
        found = {device.id: device for device in devices}
        return _merge(old, _this_node(node, memory), found, looked_for={*drivers, _CARDS})

    path = registry_path or home.registry
    return Discovery(update_registry(path, change), path, (*lost, *absent))


def _this_node(node: str, memory: HostMemory) -> Node:
    return Node(
        id=node,
        name=platform.node() or node,
        os=platform.system().lower() or None,
        arch=platform.machine().lower() or None,
        ram_total_bytes=memory.total_bytes,
        ram_free_bytes=memory.free_bytes,
    )


def _driven(
    node: str, drivers: Mapping[str, Driver], seen_at: datetime
) -> tuple[list[Device], list[Unavailable]]:
    """Measure all devices that have a driver; say which drivers have no runtime here."""
    devices: list[Device] = []
    absent: list[Unavailable] = []
    for backend, driver in drivers.items():
        try:
            driver.initialize()
        except Unavailable as reason:
            absent.append(reason)
            continue
        try:
            devices.extend(
                _driven_device(node, backend, driver, info, seen_at)
                for info in driver.list_devices()
            )
        finally:
            driver.shutdown()
    return devices, absent


def _driven_device(
    node: str, backend: str, driver: Driver, info: DeviceInfo, seen_at: datetime
) -> Device:
    rates = dict(_DEFAULTS)
    if isinstance(driver, Measures):
        rates[BANDWIDTH] = _measured(driver.read_bandwidth(info.index))
        rates[COMPUTE] = _measured(driver.matmul(info.index))
    facts: dict[str, JsonValue] = {
        "name": info.name,
        "memory_total_bytes": info.memory_total_bytes,
        "memory_free_bytes": driver.memory_info(info.index).free_bytes,
        "unified_memory": info.unified_memory,
        "temperature_c": driver.temperature(info.index),
    }
    return _device(node, f"{backend}:{info.index}", facts, rates, seen_at)


def _measured(measurement: Measurement) -> _Rate:
    # Four digits: the rest is noise, and people read the file.
    value, *samples = (float(f"{rate:.4g}") for rate in (measurement.value, *measurement.samples))
    return _Rate(value, "driver", measurement.method, tuple(samples))


def _card_device(node: str, card: Card, memory: HostMemory, seen_at: datetime) -> Device:
    rates = dict(_DEFAULTS)
    if card.memory_bandwidth_bytes_per_s:
        rates[BANDWIDTH] = _Rate(card.memory_bandwidth_bytes_per_s, "vendor", _NVML)
    if card.compute_flops_per_s:
        rates[COMPUTE] = _Rate(card.compute_flops_per_s, "vendor", _NVML)
    # A card that does not tell its memory has none of its own: it uses the host's.
    unified = card.memory_total_bytes is None
    facts: dict[str, JsonValue] = {
        "name": card.name,
        "memory_total_bytes": card.memory_total_bytes or memory.total_bytes,
        "memory_free_bytes": memory.free_bytes if unified else card.memory_free_bytes,
        "unified_memory": unified,
        "temperature_c": card.temperature_c,
        "temperature_limit_c": card.slowdown_c,
        "uuid": card.uuid,
    }
    return _device(node, f"{_CARDS}:{card.index}", facts, rates, seen_at)


def _device(
    node: str,
    name: str,
    facts: Mapping[str, JsonValue],
    rates: Mapping[str, _Rate],
    seen_at: datetime,
) -> Device:
    """Put a device together; ``name`` is BACKEND:INDEX."""
    evidence = {field: _proof(rate, seen_at) for field, rate in rates.items()}
    values = {field: rate.value for field, rate in rates.items()}
    identity = {"id": f"{node}/{name}", "node": node, "backend": name.partition(":")[0]}
    return Device.model_validate({**identity, **facts, **values, "evidence": evidence})


def _proof(rate: _Rate, seen_at: datetime) -> dict[str, JsonValue]:
    """Write down where a rate comes from; low and high samples far apart tell of a busy machine."""
    origin: dict[str, JsonValue] = {
        "rank": rate.rank,
        "source": rate.source,
        "measured_at": seen_at.isoformat(timespec="seconds"),
    }
    return (
        origin | {"low": min(rate.samples), "high": max(rate.samples)} if rate.samples else origin
    )


def _merge(
    old: Registry, node: Node, found: Mapping[str, Device], looked_for: set[str]
) -> Registry:
    nodes = {known.id: known for known in old.nodes}
    if node.id in nodes:
        fields = nodes[node.id].model_dump(exclude_unset=True) | node.model_dump(exclude_unset=True)
        node = Node.model_validate(fields)
    known = {device.id: device for device in old.devices}
    stay = {
        name: device
        for name, device in known.items()
        if device.node != node.id or device.backend not in looked_for
    }
    fresh = {
        name: _refresh(known[name], device) if name in known else device
        for name, device in found.items()
    }
    # Devices keep their place in the file: people read it.
    places = [name for name in known if name in stay or name in fresh]
    devices = dict.fromkeys(places) | stay | fresh
    fields = dict(old) | {
        "nodes": tuple((nodes | {node.id: node}).values()),
        "devices": tuple(devices.values()),
    }
    return Registry.model_validate(fields)


def _refresh(old: Device, new: Device) -> Device:
    """Take over what is new, and from the old what is unknown or better known."""
    if not _same(old, new):
        return new
    fields = old.model_dump(exclude_unset=True) | new.model_dump(exclude_unset=True)
    evidence = _evidence(old) | _evidence(new)
    for field in (BANDWIDTH, COMPUTE):
        if _rank(old, field) < _rank(new, field):
            fields[field] = getattr(old, field)
            evidence[field] = _evidence(old).get(field)
    return Device.model_validate(fields | {"evidence": evidence})


def _same(old: Device, new: Device) -> bool:
    """Tell whether it is still the same hardware, by its serial identity or else its name."""
    one, other = ((device.model_extra or {}).get("uuid") for device in (old, new))
    if one and other:
        return one == other
    return old.name is None or new.name is None or old.name == new.name


def _evidence(device: Device) -> dict[str, JsonValue]:
    return dict(device.evidence) if isinstance(device.evidence, dict) else {}


def _rank(device: Device, field: str) -> int:
    """Return how good the evidence of a rate is, 0 for the best."""
    entry = _evidence(device).get(field)
    rank = entry.get("rank") if isinstance(entry, dict) else None
    return _RANKS.index(rank if isinstance(rank, str) and rank in _RANKS else "vendor")
