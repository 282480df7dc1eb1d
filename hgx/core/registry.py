"""The registry document: what nodes, devices and links there are, and what was measured of them.

Only what a planner cannot do without is required. Everything unknown is absent or null, never
zero or -1. Fields that this version does not know are kept as they are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from hgx.core.base import Bytes, Document, Identifier, PositiveBytes, Rate, Seconds
from hgx.core.benchmark import Benchmark
from hgx.core.engine_rates import EngineRates
from hgx.core.reading import Battery
from hgx.core.thermal import ThermalParameters

if TYPE_CHECKING:
    from collections.abc import Iterable

EvidenceRank = Literal["engine", "driver", "vendor", "default"]
"""Where a number comes from, best first: measured with the engine, measured by the driver,
a vendor's figure, a default."""


class Node(Document):
    """A machine that runs hgx.

    Attributes:
        paired: False for a peer that is not trusted yet: what it says of itself is shown, and its
            devices are never used. Absent for this machine and for what was written by hand.
        fingerprint: SHA-256 of its certificate, in hex: what it is told by, whatever its name.
        seen_at: When it last answered, in ISO 8601.
        disk_read_bytes_per_s: How fast files are read that are not in memory.
        battery: As it was when the node was last looked at; null where it has none.
        benchmarks: What was measured of the machine itself, by name.
    """

    id: Identifier
    name: str | None = None
    os: str | None = None
    arch: str | None = None
    address: str | None = None
    ram_total_bytes: PositiveBytes | None = None
    ram_free_bytes: Bytes | None = None
    paired: bool | None = None
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    seen_at: str | None = None
    disk_read_bytes_per_s: Rate | None = None
    battery: Battery | None = None
    benchmarks: dict[str, Benchmark] = Field(default_factory=dict)


class Device(Document):
    """Something on a node with memory and arithmetic of its own; its id is NODE/BACKEND:INDEX.

    Attributes:
        fallback: Whether it is the processor, which is there when nothing better is.
        uuid: Its identity where the vendor gives one, the same in another slot.
        paired: False where its node is a peer that is not trusted yet.
        benchmarks: What was measured of it, by name.
        engine: What was measured of it with the engine; it counts more than the two rates.
        thermal: What was learnt of its heat from a trace.
        evidence: Where its two rates come from; see ``hgx.core.evidence``.
    """

    id: Identifier
    node: Identifier
    backend: Identifier
    name: str | None = None
    memory_total_bytes: PositiveBytes
    memory_free_bytes: Bytes | None = None
    unified_memory: bool | None = None
    memory_bandwidth_bytes_per_s: Rate
    compute_flops_per_s: Rate
    temperature_c: float | None = None
    temperature_limit_c: float | None = None
    fallback: bool | None = None
    uuid: str | None = None
    paired: bool | None = None
    benchmarks: dict[str, Benchmark] = Field(default_factory=dict)
    engine: EngineRates | None = None
    thermal: ThermalParameters | None = None
    evidence: JsonValue = None

    @property
    def usable_bytes(self) -> int:
        """Bytes that can be asked for now: what is free where that is known, else all."""
        if self.memory_free_bytes is None:
            return self.memory_total_bytes
        return min(self.memory_free_bytes, self.memory_total_bytes)


class Link(Document):
    """The network between two nodes, in one direction unless the other one is not given.

    Attributes:
        rtt_s: Round trip, median.
        rtt_p95_s: Round trip that one in twenty exceeds.
        bandwidth_bytes_per_s: From source to target.
        benchmarks: What was measured of it, by name.
    """

    source: Identifier = Field(alias="from")
    target: Identifier = Field(alias="to")
    rtt_s: Seconds
    rtt_p95_s: Seconds | None = None
    bandwidth_bytes_per_s: Rate
    benchmarks: dict[str, Benchmark] = Field(default_factory=dict)


class Registry(Document):
    """All nodes, devices and links that are known, consistent with each other."""

    version: Literal[1] = 1
    nodes: tuple[Node, ...] = ()
    devices: tuple[Device, ...] = ()
    links: tuple[Link, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _no_duplicates("node id", (node.id for node in self.nodes))
        _no_duplicates("device id", (device.id for device in self.devices))
        _no_duplicates("link", (f"{link.source} to {link.target}" for link in self.links))
        known = {node.id for node in self.nodes}
        for device in self.devices:
            if device.node not in known:
                msg = f"device {device.id!r} is on node {device.node!r}, which is not in nodes"
                raise ValueError(msg)
        for link in self.links:
            for end in (link.source, link.target):
                if end not in known:
                    msg = f"the link from {link.source!r} to {link.target!r} names node {end!r}, "
                    raise ValueError(msg + "which is not in nodes")
        return self

    @property
    def unpaired(self) -> frozenset[str]:
        """Ids of the nodes that may be shown but never used."""
        devices = {device.node for device in self.devices if device.paired is False}
        return frozenset(devices | {node.id for node in self.nodes if node.paired is False})

    def usable(self) -> Registry:
        """Return the registry without the nodes that are not paired and all that belongs to them.

        Returns:
            The same object where all are.
        """
        strange = self.unpaired
        if not strange:
            return self
        kept = {
            "nodes": tuple(node for node in self.nodes if node.id not in strange),
            "devices": tuple(device for device in self.devices if device.node not in strange),
            "links": tuple(link for link in self.links if not {link.source, link.target} & strange),
        }
        return self.model_copy(update=kept)


def _no_duplicates(what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        msg = f"{what} {twice[0]!r} is given more than once"
        raise ValueError(msg)
