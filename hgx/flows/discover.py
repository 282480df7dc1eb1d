"""Find the devices of this machine and of its peers, and write them into the registry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from hgx.core.evidence import measured
from hgx.flows.local import Local, find_local
from hgx.flows.merge import merge_local, refresh
from hgx.flows.peer_merge import merge_peers
from hgx.flows.probe import quick_benchmarks
from hgx.flows.results import with_benchmarks
from hgx.flows.sight import sight_of
from hgx.process.background import Background
from hgx.store.registry_file import known_registry, update_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hgx.core.registry import Registry
    from hgx.errors import Unavailable
    from hgx.flows.peer_merge import FoundPeers
    from hgx.flows.probe import Quick
    from hgx.flows.sight import Sight
    from hgx.store.home import Home


class Discovery(NamedTuple):
    """What came of it.

    Attributes:
        registry: The registry as written, other nodes included.
        path: Where it was written.
        local: What this machine has, and what was looked for in vain.
        notes: What a user should know of it: devices that could not be measured, peers that are
            away or have another name; one sentence each.
        peers: Other nodes; null where they were not looked for.
    """

    registry: Registry
    path: Path
    local: Local
    notes: tuple[str, ...] = ()
    peers: FoundPeers | None = None

    @property
    def own(self) -> Registry:
        """This machine's part of the registry."""
        node, known = self.local.node.id, self.registry
        part = {
            "nodes": tuple(one for one in known.nodes if one.id == node),
            "devices": tuple(device for device in known.devices if device.node == node),
            "links": tuple(link for link in known.links if {link.source, link.target} == {node}),
        }
        return known.model_copy(update=part)

    @property
    def missing(self) -> tuple[Unavailable, ...]:
        """What was looked for and did not answer, with reasons and remedies."""
        return self.local.missing


class Watcher:
    """Whoever shows that it goes on; this one shows nothing."""

    def waiting(self, names: frozenset[str]) -> None:
        """Take note which backends have not answered yet."""

    def seeking(self) -> None:
        """Take note that only other nodes are still waited for."""

    def measuring(self, device: str) -> None:
        """Take note that a device is being measured."""


def discover(
    home: Home,
    registry_path: Path | None = None,
    *,
    sight: Sight | None = None,
    measure: Callable[[str, int], Quick] | None = quick_benchmarks,
    seek: Callable[[], FoundPeers] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    watcher: Watcher | None = None,
) -> Discovery:
    """Find the devices of this machine and of its peers, and merge them into the registry.

    A device that was never measured is measured for half a second, so that a plan rests on
    something; ``hgx bench`` does it properly.

    Args:
        home: Where the node's id is kept, and the registry if no other path is given.
        registry_path: The registry to update; it need not exist, but its directory must.
        sight: How to look at this machine.
        measure: Measures a device, given its backend and index; null to measure nothing.
        seek: Finds other nodes, in a thread of its own meanwhile; where it is null they stay as
            they are known.
        now: Returns the time, with its zone.
        watcher: Shows what goes on.

    Raises:
        RegistryError: The registry is damaged.
        StorageError: The home or the registry is not writable.
    """
    home.create()
    node = home.keep_node_id()
    path = registry_path or home.registry
    watcher = watcher or Watcher()
    known = known_registry(path)
    seeking = Background(seek) if seek else None
    local = find_local(node, sight or sight_of(), now(), watcher.waiting)
    problems: list[str] = []
    if measure:
        local, problems = _measure_new(local, known, measure, watcher)
    if seeking and not seeking.done():
        watcher.seeking()
    peers = seeking.result() if seeking else None

    def change(old: Registry) -> Registry:
        merged = merge_local(old, local.node, local.devices, local.looked_for)
        return merge_peers(merged, peers, node) if peers else merged

    registry = update_registry(path, change)
    notes = _about_peers(known, registry, peers, node) if peers else ()
    return Discovery(registry, path, local, (*problems, *notes), peers)


def _about_peers(known: Registry, new: Registry, found: FoundPeers, own: str) -> Iterator[str]:
    """Say who was there before and is not now, and who has another name here than there."""
    said = {peer.fingerprint: peer.said_id for peer in found.peers}
    for node in known.nodes if found.listened else ():
        if node.fingerprint and node.fingerprint not in said and node.id != own:
            diagnose = f"`hgx discover --diagnose --peer {node.address}` says why"
            yield f"{node.id} was not found this time, last seen {node.seen_at}: {diagnose}"
    for node in new.nodes:
        name = said.get(node.fingerprint or "", node.id)
        if node.id not in {name, own}:
            other = "give it another one there with `hgx serve --name NAME`"
            yield f"{node.id} ({node.address}) calls itself {name}, a name that is taken: {other}"


def _measure_new(
    local: Local, known: Registry, measure: Callable[[str, int], Quick], watcher: Watcher
) -> tuple[Local, list[str]]:
    """Measure those devices that were not measured well before, one after the other."""
    before = {device.id: device for device in known.devices}
    devices, problems = dict(local.devices), list[str]()
    for device in local.devices.values():
        index = local.driven.get(device.id)
        old = before.get(device.id)
        so_far = refresh(old, device) if old else device
        if index is None or measured(so_far):
            continue
        watcher.measuring(device.id)
        quick = measure(device.backend, index)
        devices[device.id] = with_benchmarks(so_far, quick.benchmarks)
        if quick.problem:
            problems.append(f"{device.id} was not measured: {quick.problem}")
    return local._replace(devices=devices), problems
