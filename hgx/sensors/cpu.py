"""The processor: its name, cores, cache, heat, power and clock; null where unknown.

Linux and Android are read from files. macOS and Windows are asked through their own programs;
both are unverified.
"""

from __future__ import annotations

import math
import os
import platform
import time
from typing import TYPE_CHECKING

import psutil

from hgx.sensors.cgroup import Limits, read_limits
from hgx.sensors.source import MACHINE
from hgx.sensors.thermal import CpuHeat
from hgx.sensors.values import plausible, read_number, read_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import JsonValue

    from hgx.sensors.source import Source

_CPUS = "sys/devices/system/cpu"
_MOST_CLOCKS = 16  # reading one may wake a processor, and 16 are enough for a mean
_WINDOWS_NAME = (
    *("reg", "query", r"HKLM\HARDWARE\DESCRIPTION\System\CentralProcessor\0"),
    *("/v", "ProcessorNameString"),
)


def cpu_name(source: Source = MACHINE) -> str:
    """Return what the vendor calls the processor, or its architecture where it does not say.

    Args:
        source: The machine, or a recording.
    """
    match source.system:
        case "Darwin":
            name = source.run("sysctl", "-n", "machdep.cpu.brand_string") or ""
        case "Windows":
            name = (source.run(*_WINDOWS_NAME) or "").partition("REG_SZ")[2]
        case _:
            fields = dict(_cpuinfo(source, "model name", "Hardware", "Model"))
            name = next(iter(fields.values()), "")
    return " ".join(name.split()) or str(source.ask("architecture", _architecture) or "CPU")


def _architecture() -> JsonValue:
    return platform.processor() or platform.machine() or None


def _cpuinfo(source: Source, *wanted: str) -> Iterable[tuple[str, str]]:
    """Give the lines of /proc/cpuinfo that have one of these names."""
    for line in (source.read("proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in wanted:
            yield name.strip(), value.strip()


def usable_cores(source: Source = MACHINE, limits: Limits | None = None) -> int:
    """Count the physical cores this process may use: two threads of one core count once.

    Args:
        source: The machine, or a recording.
        limits: Limits of this process; read from its control groups when absent.

    Returns:
        At least 1.
    """
    limits = limits or read_limits(source)
    told = source.ask("cores", lambda: psutil.cpu_count(logical=False) or os.cpu_count())
    cores = _affine_cores(source) or (told if isinstance(told, int) else 1)
    return max(1, min(cores, math.ceil(limits.cpus or cores)))


def _affine_cores(source: Source) -> int:
    """Count the cores this process may run on; 0 where the system does not say, as macOS."""
    affinity = source.ask("affinity", _affinity)
    cpus = affinity if isinstance(affinity, list) else []
    return len(
        {
            read_word(source, f"{_CPUS}/cpu{cpu}/topology/thread_siblings_list") or cpu
            for cpu in map(str, cpus)
        }
    )


def _affinity() -> JsonValue:
    return [*sorted(os.sched_getaffinity(0))] if hasattr(os, "sched_getaffinity") else None


def last_level_cache_bytes(source: Source = MACHINE) -> int | None:
    """Return the size in bytes of the largest cache of the first core; null on Windows.

    Args:
        source: The machine, or a recording.
    """
    files = source.glob(f"{_CPUS}/cpu0/cache/index*/size")
    kibibytes = _greatest(read_word(source, file).removesuffix("K") for file in files)
    if kibibytes or source.system != "Darwin":
        return kibibytes and kibibytes * 1024
    return _greatest(
        (source.run("sysctl", "-n", name) or "").strip()
        for name in ("hw.l3cachesize", "hw.l2cachesize")
    )


def _greatest(texts: Iterable[str]) -> int | None:
    sizes = [int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) < 16]
    return max(sizes, default=0) or None


def temperature_c(source: Source = MACHINE) -> float | None:
    """Return the temperature of the processor's hottest sensor in °C; Linux only."""
    return CpuHeat(source).read().temperature_c


class Energy:
    """What the processor packages used so far, from RAPL; it looks for counters once.

    The counter is Intel's and AMD's; most systems let only root read it.

    Args:
        source: The machine, or a recording.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        # "psys" is the whole machine, and intel-rapl:0:0 a part of a package.
        self._counters = tuple(
            f"{domain}/energy_uj"
            for domain in source.glob("sys/class/powercap/intel-rapl:*")
            if read_word(source, f"{domain}/name").startswith("package")
        )

    def read_j(self) -> float | None:
        """Return joules since some time; null where they cannot be read."""
        counts = [read_number(self._source, counter, 1e-6) for counter in self._counters]
        known = [count for count in counts if count is not None]
        return sum(known) if known and len(known) == len(counts) else None


def power_between(before_j: float | None, after_j: float | None, seconds: float) -> float | None:
    """Return the mean power in watts between two readings of energy.

    A counter that stands still tells nothing, and one that started again, as it does every few
    minutes, loses the reading.
    """
    if before_j is None or after_j is None or after_j <= before_j or seconds <= 0:
        return None
    return plausible("power_w", (after_j - before_j) / seconds)


def power_w(
    source: Source = MACHINE,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.perf_counter,
) -> float | None:
    """Measure the power of all processor packages in watts over 50 ms.

    Args:
        source: The machine, or a recording.
        sleep: Waits so many seconds.
        clock: Returns seconds.
    """
    energy = Energy(source)
    began, before = clock(), energy.read_j()
    if before is None:
        return None
    sleep(0.05)
    after = energy.read_j()
    return power_between(before, after, clock() - began)


class Clocks:
    """Present clocks of processors on Linux and Android; it looks for them once.

    Args:
        source: The machine, or a recording.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        files = source.glob(f"{_CPUS}/cpufreq/policy*/scaling_cur_freq")
        self._files = files[:: math.ceil(len(files) / _MOST_CLOCKS) or 1]

    def read_hz(self) -> float | None:
        """Return their mean in hertz."""
        kilohertz = [read_number(self._source, file, 1e3) for file in self._files]
        clocks = [plausible("clock_hz", hertz) for hertz in kilohertz]
        if not self._files:
            told = [value for _, value in _cpuinfo(self._source, "cpu MHz")]
            clocks = [
                plausible("clock_hz", float(value) * 1e6) for value in told if _is_float(value)
            ]
        known = [hertz for hertz in clocks if hertz is not None]
        return sum(known) / len(known) if known else None


def _is_float(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal() and text.isascii()


def clock_hz(source: Source = MACHINE) -> float | None:
    """Return the present clock in hertz, averaged over cores; null on macOS.

    There psutil gives the highest clock of the fastest cores, which is no reading.
    """
    match source.system:
        case "Linux" | "Android":
            return Clocks(source).read_hz()
        case "Darwin":
            return None
        case _:
            return plausible("clock_hz", source.ask("clock_hz", _psutil_clock_hz))


def _psutil_clock_hz() -> JsonValue:
    # psutil documents no errors, but some virtual machines have no such file.
    frequency = psutil.cpu_freq()
    return frequency.current * 1e6 if frequency else None
