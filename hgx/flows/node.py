"""This machine as a node: find its devices, announce it, and answer what it has."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hgx.core.reading import Reading
from hgx.flows.discover import discover
from hgx.net.advert import DEFAULT_PORT
from hgx.net.identity import own_identity
from hgx.net.peer import MOST_DEVICES
from hgx.net.stranger import (
    DEVICE_FIELDS,
    NODE_FIELDS,
    known_engine,
    known_evidence,
    known_thermal,
)
from hgx.node.agent import serve_node
from hgx.node.lease import LeaseService
from hgx.node.lender import NO_LIMITS, EngineLender, Limits
from hgx.node.listening import listen
from hgx.node.readings import Telemetry
from hgx.sensors.memory import read_memory
from hgx.store.atomic import shown_path
from hgx.store.home import id_from_host_name
from hgx.store.registry_file import load_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from hgx.core.reading import Battery
    from hgx.core.registry import Device, Registry
    from hgx.node.agent import Running
    from hgx.sensors.memory import HostMemory
    from hgx.store.home import Home


class NodeWish(NamedTuple):
    """How this machine is to be a node.

    Attributes:
        name: What to be called in the network; this node's id where null.
        host: Address or name of this machine to listen on; ``0.0.0.0`` and ``::`` are all
            interfaces by IPv4 or IPv6 alone, null is all by both.
        port: 0 for any free one.
        telemetry: Whether to keep readings of the devices up to date.
        engine_dir: Folder of llama.cpp's programs, with which devices are lent; they are looked
            for where null.
        limits: What is lent at most.
    """

    name: str | None = None
    host: str | None = None
    port: int = DEFAULT_PORT
    telemetry: bool = True
    engine_dir: Path | None = None
    limits: Limits = NO_LIMITS


class NodeReporter(Protocol):
    """Whoever shows the user what happens."""

    def notes(self, notes: tuple[str, ...]) -> None:
        """Show what is good to know, one sentence each."""

    def ready(self, running: Running, fingerprint: str) -> None:
        """Show that the node answers."""


def run_node(wish: NodeWish, home: Home, reporter: NodeReporter) -> int:
    """Be a node until a signal comes.

    Args:
        wish: How.
        home: Where everything is kept.
        reporter: Shows what happens.

    Returns:
        The exit status: 0, or 130 after an interrupt.

    Raises:
        Unavailable: The port is in use, or the host is none of this machine.
        HgxError: Of the kinds that ``discover``, ``own_identity`` and ``serve_node`` name.
    """
    # The port first: what is wrong with it should not show after all devices are measured.
    with listen(wish.host, wish.port) as listening:
        identity = own_identity(home)
        found = discover(home)
        missing = (item.message for item in found.missing)
        lender = EngineLender(home, partial(_own_devices, home), wish.engine_dir, wish.limits)
        with (
            Telemetry(home.node_id(), enabled=wish.telemetry) as telemetry,
            LeaseService(identity, home, lender) as leases,
        ):
            description = NodeDescription(home, telemetry.readings, battery=telemetry.battery)
            looked_up = _looked_up(wish.host, listening.address)
            reporter.notes((*looked_up, *missing, *found.notes, *description.notes()))
            return serve_node(
                identity,
                wish.name or id_from_host_name(home.node_id()),
                description,
                listening,
                lend=leases.serve,
                ready=lambda running: reporter.ready(running, identity.fingerprint),
            )


def _looked_up(host: str | None, address: str | None) -> tuple[str, ...]:
    """Say which address a name is: to its own machine it often is another than to others."""
    return (f"{host} is {address} here",) if address not in {None, host} else ()


_MOMENTARY = {"temperature_c", "memory_free_bytes", "battery"}
"""Fields that are told from a reading of now or not at all: the registry's are of long ago."""


class NodeDescription:
    """What this node tells others of itself: what the registry says, with the newest readings.

    Only what a peer heeds is told. Serial identities, raw samples and what a person wrote into the
    file stay here, and so do devices beyond the first 64.

    Args:
        home: Where the registry is; it is read again for each answer, because `hgx bench` and
            people change it.
        readings: Gives the newest readings by device name without the node, as ``cuda:0``.
        memory: Reads this machine's main memory: what is free of it is told as it is now.
        battery: Gives the battery as it is now; null where there is none, or nothing tells.
    """

    def __init__(
        self,
        home: Home,
        readings: Callable[[], Mapping[str, Reading]],
        memory: Callable[[], HostMemory] = read_memory,
        battery: Callable[[], Battery | None] = lambda: None,
    ) -> None:
        self._home = home
        self._readings = readings
        self._memory = memory
        self._battery = battery

    def __call__(self, name: str) -> dict[str, JsonValue]:
        """Describe this node under the name it has in the network.

        Returns:
            ``{"node": {...}, "devices": [...]}``, as in a registry.

        Raises:
            RegistryError: The registry was damaged meanwhile.
        """
        own = self._home.node_id()
        registry = load_registry(self._home.registry)
        readings = self._readings()
        nodes = [node for node in registry.nodes if node.id == own]
        told = nodes[0].model_dump(mode="json", exclude_none=True, include=NODE_FIELDS - _MOMENTARY)
        told |= {"id": name, "name": name, "ram_free_bytes": self._memory().free_bytes}
        if battery := self._battery():
            told["battery"] = battery.model_dump(mode="json", exclude_none=True)
        devices: list[JsonValue] = [
            self._device(device, name, readings.get(device.id.partition("/")[2]) or Reading())
            for device in _devices_of(own, registry)[:MOST_DEVICES]
        ]
        return {"node": told, "devices": devices}

    def notes(self) -> tuple[str, ...]:
        """Say that devices are not told, where this node has too many; one sentence, or none.

        Raises:
            RegistryError: The registry is damaged.
        """
        has = len(_devices_of(self._home.node_id(), load_registry(self._home.registry)))
        if has <= MOST_DEVICES:
            return ()
        told = f"others are told of the first {MOST_DEVICES} of {has} devices that this node has"
        return (f"{told}: put those that matter first in {shown_path(self._home.registry)}",)

    def _device(self, device: Device, name: str, reading: Reading) -> dict[str, JsonValue]:
        told: dict[str, JsonValue] = device.model_dump(
            mode="json", exclude_none=True, include=DEVICE_FIELDS - _MOMENTARY
        )
        told |= {"id": f"{name}/{device.id.partition('/')[2]}", "node": name}
        told |= {"evidence": known_evidence(device.evidence)}
        if device.engine:
            told |= {"engine": known_engine(told.get("engine"))}
        if device.thermal:
            told |= {"thermal": known_thermal(told.get("thermal"))}
        free = reading.memory_free_bytes
        if free is None and device.backend == "cpu":
            free = self._memory().free_bytes
        now = {"temperature_c": reading.temperature_c, "memory_free_bytes": free}
        return told | {field: value for field, value in now.items() if value is not None}


def _own_devices(home: Home) -> list[Device]:
    return _devices_of(home.node_id(), load_registry(home.registry))


def _devices_of(node: str, registry: Registry) -> list[Device]:
    return [device for device in registry.devices if device.node == node]
