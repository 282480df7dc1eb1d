"""The paired peers: who they are, when they were last seen, and an end to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.flows.peer_merge import with_trust
from hgx.store.atomic import is_there
from hgx.store.registry_file import known_registry, update_registry
from hgx.store.trust import find_trusted, remove_trusted, trusted, trusted_peers

if TYPE_CHECKING:
    from hgx.core.registry import Node
    from hgx.store.home import Home


class KnownPeer(NamedTuple):
    """A paired peer, with what the registry says of it.

    Attributes:
        name: The id of its node here, else what it called itself when it was paired.
        fingerprint: SHA-256 of its certificate, in hex.
        paired_at: When, in ISO 8601; null where that was not written down.
        address: ``HOST:PORT`` at which it last answered; null where it never was discovered.
        seen_at: When that was, in ISO 8601.
        pinned: Whether its certificate is known, so that it can connect.
    """

    name: str
    fingerprint: str
    paired_at: str | None
    address: str | None
    seen_at: str | None
    pinned: bool


def known_peers(home: Home) -> tuple[KnownPeer, ...]:
    """List the paired peers, by name.

    Raises:
        StorageError: The trusted peers cannot be read.
        RegistryError: The registry is damaged.
    """
    nodes = _nodes(home)
    found: list[KnownPeer] = []
    for peer in trusted_peers(home):
        node = nodes.get(peer.fingerprint)
        name = node.id if node else peer.name or peer.fingerprint[:16]
        address, seen_at = (node.address, node.seen_at) if node else (None, None)
        pinned = peer.certificate is not None
        found.append(KnownPeer(name, peer.fingerprint, peer.paired_at, address, seen_at, pinned))
    return tuple(sorted(found, key=lambda peer: peer.name))


def find_peer(home: Home, who: str) -> KnownPeer:
    """Find one paired peer.

    Args:
        home: Where everything is kept.
        who: Its name here, what it called itself, or the first digits of its fingerprint.

    Raises:
        PeerError: There is no such peer, or more than one (fault "unknown").
        StorageError: The trusted peers cannot be read.
        RegistryError: The registry is damaged.
    """
    known = {peer.fingerprint: peer for peer in known_peers(home)}
    here = {peer.name: peer for peer in known.values()}
    return here.get(who) or known[find_trusted(trusted_peers(home), who).fingerprint]


def revoke_peer(home: Home, peer: KnownPeer) -> None:
    """Trust a peer no more; what was measured of it stays.

    Raises:
        PeerError: It is not paired any more (fault "unknown").
        StorageError: The trusted peers cannot be written.
        RegistryError: It is not trusted any more, and the registry is damaged.
    """
    remove_trusted(home, peer.fingerprint)
    mark_paired(home)


def mark_paired(home: Home) -> frozenset[str]:
    """Mark the peers in the registry as paired or not, as they are now.

    Returns:
        The fingerprints of all nodes in it.

    Raises:
        RegistryError: It is damaged.
        StorageError: It cannot be written, or the trusted peers cannot be read.
    """
    if not is_there(home.registry):
        return frozenset()
    own, trust = home.node_id(), trusted(home)
    registry = update_registry(home.registry, lambda old: with_trust(old, trust, own))
    return frozenset(node.fingerprint for node in registry.nodes if node.fingerprint)


def _nodes(home: Home) -> dict[str, Node]:
    nodes = known_registry(home.registry).nodes
    return {node.fingerprint: node for node in nodes if node.fingerprint}
