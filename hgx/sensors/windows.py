"""Windows, through its performance counters and WMI; unverified: no such machine was at hand.

One PowerShell asks for several classes and prints JSON, in which numbers look the same in every
language. ``ThermalZoneInformation`` needs no rights; ``MSAcpi_ThermalZoneTemperature``, which also
has limits, mostly wants an administrator. Both count in tenths of a kelvin. Windows has no counter
for the processor's own sensor: these are the zones that the firmware has, taken where their name
says CPU, or all of them where none does.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple, cast

import psutil

from hgx.sensors.thermal import Heat
from hgx.sensors.values import battery, highest, lowest, mapping, mappings, number, scaled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import JsonValue

    from hgx.core.reading import Battery
    from hgx.sensors.source import Source

_ABSOLUTE_ZERO_C = -273.15
_CHARGING = frozenset({6, 7, 8, 9})  # BatteryStatus of Win32_Battery
_ON_BATTERY = frozenset({1, 4, 5})  # discharging, low, critical
_THROTTLES = {1: "heat (firmware)", 2: "current limit"}  # bits of "Throttle Reasons"
_ENGINE = re.compile(r"luid_(\w+?_\w+?)_phys_\d+_eng_(\d+)_")


def _query(name: str, class_name: str, *properties: str, where: str = "") -> str:
    return (
        f"{name}=@(Get-CimInstance {where}-ClassName {class_name} | "
        f"Select-Object {','.join(properties)})"
    )


def _powershell(*queries: str) -> tuple[str, ...]:
    script = (
        "$ErrorActionPreference='SilentlyContinue'; "
        "[Console]::OutputEncoding=[Text.Encoding]::UTF8; "
        f"@{{{'; '.join(queries)}}} | ConvertTo-Json -Compress -Depth 3"
    )
    return ("powershell", "-NoProfile", "-NonInteractive", "-Command", script)


PERFORMANCE = _powershell(
    _query(
        "zones",
        "Win32_PerfFormattedData_Counters_ThermalZoneInformation",
        *("Name", "HighPrecisionTemperature", "ThrottleReasons"),
    ),
    _query(
        "acpi",
        "MSAcpi_ThermalZoneTemperature",
        *("InstanceName", "CurrentTemperature", "PassiveTripPoint", "CriticalTripPoint"),
        where="-Namespace root/wmi ",
    ),
    _query(
        "processor",
        "Win32_PerfFormattedData_Counters_ProcessorInformation",
        *("ProcessorFrequency", "PercentProcessorPerformance"),
        where="-Filter \"Name='_Total'\" ",
    ),
    _query(
        "engines",
        "Win32_PerfFormattedData_GPUPerformanceCounters_GPUEngine",
        *("Name", "UtilizationPercentage"),
    ),
)
"""Asks for heat, clocks and the load of graphics cards."""

BATTERY = _powershell(
    _query("battery", "Win32_Battery", "EstimatedChargeRemaining", "BatteryStatus"),
    _query(
        "status",
        "BatteryStatus",
        *("Charging", "PowerOnline", "ChargeRate", "DischargeRate"),
        where="-Namespace root/wmi ",
    ),
    _query(
        "full",
        "BatteryFullChargedCapacity",
        "FullChargedCapacity",
        where="-Namespace root/wmi ",
    ),
)
"""Asks for the battery."""


class Performance(NamedTuple):
    """What the performance counters say.

    Attributes:
        heat: Of the firmware's zones for the processor.
        throttles: Why they hold clocks down.
        clock_hz: Of the processor, averaged over cores.
        gpu_utilisation: Share of time the busiest engine worked, where there is one graphics card.
    """

    heat: Heat = Heat()
    throttles: tuple[str, ...] | None = None
    clock_hz: float | None = None
    gpu_utilisation: float | None = None


def read_performance(source: Source) -> Performance:
    """Ask for heat, clocks and the load of graphics cards; this takes a second."""
    told = _told(source, PERFORMANCE)
    zones = _of_the_cpu(mappings(told.get("zones")), "Name")
    acpi = _of_the_cpu(mappings(told.get("acpi")), "InstanceName")
    now = [_celsius(zone.get("HighPrecisionTemperature")) for zone in zones]
    now += [_celsius(zone.get("CurrentTemperature")) for zone in acpi]
    return Performance(
        Heat(
            highest("temperature_c", now),
            lowest("slowdown_c", (_celsius(zone.get("PassiveTripPoint")) for zone in acpi)),
            lowest("shutdown_c", (_celsius(zone.get("CriticalTripPoint")) for zone in acpi)),
        ),
        _throttles(number(zone.get("ThrottleReasons")) for zone in zones),
        _clock_hz(mappings(told.get("processor"))),
        _gpu_utilisation(mappings(told.get("engines"))),
    )


def _told(source: Source, command: tuple[str, ...]) -> Mapping[str, object]:
    try:
        return mapping(json.loads(source.run(*command) or "null"))
    except (ValueError, RecursionError):
        return {}


def _of_the_cpu(
    zones: tuple[Mapping[str, object], ...], name: str
) -> tuple[Mapping[str, object], ...]:
    named = tuple(zone for zone in zones if "CPU" in str(zone.get(name)).upper())
    return named or zones


def _celsius(tenths: object) -> float | None:
    kelvin = scaled(tenths, 0.1)
    return kelvin + _ABSOLUTE_ZERO_C if kelvin else None


def _throttles(reasons: Iterable[float | None]) -> tuple[str, ...] | None:
    bits = [int(reason) for reason in reasons if reason is not None]
    if not bits:
        return None
    return tuple(words for bit, words in _THROTTLES.items() if any(each & bit for each in bits))


def _clock_hz(processors: tuple[Mapping[str, object], ...]) -> float | None:
    """Multiply the nominal frequency in MHz by the share of it that is reached, as Windows does."""
    for total in processors:
        hertz = scaled(total.get("ProcessorFrequency"), 1e6)
        share = scaled(total.get("PercentProcessorPerformance"), 0.01)
        if hertz and share:
            return hertz * share
    return None


def _gpu_utilisation(engines: tuple[Mapping[str, object], ...]) -> float | None:
    """Add up what processes used of each engine; the busiest engine counts, as in Task Manager."""
    used: dict[tuple[str, str], float] = {}
    for engine in engines:
        found = _ENGINE.search(str(engine.get("Name")))
        share = scaled(engine.get("UtilizationPercentage"), 0.01)
        if found and share is not None:
            key = (found[1], found[2])
            used[key] = used.get(key, 0.0) + share
    if len({card for card, _ in used}) != 1:
        return None  # of two cards nothing says which one DirectML would call the first
    return min(1.0, max(used.values()))


def read_battery(source: Source) -> Battery | None:
    """Read the battery; null on machines without one."""
    simple = mapping(source.ask("battery", _psutil_battery))
    told = _told(source, BATTERY)
    batteries, states = mappings(told.get("battery")), mappings(told.get("status"))
    if not simple and not batteries:
        return None
    full = mappings(told.get("full"))
    first, state, whole = (next(iter(one), mapping(None)) for one in (batteries, states, full))
    status = number(first.get("BatteryStatus"))
    percent = first.get("EstimatedChargeRemaining", simple.get("percent"))
    rates = (number(state.get("ChargeRate")), number(state.get("DischargeRate")))
    return battery(
        charge=scaled(percent, 0.01),
        charging=_first(state.get("Charging"), None if status is None else status in _CHARGING),
        plugged=_first(
            *(state.get("PowerOnline"), simple.get("plugged")),
            False if status in _ON_BATTERY else None,  # 2 and 3 say less than their names
        ),
        power_w=scaled(max((rate for rate in rates if rate is not None), default=None), 1e-3),
        full_wh=scaled(whole.get("FullChargedCapacity"), 1e-3),
    )


def has_no_battery(source: Source) -> bool:
    """Tell whether Windows answers that there is none, where none was found."""
    return _told(source, BATTERY).get("battery") == []


def _first(*answers: object) -> bool | None:
    return next((answer for answer in answers if isinstance(answer, bool)), None)


def _psutil_battery() -> JsonValue:
    ask = getattr(psutil, "sensors_battery", None)  # not on every system
    found = cast("object", ask()) if ask else None
    if found is None:
        return None
    return {"percent": _json(found, "percent"), "plugged": _json(found, "power_plugged")}


def _json(found: object, name: str) -> JsonValue:
    value = getattr(found, name, None)
    return value if isinstance(value, bool) else number(value)
