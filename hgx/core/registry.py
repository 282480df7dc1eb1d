"""The registry document: what nodes, devices and links there are, and what was measured of them.

Only what a planner cannot do without is required. Everything unknown is absent or null, never
zero or -1. Fields that this version does not know are kept as they are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, JsonValue, model_validator

from hgx.core.base import Bytes, Document, Identifier, PositiveBytes, Rate, Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

EvidenceRank = Literal["engine", "driver", "vendor", "default"]
"""Where a number comes from, best first: measured with the engine, measured by the driver,
a vendor's figure, a default."""


class Node(Document):
    """A machine that runs hgx."""

    id: Identifier
    name: str | None = None
    os: str | None = None
    arch: str | None = None
    address: str | None = None
    ram_total_bytes: PositiveBytes | None = None
    ram_free_bytes: Bytes | None = None


class Device(Document):
    """Something on a node with memory and arithmetic of its own; its id is NODE/BACKEND:INDEX."""

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
    evidence: JsonValue = None

    @property
    def usable_bytes(self) -> int:
        """Bytes that can be asked for now: what is free where that is known, else all."""
        if self.memory_free_bytes is None:
            return self.memory_total_bytes
        return min(self.memory_free_bytes, self.memory_total_bytes)


class Link(Document):
    """The network between two nodes, in one direction unless the other one is not given."""

    source: Identifier = Field(alias="from")
    target: Identifier = Field(alias="to")
    rtt_s: Seconds
    bandwidth_bytes_per_s: Rate


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


def _no_duplicates(what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        msg = f"{what} {twice[0]!r} is given more than once"
        raise ValueError(msg)
