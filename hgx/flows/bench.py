"""Measure this machine's devices, its disk and its links, and put the results into the registry."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.bench import disk, link
from hgx.bench.conditions import Watch
from hgx.bench.device import Tools
from hgx.bench.events import Failed, Progress, Refused, Result, Started
from hgx.bench.parent import Target, device_events
from hgx.errors import HgxError, RegistryError, Unavailable
from hgx.flows.bench_keep import Keeper, check_writable
from hgx.flows.bench_links import link_events, peers_of
from hgx.flows.bench_record import (
    link_subject,
    with_device,
    with_disk,
    with_link,
)
from hgx.flows.inputs import find_registry
from hgx.flows.sight import sight_of
from hgx.sensors.battery import power_source, read_battery
from hgx.sensors.source import MACHINE
from hgx.store.atomic import shown_path

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from hgx.bench.disk import DiskEffort
    from hgx.bench.events import Event
    from hgx.bench.outcome import Outcome
    from hgx.bench.parent import EffortName
    from hgx.core.benchmark import Benchmark
    from hgx.core.registry import Device, Node, Registry
    from hgx.flows.bench_record import Ends
    from hgx.store.home import Home

DISK: Final = {"quick": disk.QUICK, "normal": disk.NORMAL}
LINK: Final = {"quick": link.QUICK, "normal": link.NORMAL}


class Wish(NamedTuple):
    """What to measure.

    Attributes:
        devices: Ids of this machine's devices, or what follows the slash in them; all of them,
            and disk and links too, when empty.
        effort: How much.
        sustained_s: How long each device is loaded without a pause; zero for not at all.
        disk: Whether to measure the disk.
        links: Whether to measure the links to peers.
    """

    devices: tuple[str, ...] = ()
    effort: EffortName = "normal"
    sustained_s: float = 0.0
    disk: bool = True
    links: bool = True


class Ways(NamedTuple):
    """How things are measured; tests have others.

    Attributes:
        absent: Says, per backend there is, why it cannot work here, or null where it may.
        device: Measures a device, given how much and how long without a pause.
        disk: Measures the disk of this node, given its id and a directory.
        link: Measures the link to a peer, given this node's id.
    """

    absent: Callable[[], Mapping[str, Unavailable | None]]
    device: Callable[[Target, EffortName, float], Iterator[Event]]
    disk: Callable[[str, Path, EffortName], Iterator[Event]]
    link: Callable[[str, Node, EffortName], Iterator[Event]]


def live_ways() -> Ways:
    """Measure for real."""
    power = power_source(read_battery(MACHINE), MACHINE)
    tools = Tools(lambda: datetime.now(UTC), lambda: Watch(power_source=power))

    def of_device(target: Target, effort: EffortName, sustained_s: float) -> Iterator[Event]:
        return device_events(target._replace(power=power), effort, sustained_s)

    def of_disk(own: str, place: Path, effort: EffortName) -> Iterator[Event]:
        return disk_events(own, place, DISK[effort], tools)

    def of_link(own: str, peer: Node, effort: EffortName) -> Iterator[Event]:
        return link_events(own, peer, LINK[effort], tools)

    return Ways(sight_of(MACHINE).absent, of_device, of_disk, of_link)


def bench(
    home: Home,
    wish: Wish,
    emit: Callable[[Event], object],
    *,
    registry_path: Path | None = None,
    ways: Ways | None = None,
) -> Registry:
    """Measure one thing after the other; each result is in the registry as soon as it is told.

    What fails is told, and the rest goes on. A refused result is told and not written. That the
    registry can be written is found out before anything is measured.

    Args:
        home: Where the registry is if no other is given, and where the disk is measured.
        wish: What to measure.
        emit: Told what happens.
        registry_path: Another registry, which must exist.
        ways: How to measure.

    Returns:
        The registry as written.

    Raises:
        RegistryError: The registry is missing or damaged, or a device is not in it.
        Unavailable: None of the devices could be measured.
        StorageError: The registry could not be written.
    """
    registry = find_registry(home, registry_path)
    ways = ways or live_ways()
    own, path = home.node_id(), registry_path or home.registry
    keeper = Keeper(path, registry, emit)
    failures: list[str] = []
    devices = wanted_devices(registry, own, wish.devices, path)
    check_writable(path)
    absent = ways.absent()
    for device in devices:
        target, trouble = _target(device, absent)
        events = [trouble] if trouble else ways.device(target, wish.effort, wish.sustained_s)
        failed = keeper.keep(events, partial(_put_device, device.id))
        failures += [failed] if failed else []
    if not wish.devices and wish.disk:
        home.create()
        keeper.keep(ways.disk(own, home.path, wish.effort), partial(_put_disk, own))
    for peer in peers_of(registry, own) if wish.links and not wish.devices else ():
        keeper.keep(ways.link(own, peer, wish.effort), partial(_put_link, (own, peer.id)))
    keeper.close()
    if len(failures) == len(devices):
        raise Unavailable("no device could be measured", f"{devices[0].id}: {failures[0]}")
    return keeper.registry


def wanted_devices(
    registry: Registry, own: str, names: Sequence[str], path: Path
) -> tuple[Device, ...]:
    """Find devices of this machine.

    Args:
        registry: The registry.
        own: This node's id.
        names: Ids, or what follows the slash in them; all devices when empty.
        path: Of the registry, for errors.

    Returns:
        At least one, each once, in the order given.

    Raises:
        RegistryError: There is none of a name, or it is another machine's.
    """
    here = {device.id: device for device in registry.devices if device.node == own}
    if not here:
        msg = f"{shown_path(path)} has no device of this machine, {own}: run `hgx discover`"
        raise RegistryError(msg)
    elsewhere = {device.id: device.node for device in registry.devices if device.node != own}
    wanted: dict[str, Device] = {}
    for name in names:
        found = here.get(name) or here.get(f"{own}/{name}")
        if found is None and name in elsewhere:
            msg = f"{name} is a device of {elsewhere[name]}: run `hgx bench` there"
            raise RegistryError(msg)
        if found is None:
            msg = f"there is no device {name!r} on this machine: choose from {', '.join(here)}"
            raise RegistryError(msg)
        wanted[found.id] = found
    return tuple((wanted or here).values())


def disk_events(own: str, place: Path, effort: DiskEffort, tools: Tools) -> Iterator[Event]:
    """Measure the disk that a directory is on, and give what happens.

    Args:
        own: This node's id.
        place: The directory.
        effort: How long.
        tools: Time and conditions.
    """
    yield Started(subject=own, names=("disk_read",))
    yield Progress(subject=own, name="disk_read", done=0.0)
    try:
        steps = disk.disk_read(place, effort, tools)
        found = yield from _with_progress(steps, own)
    except HgxError as error:
        yield Failed(subject=own, name="disk_read", reason=error.message)
        return
    kind = Refused if found.refused else Result
    yield kind(subject=own, benchmark=found.benchmark)


def _with_progress(
    steps: Generator[float, None, Outcome], own: str
) -> Generator[Event, None, Outcome]:
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        yield Progress(subject=own, name="disk_read", done=done)


def _target(
    device: Device, absent: Mapping[str, Unavailable | None]
) -> tuple[Target, Failed | None]:
    """Return what to measure, and why that is impossible if it is."""
    index = device.id.rpartition(":")[2]
    target = Target(device.id, device.backend, int(index) if index.isdecimal() else 0, device.uuid)
    if device.backend not in absent:
        reason = f"hgx has no driver for {device.backend}, and cannot measure it"
        return target, Failed(subject=device.id, reason=reason)
    missing = absent[device.backend]
    return target, Failed(subject=device.id, reason=missing.message) if missing else None


def _put_device(
    device_id: str, registry: Registry, results: Mapping[str, Sequence[Benchmark]]
) -> Registry:
    return with_device(registry, device_id, results[device_id])


def _put_disk(
    node_id: str, registry: Registry, results: Mapping[str, Sequence[Benchmark]]
) -> Registry:
    return with_disk(registry, node_id, results[node_id][0])


def _put_link(
    ends: Ends, registry: Registry, results: Mapping[str, Sequence[Benchmark]]
) -> Registry:
    """Store both directions; the round trip is the same in both."""
    other_way = (ends[1], ends[0])
    there = results.get(link_subject(ends), ())
    back = results.get(link_subject(other_way), ())
    trips = [result for result in there if result.name == "rtt"]
    registry = with_link(registry, ends, there)
    return with_link(registry, other_way, [*back, *trips])
