"""Snapshots of readings, with devices and peers that are made up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from hgx.core.reading import Battery, Reading
from hgx.core.registry import Device, Node, Registry
from hgx.flows import watch
from hgx.flows.discover import Discovery
from hgx.flows.local import Local
from hgx.flows.peer_merge import FoundPeer, FoundPeers
from hgx.flows.watch import Snapshot, snapshots
from hgx.node import readings
from hgx.store.home import Home
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Seek = Callable[[], FoundPeers] | None

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def device(device_id: str, **facts: float | str) -> Device:
    """Return a device."""
    node, _, rest = device_id.partition("/")
    rates = {"memory_bandwidth_bytes_per_s": 1.0, "compute_flops_per_s": 1.0}
    identity = {"id": device_id, "node": node, "backend": rest.partition(":")[0]}
    return Device.model_validate({"memory_total_bytes": 1000, **identity, **rates, **facts})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A machine named box with a card, which has no readings, and a toaster, which has."""
    (tmp_path / "node.json").write_text('{"id": "box"}')
    found = [device("box/cuda:0", name="Card", memory_free_bytes=400), device("box/toast:0")]
    devices = {one.id: one for one in found}
    local = Local(Node(id="box"), devices, {}, (), (), frozenset())
    discovery = Discovery(Registry(), tmp_path, local)
    monkeypatch.setattr(watch, "discover", always(discovery))
    hot = Reading(temperature_c=90.0, memory_total_bytes=2000)
    monkeypatch.setattr(readings, "samplers", always({"toaster": lambda: {"toast:0": hot}}))
    monkeypatch.setattr(readings, "battery_sampler", always(lambda: Battery(charge=0.5)))
    return Home(tmp_path)


def first(home: Home, wanted: Callable[[Snapshot], bool], seek: Seek = None) -> Snapshot:
    """Take snapshots until one is as wanted."""
    return next(snapshot for snapshot in snapshots(home, 0.01, 3000, seek) if wanted(snapshot))


def test_devices_with_and_without_sensors(home: Home) -> None:
    """A device without readings has a row too, with the memory that discovery found."""
    card, toaster = first(home, lambda now: now.rows[-1].reading.temperature_c == 90.0).rows
    assert (card.device, card.name) == ("box/cuda:0", "Card")
    assert (card.reading.memory_total_bytes, card.reading.memory_free_bytes) == (1000, 400)
    assert (toaster.device, toaster.reading.temperature_c) == ("box/toast:0", 90.0)
    assert toaster.reading.memory_total_bytes == 2000


def test_the_battery_is_this_machines(home: Home) -> None:
    """The battery comes with the readings."""
    assert first(home, lambda now: now.battery is not None).battery == Battery(charge=0.5)


def test_so_many_and_no_more(home: Home) -> None:
    """The count ends it."""
    assert len(list(snapshots(home, 0.001, 3, None))) == 3


@pytest.mark.parametrize(("paired", "note"), [(True, ""), (False, "not paired")])
def test_peers(home: Home, *, paired: bool, note: str) -> None:
    """Peers' devices come below, with what they tell and whether they are paired."""
    far = device("far/cpu:0", temperature_c=50.0, memory_free_bytes=1)
    peer = FoundPeer(Node(id="far"), (far,), "f" * 64, paired, "192.0.2.1:9474", "far")
    found = FoundPeers((peer,), ("gone does not answer",), {})
    snapshot = first(home, lambda now: len(now.rows) == 3, lambda: found)
    row = snapshot.rows[-1]
    assert (row.device, row.note, row.reading.temperature_c) == ("far/cpu:0", note, 50.0)
    assert snapshot.notes == ("gone does not answer",)


def test_a_problem_of_looking_for_peers_is_told(home: Home) -> None:
    """What goes wrong while looking for peers is a note, and the rest goes on."""

    def seek() -> FoundPeers:
        msg = "the network burnt down"
        raise watch.HgxError(msg)

    snapshot = first(home, lambda now: now.notes != (), seek)
    assert snapshot.notes == ("the network burnt down",)
    assert len(snapshot.rows) == 2
