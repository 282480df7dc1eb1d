"""Snapshots of readings, with devices and peers that are made up."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hgx.core.reading import Battery, Reading
from hgx.core.registry import Device, Node, Registry
from hgx.errors import HgxError, PeerError, StorageError
from hgx.flows import watch
from hgx.flows.discover import Discovery
from hgx.flows.local import Local
from hgx.flows.peer_merge import FoundPeer, FoundPeers
from hgx.flows.peers import find_peers
from hgx.flows.watch import Snapshot, snapshots
from hgx.node import readings
from hgx.store.home import Home
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Callable

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


def far_away(**facts: float | str) -> FoundPeers:
    """Return one peer with one device."""
    far = device("far/cpu:0", **facts)
    peer = FoundPeer(Node(id="far"), (far,), "f" * 64, True, "192.0.2.1:9474", "far")
    return FoundPeers((peer,), (), {})


def test_with_a_count_the_first_snapshot_has_the_peers(home: Home) -> None:
    """Who takes one snapshot only gets the peers in it."""
    (snapshot,) = snapshots(home, 0.001, 1, far_away)
    assert snapshot.rows[-1].device == "far/cpu:0"


@pytest.mark.parametrize(
    ("free", "shown"), [(0, 0), (1000, 1000), (1001, None)], ids=["none", "all", "too much"]
)
def test_a_peers_free_memory(home: Home, free: int, shown: int | None) -> None:
    """A peer that claims more free memory than it has tells nothing of it."""
    (snapshot,) = snapshots(home, 0.001, 1, lambda: far_away(memory_free_bytes=free))
    assert snapshot.rows[-1].reading.memory_free_bytes == shown


def test_no_free_memory_is_a_reading(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is free now, what was free at discovery does not count."""
    full = Reading(temperature_c=1.0, memory_free_bytes=0)
    monkeypatch.setattr(readings, "samplers", always({"card": lambda: {"cuda:0": full}}))
    card = first(home, lambda now: now.rows[0].reading.temperature_c == 1.0).rows[0]
    assert (card.reading.memory_total_bytes, card.reading.memory_free_bytes) == (1000, 0)


@pytest.mark.parametrize("count", [1, None])
@pytest.mark.parametrize(
    ("named", "error"),
    [
        ({"peers": ("bad!",)}, PeerError),
        ({"peers_file": Path("/nonexist")}, StorageError),
    ],
    ids=["address", "file"],
)
def test_wrong_addresses_are_errors(
    home: Home, named: dict[str, Any], error: type[Exception], count: int | None
) -> None:
    """What is wrong with the peers that were named ends it, as it does without watching."""
    seek = partial(find_peers, home, multicast=False, **named)
    with pytest.raises(error):
        list(islice(snapshots(home, 0.01, count, seek), 3000))


class Rounds:
    """Looks for peers; what comes of it is what the test says at the time."""

    def __init__(self, outcome: FoundPeers | Exception) -> None:
        self.outcome = outcome

    def __call__(self) -> FoundPeers:
        """Return or raise what comes of this round."""
        outcome = self.outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (HgxError("the network burnt down"), "the network burnt down"),
        (KeyError("x"), "looking for other nodes failed, as hgx did not foresee: KeyError('x')"),
    ],
    ids=["foreseen", "unforeseen"],
)
def test_a_later_problem_of_looking_for_peers_is_told(
    home: Home, monkeypatch: pytest.MonkeyPatch, problem: Exception, told: str
) -> None:
    """What goes wrong in a later round is a note until it is over, and the rest goes on."""
    monkeypatch.setattr(watch, "PEERS_EVERY_S", 0.01)
    seek = Rounds(far_away())
    taken = snapshots(home, 0.001, 30000, seek)
    assert next(taken).notes == ()
    seek.outcome = problem
    snapshot = next(snapshot for snapshot in taken if snapshot.notes != ())
    assert snapshot.notes == (told,)
    assert [row.device for row in snapshot.rows] == ["box/cuda:0", "box/toast:0", "far/cpu:0"]
    seek.outcome = FoundPeers((), (), {})
    after = next(snapshot for snapshot in taken if snapshot.notes == ())
    assert len(after.rows) == 2


def test_an_unforeseen_problem_at_first(home: Home) -> None:
    """A mistake of hgx while looking for peers does not keep this machine from being shown."""
    (snapshot,) = snapshots(home, 0.001, 1, Rounds(ValueError("oops")))
    assert "ValueError('oops')" in snapshot.notes[0]
    assert len(snapshot.rows) == 2
