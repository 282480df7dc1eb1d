"""The processor: its name, cores, cache, heat, power and clock; null where unknown.

Linux is read from sysfs. macOS and Windows are asked through their own programs for the name and,
on macOS, the cache; both are unverified, and heat and power are unknown there.
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from hgx.sensors.cgroup import Limits, read_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
_HEAT_SENSORS = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal"})
_WINDOWS_NAME = (
    *("reg", "query", r"HKLM\HARDWARE\DESCRIPTION\System\CentralProcessor\0"),
    *("/v", "ProcessorNameString"),
)


def output_of(command: Sequence[str]) -> str:
    """Run a short command of the system and return what it prints; empty where it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - the commands are the constants of this file
            command, capture_output=True, text=True, timeout=2, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def cpu_name(
    system: str | None = None,
    root: Path = ROOT,
    output: Callable[[Sequence[str]], str] = output_of,
) -> str:
    """Return what the vendor calls the processor, or its architecture where it does not say.

    Args:
        system: As ``platform.system`` names it; this one when absent.
        root: Where ``proc`` is.
        output: Runs a command and returns what it prints.
    """
    match system or platform.system():
        case "Darwin":
            name = output(("sysctl", "-n", "machdep.cpu.brand_string"))
        case "Windows":
            name = output(_WINDOWS_NAME).partition("REG_SZ")[2]
        case _:
            lines = (line.partition(":") for line in _read(root / "proc/cpuinfo").splitlines())
            name = next((value for key, _, value in lines if key.strip() == "model name"), "")
    return " ".join(name.split()) or platform.processor() or platform.machine() or "CPU"


def usable_cores(root: Path = ROOT, limits: Limits | None = None) -> int:
    """Count the physical cores this process may use: two threads of one core count once.

    Args:
        root: Where ``sys`` is.
        limits: Limits of this process; read from its control groups when absent.

    Returns:
        At least 1.
    """
    limits = limits or read_limits(root)
    cores = _affine_cores(root) or psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return max(1, min(cores, math.ceil(limits.cpus or cores)))


def _affine_cores(root: Path) -> int:
    if not hasattr(os, "sched_getaffinity"):
        return 0  # macOS and Windows
    cores = {
        _read(root / _CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)
        for cpu in os.sched_getaffinity(0)
    }
    return len(cores)


def last_level_cache_bytes(
    root: Path = ROOT, output: Callable[[Sequence[str]], str] = output_of
) -> int | None:
    """Return the size in bytes of the largest cache of the first core; null on Windows.

    Args:
        root: Where ``sys`` is.
        output: Runs a command and returns what it prints.
    """
    files = (root / _CPUS / "cpu0/cache").glob("index*/size")
    kibibytes = _greatest(_read(file).removesuffix("K") for file in files)
    if kibibytes:
        return kibibytes * 1024
    return _greatest(
        output(("sysctl", "-n", name)) for name in ("hw.l3cachesize", "hw.l2cachesize")
    )


def _greatest(texts: Iterable[str]) -> int | None:
    sizes = [int(text) for text in texts if text.isdecimal()]
    return max(sizes, default=0) or None


def temperature_c(root: Path = ROOT) -> float | None:
    """Return the temperature of the processor's package in °C, from hwmon."""
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        millidegrees = _read(chip / "temp1_input")
        if _read(chip / "name") in _HEAT_SENSORS and millidegrees.lstrip("-").isdecimal():
            return int(millidegrees) / 1000
    return None


def power_w(
    root: Path = ROOT,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.perf_counter,
) -> float | None:
    """Measure the power of the first processor package in watts over 50 ms.

    The counter is Intel's and AMD's RAPL, which most systems let only root read.

    Args:
        root: Where ``sys`` is.
        sleep: Waits so many seconds.
        clock: Returns seconds.
    """
    counter = root / "sys/class/powercap/intel-rapl:0/energy_uj"
    began, before = clock(), _read(counter)
    if not before.isdecimal():
        return None
    sleep(0.05)
    after = _read(counter)
    # The counter starts again at zero every few minutes: then this reading is lost.
    if not after.isdecimal() or int(after) < int(before):
        return None
    return (int(after) - int(before)) / 1e6 / (clock() - began)


def clock_hz() -> float | None:
    """Return the present clock in hertz, averaged over cores."""
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError, RuntimeError):
        return None  # psutil documents no errors, but some virtual machines have no such file
    megahertz = frequency.current if frequency else 0
    return megahertz * 1e6 or None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""  # this machine does not have that file: the reading is unknown
