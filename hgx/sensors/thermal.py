"""Heat of processors on Linux: chips of hwmon, and thermal zones where there are none.

Units and files are those of the kernel's hwmon ``sysfs-interface``, ``coretemp``, ``k10temp`` and
``sysfs-api`` (thermal) documents: temperatures in thousandths of a degree. Checked against
composed trees only: no machine with such files was at hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hgx.sensors.values import highest, lowest, read_number, read_word

if TYPE_CHECKING:
    from hgx.sensors.source import Source

_MILLI = 1e-3
# For these the critical temperature is where the processor slows itself down (Intel's TjMax, AMD's
# limit of hardware thermal control), not where the machine is switched off.
_X86_CHIPS = frozenset({"coretemp", "k10temp", "k8temp", "zenpower", "via_cputemp"})
# These are thermal zones seen through hwmon: their critical temperature is that of the zone.
_ZONE_CHIPS = frozenset({"cpu_thermal", "cpu-thermal", "soc_thermal", "bigcore0_thermal"})
_CPU_ZONE = re.compile(
    r"x86_pkg_temp|cpu|mtktscpu|soc[-_]|(big|little)(core|cpu)|(BIG|MID|LITTLE)$|package[-_]"
)
# Types of cooling devices that slow a processor down: of ACPI, of cpufreq, and its newer name.
_COOLING_CPU = ("Processor", "cpufreq", "thermal-cpufreq")
# Some phones' zones count in degrees or tenths, not thousandths: what is nearer to zero is unknown.
_LEAST_RAW_ON_ANDROID = 1000
_THROTTLE_COUNT = "thermal_throttle/package_throttle_count"


class Heat(NamedTuple):
    """Temperatures in °C: the hottest sensor now, and its limits."""

    temperature_c: float | None = None
    slowdown_c: float | None = None
    shutdown_c: float | None = None


@dataclass(frozen=True)
class _Sensors:
    """Where a processor's temperatures are, and limits, which do not change."""

    inputs: tuple[str, ...]
    slowdown_c: float | None
    shutdown_c: float | None


class CpuHeat:
    """The processor's heat; it looks for sensors once, and is then cheap to read.

    Args:
        source: The machine, or a recording.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._least_raw = _LEAST_RAW_ON_ANDROID if source.system == "Android" else 0
        chips, zones = _chips(source), _zones(source)
        self._inputs = chips.inputs or zones.inputs
        self._slowdown_c = zones.slowdown_c if chips.slowdown_c is None else chips.slowdown_c
        self._shutdown_c = zones.shutdown_c if chips.shutdown_c is None else chips.shutdown_c

    def read(self) -> Heat:
        """Read the hottest sensor."""
        hottest = highest("temperature_c", map(self._read, self._inputs))
        return Heat(hottest, self._slowdown_c, self._shutdown_c)

    def _read(self, path: str) -> float | None:
        value = read_number(self._source, path)
        return None if value is None or 0 < abs(value) < self._least_raw else value * _MILLI


def _chips(source: Source) -> _Sensors:
    inputs: list[str] = []
    slowdown: list[float | None] = []
    shutdown: list[float | None] = []
    for chip in source.glob("sys/class/hwmon/hwmon*"):
        name = read_word(source, f"{chip}/name")
        if name not in _X86_CHIPS | _ZONE_CHIPS:
            continue
        sensors = [path.removesuffix("_input") for path in source.glob(f"{chip}/temp*_input")]
        labels = {sensor: read_word(source, f"{sensor}_label") for sensor in sensors}
        if "Tdie" in labels.values():
            # Tctl is what the fan is controlled by: on some processors 10 to 27 °C above the chip.
            sensors = [sensor for sensor in sensors if labels[sensor] != "Tctl"]
        inputs += (f"{sensor}_input" for sensor in sensors)
        critical = [read_number(source, f"{sensor}_crit", _MILLI) for sensor in sensors]
        (slowdown if name in _X86_CHIPS else shutdown).extend(critical)
    return _Sensors(tuple(inputs), lowest("slowdown_c", slowdown), lowest("shutdown_c", shutdown))


def _zones(source: Source) -> _Sensors:
    inputs: list[str] = []
    trips: dict[str, list[float | None]] = {"passive": [], "critical": []}
    for zone in source.glob("sys/class/thermal/thermal_zone*"):
        if not _CPU_ZONE.match(read_word(source, f"{zone}/type")):
            continue
        inputs.append(f"{zone}/temp")
        for path in source.glob(f"{zone}/trip_point_*_type"):
            # "hot" is a warning and "active" starts a fan: neither slows anything down.
            limits = trips.get(read_word(source, path))
            if limits is not None:
                limits.append(read_number(source, path.removesuffix("type") + "temp", _MILLI))
    return _Sensors(
        tuple(inputs),
        lowest("slowdown_c", trips["passive"]),
        lowest("shutdown_c", trips["critical"]),
    )


class CpuThrottles:
    """Whether heat holds the processor's clock down; it looks for files once.

    The kernel's cooling devices say so of this moment. Intel's processors count how often they
    slowed themselves down: then what counts is whether that number grew since the last reading.

    Args:
        source: The machine, or a recording.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._cooling = tuple(
            f"{device}/cur_state"
            for device in source.glob("sys/class/thermal/cooling_device*")
            if read_word(source, f"{device}/type").startswith(_COOLING_CPU)
        )
        packages: dict[str, str] = {}  # one counter of each: all its processors show the same
        for path in source.glob(f"sys/devices/system/cpu/cpu*/{_THROTTLE_COUNT}"):
            cpu = path.removesuffix(_THROTTLE_COUNT)
            packages.setdefault(read_word(source, f"{cpu}topology/physical_package_id"), path)
        self._counters = tuple(packages.values())
        self._counted: float | None = None

    def read(self) -> tuple[str, ...] | None:
        """Say why the clock is held down; null where nothing tells."""
        states = [read_number(self._source, path) for path in self._cooling]
        cooled = [state > 0 for state in states if state is not None]
        counts = [read_number(self._source, path) for path in self._counters]
        known = [count for count in counts if count is not None]
        # One that comes back must not look like one that grew.
        counted = sum(known) if known and len(known) == len(counts) else None
        grew = None if counted is None or self._counted is None else counted > self._counted
        self._counted = counted
        if not cooled and grew is None:
            return None
        return ("heat (software)",) * any(cooled) + ("heat (hardware)",) * bool(grew)
