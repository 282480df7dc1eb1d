"""What else was the case while something was measured: others' load, heat, clocks, power."""

from __future__ import annotations

import time
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple

import psutil

from hgx.core.benchmark import Conditions
from hgx.core.reading import Reading
from hgx.sensors.node import samplers
from hgx.sensors.source import MACHINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hgx.core.reading import PowerSource
    from hgx.drivers.base import Driver
    from hgx.sensors.node import Sampler
    from hgx.sensors.source import Source

LOOK_EVERY_S = 0.25
"""Often enough for heat, and seldom enough not to be in the way of what is measured."""


class Busy(NamedTuple):
    """Processor seconds since some time in the past: of everybody, and of this process."""

    all_s: float
    own_s: float


def busy() -> Busy:
    """Read how long processors were busy; time that a hypervisor gave to others counts."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts guests' time twice: in user and nice, and by itself.
    twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    own = psutil.Process().cpu_times()
    return Busy(sum(times) - idle - twice, own.user + own.system)


class Watch:
    """Looks now and then at a device and its machine, and says in the end what was the case.

    Args:
        read: Reads the device.
        power_source: Where the machine has its power from.
        busy: Reads processor times.
        processors: How many there are.
        clock: Returns seconds.
    """

    def __init__(
        self,
        read: Callable[[], Reading] = Reading,
        power_source: PowerSource | None = None,
        *,
        busy: Callable[[], Busy] = busy,
        processors: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._read = read
        self._power_source: PowerSource | None = power_source
        self._busy = busy
        self._processors = processors or psutil.cpu_count() or 1
        self._clock = clock
        self._readings: list[Reading] = []
        self._began = self._looked = clock()
        self._before = busy()

    def look(self) -> None:
        """Read the device, unless that was done just before."""
        if not self._readings or self._clock() - self._looked >= LOOK_EVERY_S:
            self._readings.append(self._read())
            self._looked = self._clock()

    def conditions(self) -> Conditions:
        """Sum up; what nobody could read is null."""
        self._readings.append(self._read())
        heat = [r.temperature_c for r in self._readings if r.temperature_c is not None]
        clocks = [r.clock_hz for r in self._readings if r.clock_hz is not None]
        throttles = [r.throttles for r in self._readings if r.throttles is not None]
        return Conditions(
            load=self._load(),
            temperature_c=max(heat, default=None),
            throttles=_each_once(throttles),
            clock_hz=median(clocks) if clocks else None,
            power_source=self._power_source,
        )

    def _load(self) -> float | None:
        elapsed, after = self._clock() - self._began, self._busy()
        if elapsed <= 0:
            return None
        others = (after.all_s - self._before.all_s) - (after.own_s - self._before.own_s)
        # Both counters go in steps of some milliseconds, so the difference may be a bit off.
        return min(1.0, max(0.0, others / (elapsed * self._processors)))


def merged(parts: Sequence[Conditions]) -> Conditions:
    """Sum up the conditions of several stretches of about the same length.

    Args:
        parts: At least one, in order.
    """
    loads = [part.load for part in parts if part.load is not None]
    heat = [part.temperature_c for part in parts if part.temperature_c is not None]
    clocks = [part.clock_hz for part in parts if part.clock_hz is not None]
    throttles = [part.throttles for part in parts if part.throttles is not None]
    return Conditions(
        load=fmean(loads) if loads else None,
        temperature_c=max(heat, default=None),
        throttles=_each_once(throttles),
        clock_hz=median(clocks) if clocks else None,
        power_source=parts[-1].power_source,
    )


def _each_once(throttles: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return all reasons, each once; null where nobody could tell."""
    return tuple(dict.fromkeys(why for some in throttles for why in some)) if throttles else None


def device_reader(
    driver: Driver, index: int, name: str, source: Source = MACHINE
) -> Callable[[], Reading]:
    """Return what reads a device: its machine's sensors, and its driver where they do not tell.

    The driver's power is left out: some drivers wait for it, and that would be in the way.

    Args:
        driver: An initialized driver.
        index: The device's number there.
        name: The device as sensors call it: ``cuda:0``, which may be another number.
        source: The machine.
    """
    sample = _sampler(name, source)

    def read() -> Reading:
        seen = sample().get(name) or Reading()
        told: dict[str, float | None] = {}
        if seen.temperature_c is None:
            told["temperature_c"] = driver.temperature(index)
        if seen.clock_hz is None:
            told["clock_hz"] = driver.clock(index)
        return seen.model_copy(update=told)

    return read


def _sampler(name: str, source: Source) -> Sampler:
    """Find the sampler that knows a device; one that knows none where there is none.

    On Windows all of them start programs that take seconds: there the driver has to do.
    """
    found = samplers(source).values() if source.system != "Windows" else ()
    return next((sample for sample in found if name in sample()), dict)
