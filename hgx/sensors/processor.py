"""The processor at one moment: load and power since the last one, heat, clock and memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import psutil

from hgx.sensors import values
from hgx.sensors.cpu import Clocks, Energy, clock_hz, power_between
from hgx.sensors.memory import find_memory
from hgx.sensors.thermal import CpuHeat, CpuThrottles, Heat
from hgx.sensors.values import mapping, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

    from hgx.core.reading import Reading
    from hgx.sensors.source import Source

_MEASURE_S = 0.1  # the kernel counts in hundredths of a second per processor


class Rates(NamedTuple):
    """What needs an interval: the share of it in which processors worked, and mean watts."""

    utilisation: float | None = None
    power_w: float | None = None


class CpuRates:
    """Load and power since the last call; the first call only begins the interval.

    Args:
        source: The machine, or a recording, whose counters stand still: then both are unknown.
        clock: Returns seconds.
    """

    def __init__(self, source: Source, clock: Callable[[], float] = time.perf_counter) -> None:
        self._source = source
        self._clock = clock
        self._energy = Energy(source)
        self._last: tuple[float, float | None, tuple[float, float] | None] | None = None

    def __call__(self) -> Rates:
        """Read the counters and say how much they grew."""
        now = (self._clock(), self._energy.read_j(), _times(self._source))
        last, self._last = self._last, now
        if last is None:
            return Rates()
        return Rates(
            _utilisation(last[2], now[2]), power_between(last[1], now[1], now[0] - last[0])
        )


def measure_rates(source: Source, sleep: Callable[[float], None] = time.sleep) -> Rates:
    """Measure load and power over a tenth of a second.

    Args:
        source: The machine, or a recording, which holds what was measured.
        sleep: Waits so many seconds.
    """

    def measure() -> JsonValue:
        rates = CpuRates(source)
        rates()
        sleep(_MEASURE_S)
        return {**rates()._asdict()}

    answer = mapping(source.ask("cpu_rates", measure))
    return Rates(number(answer.get("utilisation")), number(answer.get("power_w")))


def _times(source: Source) -> tuple[float, float] | None:
    """Return the seconds or ticks in which processors were idle, and all of them."""
    if source.system in {"Linux", "Android"}:
        name, *counts = (source.read("proc/stat") or "").partition("\n")[0].split() or [""]
        ticks = [count for count in map(number, counts) if count is not None]
        # user nice system idle iowait irq softirq steal; guests are in user already.
        if name != "cpu" or len(ticks) < 4:
            return None
        return sum(ticks[3:5]), sum(ticks[:8])
    answer = mapping(source.ask("cpu_times", _psutil_times))
    idle, total = number(answer.get("idle")), number(answer.get("total"))
    return None if idle is None or total is None else (idle, total)


def _psutil_times() -> JsonValue:
    times = psutil.cpu_times()
    # Windows' interrupts are in its system time already.
    busy = times.user + times.system + float(getattr(times, "nice", 0))
    return {"idle": times.idle, "total": busy + times.idle}


def _utilisation(
    before: tuple[float, float] | None, after: tuple[float, float] | None
) -> float | None:
    if before is None or after is None or after[1] <= before[1]:
        return None
    # The kernel's idle time may run a tick backwards.
    idle = (after[0] - before[0]) / (after[1] - before[1])
    return min(1.0, max(0.0, 1.0 - idle))


class Conditions(NamedTuple):
    """What the processor says of itself."""

    heat: Heat = Heat()
    throttles: tuple[str, ...] | None = None
    clock_hz: float | None = None


def kernel_conditions(
    source: Source, service: Callable[[], tuple[str, ...] | None] = lambda: None
) -> Callable[[], Conditions]:
    """Make what reads heat, throttling and clock from the files of Linux and Android.

    Args:
        source: The machine, or a recording.
        service: Says why clocks are held down where no file does.
    """
    heat, throttles, clocks = CpuHeat(source), CpuThrottles(source), Clocks(source)

    def read() -> Conditions:
        reasons = throttles.read()
        return Conditions(heat.read(), service() if reasons is None else reasons, clocks.read_hz())

    return read


def plain_conditions(
    source: Source, throttles: Callable[[], tuple[str, ...] | None] = lambda: None
) -> Callable[[], Conditions]:
    """Make what reads only clock and throttling, on systems that tell no more.

    Args:
        source: The machine, or a recording.
        throttles: Says why clocks are held down.
    """
    return lambda: Conditions(Heat(), throttles(), clock_hz(source))


def read_cpu(source: Source, rates: Rates, conditions: Conditions) -> Reading:
    """Put together what is known of the processor.

    Args:
        source: The machine, or a recording.
        rates: Its load and power.
        conditions: Its heat, throttling and clock.
    """
    memory = find_memory(None, source)
    return values.reading(
        **conditions.heat._asdict(),
        throttles=conditions.throttles,
        power_w=rates.power_w,
        power_kind="average",
        clock_hz=conditions.clock_hz,
        utilisation=rates.utilisation,
        memory_total_bytes=memory and memory.total_bytes,
        memory_free_bytes=memory and memory.free_bytes,
        memory_used_bytes=memory and memory.total_bytes - memory.free_bytes,
    )
