"""The state of this machine's devices and its peers', again and again."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from itertools import count as numbers
from typing import TYPE_CHECKING, NamedTuple, Self

from hgx.core.reading import Reading
from hgx.errors import HgxError
from hgx.flows.discover import discover
from hgx.node.changes import Thresholds
from hgx.node.readings import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hgx.core.events import DeviceGPUStateUpdated
    from hgx.core.reading import Battery
    from hgx.core.registry import Device
    from hgx.flows.peer_merge import FoundPeers
    from hgx.store.home import Home

PEERS_EVERY_S = 10.0
"""Peers are asked that often: each round multicasts questions to the whole network."""


class Row(NamedTuple):
    """One device at one moment.

    Attributes:
        device: Its id.
        name: What the vendor calls it.
        reading: Its state, as far as it is known.
        note: What is to be said of it: an old reading, a peer that is not paired; else empty.
    """

    device: str
    name: str | None
    reading: Reading
    note: str = ""


class Snapshot(NamedTuple):
    """All devices at one moment.

    Attributes:
        at: When.
        rows: This machine's devices first.
        battery: Of this machine, if it has one.
        notes: What could not be found, one sentence each.
    """

    at: datetime
    rows: tuple[Row, ...]
    battery: Battery | None
    notes: tuple[str, ...] = ()


def snapshots(
    home: Home,
    interval_s: float,
    count: int | None,
    seek: Callable[[], FoundPeers] | None,
) -> Iterator[Snapshot]:
    """Look again and again; ends with the count, or with whoever takes the snapshots.

    Args:
        home: Where the registry is; this machine's devices are found once, at the beginning.
        interval_s: Seconds between looks.
        count: How many; for ever where null.
        seek: Finds other nodes; null to leave them out.

    Raises:
        HgxError: What ``discover`` raises at the beginning.
    """
    found = discover(home, measure=None)
    node, devices = home.node_id(), found.local.devices
    every_change = Thresholds().scaled(0)
    with (
        _Peers(seek) as peers,
        Telemetry(node, interval_s=interval_s, thresholds=every_change) as telemetry,
    ):
        telemetry.wait_for_first(interval_s)
        for number in numbers(1):
            states = telemetry.states()
            here = _own_rows(devices, states)
            yield Snapshot(
                datetime.now(UTC), (*here, *peers.rows()), telemetry.battery(), peers.notes()
            )
            if number == count:
                return
            time.sleep(interval_s)


def _own_rows(
    devices: Mapping[str, Device], states: Mapping[str, DeviceGPUStateUpdated]
) -> Iterable[Row]:
    for device_id in dict.fromkeys([*devices, *states]):
        device, state = devices.get(device_id), states.get(device_id)
        reading = state.reading if state else Reading()
        if device and reading.memory_total_bytes is None:
            known = {
                "memory_total_bytes": device.memory_total_bytes,
                "memory_free_bytes": reading.memory_free_bytes or device.memory_free_bytes,
            }
            reading = reading.model_copy(update=known)
        note = f"old: {state.stale}" if state and state.stale else ""
        yield Row(device_id, device.name if device else None, reading, note)


class _Peers:
    """Looks for peers in a thread of its own, as long as the context lasts."""

    def __init__(self, seek: Callable[[], FoundPeers] | None) -> None:
        self._seek = seek
        self._found: FoundPeers | None = None
        self._problem: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def rows(self) -> Iterable[Row]:
        """Return the peers' devices, as last told."""
        for peer in self._found.peers if self._found else ():
            for device in peer.devices:
                reading = Reading(
                    temperature_c=device.temperature_c,
                    slowdown_c=device.temperature_limit_c,
                    memory_total_bytes=device.memory_total_bytes,
                    memory_free_bytes=device.memory_free_bytes,
                )
                yield Row(device.id, device.name, reading, "" if peer.paired else "not paired")

    def notes(self) -> tuple[str, ...]:
        """Say who did not answer, or what kept this machine from asking."""
        missing = self._found.missing if self._found else ()
        return (*missing, self._problem) if self._problem else missing

    def _run(self) -> None:
        while self._seek and not self._ended.is_set():
            try:
                self._found, self._problem = self._seek(), None
            except HgxError as error:
                self._problem = error.message
            self._ended.wait(PEERS_EVERY_S)
