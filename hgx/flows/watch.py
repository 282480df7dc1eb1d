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

_PROMPT_S = 0.5
"""A problem that shows without waiting for the network, as a bad address, is there by then."""


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
        count: How many; for ever where null. With a count the first comes when the peers were
            asked once, so that they are in it.
        seek: Finds other nodes; null to leave them out.

    Raises:
        HgxError: What ``discover`` raises at the beginning, or ``seek`` when it is first called;
            later problems of ``seek`` are notes.
    """
    found = discover(home, measure=None)
    node, devices = home.node_id(), found.local.devices
    every_change = Thresholds().scaled(0)
    with (
        _Peers(seek, wait_s=_PROMPT_S if count is None else None) as peers,
        Telemetry(node, interval_s=interval_s, thresholds=every_change) as telemetry,
    ):
        telemetry.wait_for_first(interval_s)
        for number in numbers(1):
            peers.check()
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
            known: dict[str, int | None] = {"memory_total_bytes": device.memory_total_bytes}
            if reading.memory_free_bytes is None:
                known["memory_free_bytes"] = device.memory_free_bytes
            reading = reading.model_copy(update=known)
        note = f"old: {state.stale}" if state and state.stale else ""
        yield Row(device_id, device.name if device else None, reading, note)


class _Peers:
    """Looks for peers again and again as long as the context lasts, in a thread of its own.

    Args:
        seek: Finds them; null to look for none.
        wait_s: How long to wait at the beginning for a problem of the first round; where null
            the first round is waited for, before the thread is started.
    """

    def __init__(self, seek: Callable[[], FoundPeers] | None, wait_s: float | None) -> None:
        self._seek = seek
        self._wait_s = wait_s
        self._found: FoundPeers | None = None
        self._problem: str | None = None
        self._fault: HgxError | None = None
        self._looked = threading.Event()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        if self._seek is None:
            return self
        if self._wait_s is None:
            self._look(self._seek)
        threading.Thread(target=self._run, args=(self._seek,), daemon=True).start()
        self._looked.wait(self._wait_s)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def check(self) -> None:
        """Raise what was wrong with the first round."""
        if self._fault:
            raise self._fault

    def rows(self) -> Iterable[Row]:
        """Return the peers' devices, as last told."""
        for peer in self._found.peers if self._found else ():
            for device in peer.devices:
                reading = Reading(
                    temperature_c=device.temperature_c,
                    slowdown_c=device.temperature_limit_c,
                    memory_total_bytes=device.memory_total_bytes,
                    memory_free_bytes=_possible_free(device),
                )
                yield Row(device.id, device.name, reading, "" if peer.paired else "not paired")

    def notes(self) -> tuple[str, ...]:
        """Say who did not answer, or what kept this machine from asking."""
        missing = self._found.missing if self._found else ()
        return (*missing, self._problem) if self._problem else missing

    def _run(self, seek: Callable[[], FoundPeers]) -> None:
        if self._looked.is_set():
            self._ended.wait(PEERS_EVERY_S)
        while not self._ended.is_set():
            self._look(seek)
            self._ended.wait(PEERS_EVERY_S)

    def _look(self, seek: Callable[[], FoundPeers]) -> None:
        try:
            self._found, self._problem = seek(), None
        except HgxError as error:
            self._problem = error.message
            if not self._looked.is_set():
                self._fault = error
        except Exception as error:  # noqa: BLE001 - else the thread would end and tell nobody
            self._problem = f"looking for other nodes failed, as hgx did not foresee: {error!r}"
        self._looked.set()


def _possible_free(device: Device) -> int | None:
    """Return the free memory a peer tells of, unless that is more than there is at all."""
    free = device.memory_free_bytes
    return None if free is None or free > device.memory_total_bytes else free
