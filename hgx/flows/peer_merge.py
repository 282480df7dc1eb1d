"""Other nodes that answered, and what of them goes into the registry: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hgx.core.registry import Device, Node, Registry
from hgx.flows.peer_ids import FreeIds, renamed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from hgx.core.registry import Link
    from hgx.errors import PeerError

_Entry = TypeVar("_Entry", Node, Device)


class FoundPeer(NamedTuple):
    """A peer that answered.

    Attributes:
        node: With ``paired``, ``fingerprint``, ``address`` and ``seen_at``.
        devices: With ``paired``; their ids begin with the node's.
        fingerprint: SHA-256 of its certificate, in hex.
        paired: Whether the fingerprint is among the trusted ones.
        address: ``HOST:PORT`` at which it answered.
        said_id: The id it gives itself; ``node.id`` differs where another node has that.
    """

    node: Node
    devices: tuple[Device, ...]
    fingerprint: str
    paired: bool
    address: str
    said_id: str


class FoundPeers(NamedTuple):
    """What came of it.

    Attributes:
        peers: Who answered, by name.
        missing: One sentence for each that was announced or given and did not answer as a node,
            and one where multicast did not work at all.
        dropped: How many announcements were not heeded, by reason.
        unanswered: Why those that were named did not answer.
        listened: Whether announcements were listened for, so that who is not here is not there.
        trusted: Fingerprints of all paired peers; null where that was not looked up.
    """

    peers: tuple[FoundPeer, ...]
    missing: tuple[str, ...]
    dropped: dict[str, int]
    unanswered: tuple[PeerError, ...] = ()
    listened: bool = True
    trusted: frozenset[str] | None = None


def merge_peers(registry: Registry, found: FoundPeers, own_node_id: str) -> Registry:
    """Put the peers that answered into a registry; pure.

    A peer is told by its certificate: under a new name it keeps its links. Unpaired peers that
    did not answer go, with devices and links, if they were listened for; paired ones stay, and so
    does what was written by hand, which a peer never replaces: it gets another id instead. Who is
    not trusted any more is not paired any more.

    Args:
        registry: As it was.
        found: Who answered.
        own_node_id: This machine's, which no peer can have.
    """
    registry = with_trust(registry, found.trusted, own_node_id)
    here = {peer.fingerprint for peer in found.peers}
    others = [node for node in registry.nodes if node.id != own_node_id and node.fingerprint]
    before = {node.fingerprint: node for node in others if node.fingerprint in here}
    gone = {
        node.id
        for node in others
        if found.listened and node.fingerprint not in here and node.paired is False
    }
    replaced = {node.id for node in others if node.fingerprint in here}
    free = FreeIds(
        {own_node_id, *(node.id for node in registry.nodes if node.id not in gone | replaced)}
    )
    nodes = {node.id: node for node in registry.nodes if node.id not in gone}
    devices = {device.id: device for device in registry.devices if device.node not in gone}
    moved: dict[str, str] = {}
    fresh_nodes: dict[str, Node] = {}
    fresh_devices: dict[str, Device] = {}
    # Who is trusted, and then who is known, keeps a name that others want too.
    for peer in sorted(
        found.peers, key=lambda one: (not one.paired, one.fingerprint not in before)
    ):
        old = before.get(peer.fingerprint)
        node_id = free.take(peer.said_id, old.id if old else None)
        node, own = renamed(peer.node, peer.devices, node_id)
        fresh_nodes[node.id] = _updated(old, node)
        fresh_devices |= {device.id: device for device in own}
        moved |= {was.id: node.id for was in others if was.fingerprint == peer.fingerprint}
    fields = dict(registry) | {
        "nodes": tuple(_in_place(nodes, fresh_nodes, replaced)),
        "devices": tuple(
            _in_place(
                devices,
                fresh_devices,
                {device.id for device in registry.devices if device.node in replaced},
            )
        ),
        "links": tuple(_moved_links(registry.links, moved, gone)),
    }
    return Registry.model_validate(fields)


def with_trust(registry: Registry, trusted: frozenset[str] | None, own_node_id: str) -> Registry:
    """Mark every peer as paired or not, as it is now; pure.

    Args:
        registry: As it was.
        trusted: Fingerprints of all paired peers; where that is null nothing changes.
        own_node_id: This machine's, which is no peer.
    """
    if trusted is None:
        return registry
    paired = {
        node.id: node.fingerprint in trusted
        for node in registry.nodes
        if node.fingerprint and node.id != own_node_id
    }
    nodes = [
        node.model_copy(update={"paired": paired[node.id]}) if node.id in paired else node
        for node in registry.nodes
    ]
    devices = [
        device.model_copy(update={"paired": paired[device.node]})
        if device.node in paired
        else device
        for device in registry.devices
    ]
    return registry.model_copy(update={"nodes": tuple(nodes), "devices": tuple(devices)})


def _updated(old: Node | None, node: Node) -> Node:
    """Keep what was measured of a node, or written about it, that it does not say itself."""
    known = old.model_dump(exclude_unset=True) if old else {}
    return Node.model_validate(known | node.model_dump(exclude_unset=True))


def _in_place(
    old: dict[str, _Entry], fresh: dict[str, _Entry], replaced: Collection[str]
) -> Iterable[_Entry]:
    """Put new entries where the old ones were: people read the file."""
    stay = {name: entry for name, entry in old.items() if name not in replaced}
    placed = {name: fresh.get(name) or entry for name, entry in old.items() if name in stay | fresh}
    return (placed | fresh).values()


def _moved_links(links: Iterable[Link], moved: Mapping[str, str], gone: set[str]) -> Iterable[Link]:
    once: dict[tuple[str, str], Link] = {}
    for link in links:
        if gone.isdisjoint({link.source, link.target}):
            ends = moved.get(link.source, link.source), moved.get(link.target, link.target)
            once.setdefault(ends, link.model_copy(update={"source": ends[0], "target": ends[1]}))
    return once.values()
