"""Heat and throttling of processors, from file trees."""

from __future__ import annotations

import pytest

from hgx.sensors.thermal import CpuHeat, CpuThrottles, Heat
from tests.sensors.doubles import Told

HWMON, ZONE, COOLING = (
    "sys/class/hwmon/hwmon",
    "sys/class/thermal/thermal_zone",
    "sys/class/thermal/cooling_device",
)
COUNT = "sys/devices/system/cpu/cpu{}/thermal_throttle/package_throttle_count"
PACKAGE = "sys/devices/system/cpu/cpu{}/topology/physical_package_id"


def chip(number: int, name: str, **files: str) -> dict[str, str]:
    """Make a chip of hwmon."""
    return {f"{HWMON}{number}/name": f"{name}\n"} | {
        f"{HWMON}{number}/{file}": f"{value}\n" for file, value in files.items()
    }


def zone(number: int, kind: str, temp: str, *trips: tuple[str, str]) -> dict[str, str]:
    """Make a thermal zone with trip points of a type and a temperature."""
    files = {f"{ZONE}{number}/type": f"{kind}\n", f"{ZONE}{number}/temp": f"{temp}\n"}
    for index, (trip, limit) in enumerate(trips):
        files[f"{ZONE}{number}/trip_point_{index}_type"] = f"{trip}\n"
        files[f"{ZONE}{number}/trip_point_{index}_temp"] = f"{limit}\n"
    return files


def test_hottest_sensor_of_all_packages() -> None:
    """The hottest core of all packages counts, and Intel slows down at its critical temperature."""
    files = chip(0, "coretemp", temp1_input="50000", temp1_crit="100000", temp2_input="48000")
    files |= chip(1, "coretemp", temp1_input="61000", temp1_crit="95000", temp2_input="-274000")
    files |= chip(2, "nvme", temp1_input="70000", temp1_crit="80000")
    assert CpuHeat(Told(files)).read() == Heat(61, 95, None)


def test_control_temperature_is_no_temperature() -> None:
    """AMD's Tctl counts only where there is no Tdie."""
    labels = {"temp1_input": "68000", "temp1_label": "Tctl"}
    die = {"temp2_input": "41000", "temp2_label": "Tdie"}
    assert CpuHeat(Told(chip(0, "k10temp", **labels))).read() == Heat(68)
    assert CpuHeat(Told(chip(0, "k10temp", **labels, **die))).read() == Heat(41)


@pytest.mark.parametrize(
    "kind",
    ["cpu-thermal", "cpu-0-0-usr", "cpuss-1-usr", "x86_pkg_temp", "mtktscpu", "BIG", "soc-thermal"],
)
def test_zones(kind: str) -> None:
    """Without chips, zones of the processor count, and their trips are its limits."""
    trips = (("active", "50000"), ("passive", "85000"), ("hot", "90000"), ("critical", "110000"))
    files = zone(0, kind, "42000", *trips) | zone(1, "battery", "90000", ("critical", "60000"))
    assert CpuHeat(Told(files)).read() == Heat(42, 85, 110)


def test_zones_without_limits() -> None:
    """Trips that nobody set, at 0 or -274 °C, are no limits."""
    files = zone(0, "x86_pkg_temp", "42000", ("passive", "0"), ("critical", "-274000"))
    assert CpuHeat(Told(files)).read() == Heat(42)


def test_zone_seen_through_hwmon() -> None:
    """The critical temperature of a zone's chip is where the machine is switched off."""
    files = chip(0, "cpu_thermal", temp1_input="42000", temp1_crit="110000")
    assert CpuHeat(Told(files)).read() == Heat(42, None, 110)


def test_units_of_phones() -> None:
    """Phones' zones may count in other units: readings near zero are unknown, zero excepted."""
    files = zone(0, "cpu-0-0-usr", "42") | zone(1, "cpu-0-1-usr", "0")
    assert CpuHeat(Told(files, system="Android")).read() == Heat(0)
    files = zone(0, "cpu-0-0-usr", "42")
    assert CpuHeat(Told(files, system="Android")).read() == Heat()
    assert CpuHeat(Told(files)).read() == Heat(0.042)


def test_sensor_that_vanishes() -> None:
    """A sensor that goes away is unknown, its limits stay known, and it may come back."""
    source = Told(chip(0, "coretemp", temp1_input="50000", temp1_crit="100000"))
    heat = CpuHeat(source)
    text = source.files.pop(f"{HWMON}0/temp1_input")
    assert heat.read() == Heat(None, 100)
    source.files[f"{HWMON}0/temp1_input"] = text
    assert heat.read() == Heat(50, 100)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"Processor": "0"}, ()),
        ({"Processor": "0", "cpufreq-cpu0": "2"}, ("heat (software)",)),
        ({"thermal-cpufreq-0": "1"}, ("heat (software)",)),
        ({"Fan": "1"}, None),
        ({"intel_powerclamp": "-1"}, None),
        ({"Processor": ""}, None),
    ],
)
def test_cooling(states: dict[str, str], expected: tuple[str, ...] | None) -> None:
    """A cooling device of the processor that works is a reason; a fan is none."""
    files: dict[str, str] = {}
    for index, (kind, state) in enumerate(states.items()):
        files[f"{COOLING}{index}/type"] = f"{kind}\n"
        files[f"{COOLING}{index}/cur_state"] = f"{state}\n"
    assert CpuThrottles(Told(files)).read() == expected


def test_throttle_counts() -> None:
    """Intel's counters tell of heat when they grew since the last reading, in any package."""
    source = Told({COUNT.format(n): "7\n" for n in range(4)})
    source.files |= {PACKAGE.format(n): f"{n // 2}\n" for n in range(4)}
    throttles = CpuThrottles(source)
    assert throttles.read() is None
    assert throttles.read() == ()
    source.files[COUNT.format(2)] = "9\n"
    assert throttles.read() == ("heat (hardware)",)
    assert throttles.read() == ()
    source.files.clear()
    assert throttles.read() is None
