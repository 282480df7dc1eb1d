"""Readings of all sensors, as events: sent when they differ enough from what was sent last.

Sensors are synchronous and may hang in a vendor's driver. This is the one bridge from them to
async code: each source has a thread of its own, which nothing waits for longer than a time limit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from hgx.core.events import DeviceGPUStateUpdated
from hgx.node.changes import Thresholds, batteries_differ, readings_differ

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from hgx.core.reading import Battery, Reading

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


def pause_s(took_s: float, interval_s: float) -> float:
    """Return how long to wait after a reading, so that readings keep their places in time.

    What was missed is not made up for, and the next reading never follows at once.
    """
    return interval_s - took_s % interval_s


class GPUTelemetryCollector:
    """Reads sensors in an interval and emits the states that differ enough.

    The first state of a device is always sent. After that a state is compared with the last one
    that was sent, so that a slow drift is told too. A source that hangs, fails or no longer shows
    a device makes the device's last state stale, which is told once; when it answers again, the
    device's state is sent.

    What could not be sent is tried again with the next reading: ``emit`` gets each state at least
    once, and its failure is logged once until it works again. It delays only its own source.

    Args:
        sources: By name, what reads a source's devices; each device belongs to one source.
        emit: Takes the events; for each device in order, for different sources at the same time.
        node: This node's id, which begins the devices'.
        battery: Reads the machine's battery; null on a machine without one.
        interval_s: Seconds from one reading to the next, above zero; what would begin during
            a longer one is left out. Steps of the system's clock change nothing.
        thresholds: Differences that count.
        timeout_s: Seconds after which a source counts as hung.
        clock: Returns the time that events carry.
        enabled: Whether to do anything at all.
    """

    def __init__(
        self,
        sources: Mapping[str, Callable[[], Mapping[str, Reading]]],
        emit: Callable[[DeviceGPUStateUpdated], Awaitable[None]],
        *,
        node: str,
        battery: Callable[[], Battery | None] | None = None,
        interval_s: float = 2.0,
        thresholds: Thresholds | None = None,
        timeout_s: float = 10.0,
        clock: Callable[[], datetime] = _now,
        enabled: bool = True,
    ) -> None:
        self._sources = dict(sources)
        self._emit = emit
        self._node = node
        self._read_battery = battery
        self._interval_s = interval_s
        self._thresholds = thresholds or Thresholds()
        self._timeout_s = timeout_s
        self._clock = clock
        self._enabled = enabled
        self._battery: Battery | None = None
        self._latest: dict[str, dict[str, DeviceGPUStateUpdated]] = {name: {} for name in sources}
        self._sent: dict[str, DeviceGPUStateUpdated] = {}
        self._failing: set[str] = set()
        self._emit_fails = False
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Collect until cancelled or stopped, once; returns at once where telemetry is off."""
        if not self._enabled:
            return
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    self._follow(name, read, partial(self._take, name), partial(self._fail, name))
                )
                for name, read in self._sources.items()
            ]
            if self._read_battery is not None:
                follow = self._follow(
                    "battery", self._read_battery, self._take_battery, self._fail_battery
                )
                tasks.append(group.create_task(follow))
            await self._stopped.wait()
            for task in tasks:
                task.cancel()

    def stop(self) -> None:
        """End ``run``, also one that did not begin yet; call it in the loop of ``run``."""
        self._stopped.set()

    async def _follow(
        self,
        name: str,
        read: Callable[[], Answer],
        take: Callable[[Answer], Awaitable[None]],
        fail: Callable[[str], Awaitable[None]],
    ) -> None:
        """Read a source again and again, and hand on what it answers or why it does not."""
        loop = asyncio.get_running_loop()
        worker = _Worker(name, read)
        try:
            while True:
                began_s = loop.time()
                answer = worker.ask()
                await asyncio.wait((answer,), timeout=self._timeout_s)
                while not answer.done():
                    await fail(f"{name} has not answered for {self._timeout_s:g} s")
                    await asyncio.wait((answer,), timeout=self._interval_s)
                outcome = answer.result()
                if isinstance(outcome, _Failure):
                    await fail(outcome.reason)
                else:
                    await take(outcome)
                await asyncio.sleep(pause_s(loop.time() - began_s, self._interval_s))
        finally:
            worker.end()

    async def _take(self, source: str, readings: Mapping[str, Reading]) -> None:
        self._failing.discard(source)
        latest = self._latest[source]
        at = self._clock()
        fresh = {
            device: DeviceGPUStateUpdated(
                device=f"{self._node}/{device}", at=at, reading=reading, battery=self._battery
            )
            for device, reading in readings.items()
        }
        latest |= fresh
        for event in fresh.values():
            sent = self._sent.get(event.device)
            if sent is None or self._differs(sent, event):
                await self._send(event)
        gone = [event for device, event in latest.items() if device not in fresh]
        await self._mark_stale(gone, f"{source} no longer shows it")

    async def _fail(self, source: str, reason: str) -> None:
        devices = self._latest[source]
        if not devices and source not in self._failing:
            _log.warning("%s", reason)  # no device could carry it
        self._failing.add(source)
        await self._mark_stale(devices.values(), reason)

    async def _take_battery(self, battery: Battery | None) -> None:
        self._battery = battery

    async def _fail_battery(self, _: str) -> None:
        self._battery = None  # unknown; there is no device to mark

    def _differs(self, sent: DeviceGPUStateUpdated, now: DeviceGPUStateUpdated) -> bool:
        return (
            sent.stale is not None
            or readings_differ(sent.reading, now.reading, self._thresholds)
            or batteries_differ(sent.battery, now.battery, self._thresholds)
        )

    async def _mark_stale(self, events: Iterable[DeviceGPUStateUpdated], reason: str) -> None:
        for event in tuple(events):
            sent = self._sent.get(event.device)
            if sent is None or sent.stale is None:
                await self._send(event.model_copy(update={"stale": reason}))

    async def _send(self, event: DeviceGPUStateUpdated) -> None:
        try:
            await self._emit(event)
        except Exception:  # noqa: BLE001 - whatever it raises, telemetry goes on
            if not self._emit_fails:
                _log.exception("the state of %s could not be told; it is tried again", event.device)
            self._emit_fails = True
        else:
            self._emit_fails = False
            self._sent[event.device] = event


@dataclass(frozen=True)
class _Failure:
    """Why a source gave no answer."""

    reason: str


class _Worker(Generic[Answer]):
    """A thread that calls a function each time it is asked to.

    It is a daemon: one that hangs keeps nobody from ending the process.

    Args:
        name: What it reads.
        read: The function.
    """

    def __init__(self, name: str, read: Callable[[], Answer]) -> None:
        self._name = name
        self._read = read
        self._asked: SimpleQueue[asyncio.Future[Answer | _Failure] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=f"telemetry of {name}", daemon=True).start()

    def ask(self) -> asyncio.Future[Answer | _Failure]:
        """Have the function called once; ask again only when this is answered."""
        answer: asyncio.Future[Answer | _Failure] = asyncio.get_running_loop().create_future()
        self._asked.put(answer)
        return answer

    def end(self) -> None:
        """Let the thread end, after the call it may be in."""
        self._asked.put(None)

    def _work(self) -> None:
        while (answer := self._asked.get()) is not None:
            outcome = self._outcome()
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                answer.get_loop().call_soon_threadsafe(answer.set_result, outcome)

    def _outcome(self) -> Answer | _Failure:
        try:
            return self._read()
        except Exception as error:  # noqa: BLE001 - whatever a vendor's library raises
            words = " ".join(str(error).split()) or type(error).__name__
            return _Failure(f"{self._name} failed: {words}")
