"""Memory that several devices share: a node's RAM, in which its CPU and some of its cards work."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hgx.core.registry import Device, Node, Registry


class Pool(NamedTuple):
    """Devices that share one memory: the bytes they take together are bounded.

    A pool of one is an ordinary limit. The coordinator's pool is smaller by its own buffers.
    """

    devices: frozenset[str]
    capacity: float


class Ram(NamedTuple):
    """A node's RAM: the devices in it, and bytes that may be taken; None where unknown."""

    node: str
    devices: tuple[str, ...]
    capacity: float | None


def node_rams(registry: Registry, headroom: int) -> dict[str, Ram]:
    """Describe every node's RAM: its CPUs, and the devices whose memory is the same.

    Args:
        registry: Nodes and devices.
        headroom: Bytes to leave free.
    """
    members: dict[str, list[Device]] = {node.id: [] for node in registry.nodes}
    for device in registry.devices:
        if device.backend == "cpu" or device.unified_memory:
            members[device.node].append(device)
    return {
        node.id: Ram(
            node.id,
            tuple(device.id for device in members[node.id]),
            _capacity(node, members[node.id], headroom),
        )
        for node in registry.nodes
    }


def _capacity(node: Node, members: list[Device], headroom: int) -> float | None:
    """Bytes of a node's RAM that may be taken, or None where nothing is known of it."""
    known = [s for s in (node.ram_total_bytes, node.ram_free_bytes) if s is not None]
    sizes = [device.usable_bytes for device in members]
    if any(device.unified_memory for device in members):
        known.append(max(sizes))
    elif sizes:
        known.append(sum(sizes))
    return max(0.0, float(min(known) - headroom)) if known else None
