"""The newest readings of this machine, kept up to date by a collector in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from hgx.node.changes import Thresholds
from hgx.node.telemetry import GPUTelemetryCollector
from hgx.sensors.node import battery_sampler, samplers
from hgx.sensors.source import MACHINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hgx.core.events import DeviceGPUStateUpdated
    from hgx.core.reading import Battery, Reading

_END_S = 2.0


class Telemetry:
    """Runs a collector as long as the context lasts, for programs that are not asynchronous.

    Args:
        node: This node's id.
        enabled: Whether to read anything at all.
        interval_s: Seconds between readings.
        thresholds: How much a state must change to be taken over.
        sources: Sensors by name; this machine's when absent.
        battery: Reads the battery; this machine's when absent.
    """

    def __init__(
        self,
        node: str,
        *,
        enabled: bool = True,
        interval_s: float = 2.0,
        thresholds: Thresholds | None = None,
        sources: Mapping[str, Callable[[], Mapping[str, Reading]]] | None = None,
        battery: Callable[[], Battery | None] | None = None,
    ) -> None:
        self._states: dict[str, DeviceGPUStateUpdated] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._collector = GPUTelemetryCollector(
            samplers(MACHINE) if sources is None else sources,
            self._keep,
            node=node,
            interval_s=interval_s,
            thresholds=thresholds or Thresholds(),
            battery=battery or battery_sampler(MACHINE),
            enabled=enabled,
        )
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it ended by itself meanwhile
                self._loop.call_soon_threadsafe(self._collector.stop)
        self._thread.join(_END_S)

    def wait_for_first(self, timeout_s: float) -> bool:
        """Wait until the first state is there; return whether it came in time."""
        return self._first.wait(timeout_s)

    def states(self) -> dict[str, DeviceGPUStateUpdated]:
        """Return the newest state of each device by its id, with its age if it is an old one."""
        return dict(self._states)

    def readings(self) -> dict[str, Reading]:
        """Return the newest fresh readings by device name without the node, as ``cuda:0``."""
        return {
            device.partition("/")[2]: state.reading
            for device, state in self.states().items()
            if state.stale is None
        }

    def battery(self) -> Battery | None:
        """Return the battery's newest state, if there is one."""
        newest = max(self.states().values(), key=lambda state: state.at, default=None)
        return newest.battery if newest else None

    def _run(self) -> None:
        asyncio.run(self._collect())

    async def _collect(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._collector.run()

    async def _keep(self, event: DeviceGPUStateUpdated) -> None:
        self._states[event.device] = event
        self._first.set()
