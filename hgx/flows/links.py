"""Links that nobody has measured yet: a paired machine must not be out of reach for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.core.registry import Link

if TYPE_CHECKING:
    from hgx.core.registry import Registry

ASSUMED_RTT_S = 2e-3
ASSUMED_BYTES_PER_S = 30e6
"""A wireless network at home that has seen better days: plans should rather be surprised well."""


class Linked(NamedTuple):
    """A registry in which this node reaches its paired peers.

    Attributes:
        registry: With the links that had to be assumed.
        notes: Which these are, one sentence; nothing where all are known.
    """

    registry: Registry
    notes: tuple[str, ...]


def with_assumed_links(registry: Registry, own: str | None) -> Linked:
    """Assume a slow link to each paired peer whose link was never measured.

    Args:
        registry: Nodes, devices and links.
        own: Id of this node; nothing is assumed where the registry does not have it.
    """
    known = {frozenset((link.source, link.target)) for link in registry.links}
    ids = {node.id for node in registry.nodes}
    missing = [
        node.id
        for node in registry.nodes
        if own in ids and node.paired and node.id != own and frozenset((own, node.id)) not in known
    ]
    if own is None or not missing:
        return Linked(registry, ())
    assumed = tuple(_assumed(own, node) for node in missing)
    note = (
        f"the link to {', '.join(missing)} was never measured and is assumed to be slow "
        f"({ASSUMED_RTT_S * 1e3:.0f} ms, {ASSUMED_BYTES_PER_S / 1e6:.0f} MB/s): run hgx bench"
    )
    linked = registry.model_copy(update={"links": (*registry.links, *assumed)})
    return Linked(linked, (note,))


def _assumed(own: str, node: str) -> Link:
    fields = {"from": own, "to": node, "rtt_s": ASSUMED_RTT_S}
    return Link.model_validate({**fields, "bandwidth_bytes_per_s": ASSUMED_BYTES_PER_S})
