"""This machine as a node: find its devices, announce it, and answer what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from hgx.core.reading import Reading
from hgx.flows.discover import discover
from hgx.net.advert import DEFAULT_PORT
from hgx.net.identity import own_identity
from hgx.node.agent import serve_node
from hgx.node.readings import Telemetry
from hgx.sensors.memory import read_memory
from hgx.store.home import id_from_host_name
from hgx.store.registry_file import load_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import JsonValue

    from hgx.core.registry import Device
    from hgx.node.agent import Running
    from hgx.sensors.memory import HostMemory
    from hgx.store.home import Home


class NodeWish(NamedTuple):
    """How this machine is to be a node.

    Attributes:
        name: What to be called in the network; this node's id where null.
        host: Address to listen on; all interfaces where null.
        port: 0 for any free one.
        telemetry: Whether to keep readings of the devices up to date.
    """

    name: str | None = None
    host: str | None = None
    port: int = DEFAULT_PORT
    telemetry: bool = True


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
        HgxError: Of the kinds that ``discover``, ``own_identity`` and ``serve_node`` name.
    """
    identity = own_identity(home)
    found = discover(home)
    reporter.notes((*(item.message for item in found.missing), *found.notes))
    name = wish.name or id_from_host_name(home.node_id())
    with Telemetry(home.node_id(), enabled=wish.telemetry) as telemetry:
        return serve_node(
            identity,
            name,
            NodeDescription(home, telemetry.readings),
            host=wish.host,
            port=wish.port,
            ready=lambda running: reporter.ready(running, identity.fingerprint),
        )


_PRIVATE = {"uuid", "benchmarks", "paired"}
"""Fields of a device that others do not need: serial identities, and raw samples."""

_MOMENTARY = {"temperature_c", "memory_free_bytes"}
"""Fields that are told from a reading of now or not at all: the registry's are of long ago."""

_NODE_FIELDS = {"os", "arch", "ram_total_bytes", "ram_free_bytes", "disk_read_bytes_per_s"}


class NodeDescription:
    """What this node tells others of itself: what the registry says, with the newest readings.

    Only fields that hgx knows are told: what a person wrote into the file beside them stays here.

    Args:
        home: Where the registry is; it is read again for each answer, because `hgx bench` and
            people change it.
        readings: Gives the newest readings by device name without the node, as ``cuda:0``.
        memory: Reads this machine's main memory, for a processor without a reading.
    """

    def __init__(
        self,
        home: Home,
        readings: Callable[[], Mapping[str, Reading]],
        memory: Callable[[], HostMemory] = read_memory,
    ) -> None:
        self._home = home
        self._readings = readings
        self._memory = memory

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
        told = nodes[0].model_dump(mode="json", exclude_none=True, include=_NODE_FIELDS)
        devices: list[JsonValue] = [
            self._device(device, name, readings.get(device.id.partition("/")[2]) or Reading())
            for device in registry.devices
            if device.node == own
        ]
        return {"node": {**told, "id": name, "name": name}, "devices": devices}

    def _device(self, device: Device, name: str, reading: Reading) -> dict[str, JsonValue]:
        fields = set(type(device).model_fields) - _PRIVATE - _MOMENTARY
        told: dict[str, JsonValue] = device.model_dump(
            mode="json", exclude_none=True, include=fields
        )
        told |= {"id": f"{name}/{device.id.partition('/')[2]}", "node": name}
        free = reading.memory_free_bytes
        if free is None and device.backend == "cpu":
            free = self._memory().free_bytes
        now = {"temperature_c": reading.temperature_c, "memory_free_bytes": free}
        return told | {field: value for field, value in now.items() if value is not None}
