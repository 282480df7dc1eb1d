"""What was found on this machine, merged into what the registry knew: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.evidence import RANKS, RATES, evidence_entries, rank_of
from hgx.core.registry import Device, Node, Registry

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def merge_local(
    old: Registry, node: Node, found: Mapping[str, Device], looked_for: Collection[str]
) -> Registry:
    """Merge this node and its devices into a registry.

    Other nodes, links and all fields hgx does not know stay. Devices of this node that are no
    longer there go, except those of backends that nothing could look for. A rate of better
    evidence stays; one without evidence was written by hand and counts as a vendor's figure.

    Args:
        old: The registry so far.
        node: This machine.
        found: Its devices by id.
        looked_for: Backends whose devices would have been found.
    """
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
        name: refresh(known[name], device) if name in known else device
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


def refresh(old: Device, new: Device) -> Device:
    """Take over what is new, and from the old what is unknown or better known."""
    if not _same(old, new):
        return new
    fields = old.model_dump(exclude_unset=True) | new.model_dump(exclude_unset=True)
    evidence = evidence_entries(old) | evidence_entries(new)
    for field in RATES:
        if _order(old, field) < _order(new, field):
            fields[field] = getattr(old, field)
            # One rank may stand for all fields: then there is no entry to take over.
            evidence[field] = evidence_entries(old).get(field) or {"rank": rank_of(old, field)}
    benchmarks = {**old.benchmarks, **new.benchmarks}
    return Device.model_validate(fields | {"evidence": evidence, "benchmarks": benchmarks})


def _same(old: Device, new: Device) -> bool:
    """Tell whether it is still the same hardware, by its serial identity or else its name."""
    if old.uuid and new.uuid:
        return old.uuid == new.uuid
    return old.name is None or new.name is None or old.name == new.name


def _order(device: Device, field: str) -> int:
    """Return how good the evidence of a rate is, 0 for the best."""
    return RANKS.index(rank_of(device, field) or "vendor")
