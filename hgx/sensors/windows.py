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
from hgx.sensors.values import (
    battery,
    highest,
    lowest,
    mapping,
    mappings,
    number,
    plausible,
    scaled,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import JsonValue

    from hgx.core.reading import Battery
    from hgx.sensors.source import Source

_ABSOLUTE_ZERO_C = -273.15
_CHARGING = frozenset({6, 7, 8, 9})  # BatteryStatus of Win32_Battery
_ON_BATTERY = frozenset({1, 4, 5})  # discharging, low, critical
_THROTTLES = {1: "heat (firmware)", 2: "current limit"}  # bits of "Throttle Reasons"
_MOST_WH = 1000.0
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
        *("Charging", "PowerOnline", "ChargeRate", "DischargeRate", "RemainingCapacity"),
        where="-Namespace root/wmi ",
    ),
    _query(
        "full",
        "BatteryFullChargedCapacity",
        "FullChargedCapacity",
        where="-Namespace root/wmi ",
    ),
)
"""Asks for the batteries: each class has one entry per battery, in an order of its own."""


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
    """Read the battery, several as one; null on machines without one.

    What one of several does not tell is unknown of all.
    """
    simple = mapping(source.ask("battery", _psutil_battery))
    told = _told(source, BATTERY)
    batteries, states, full = (mappings(told.get(name)) for name in ("battery", "status", "full"))
    if not simple and not batteries:
        return None
    count = max(len(batteries), len(states), len(full))
    full_wh = _sum(count, (_watt_hours(one.get("FullChargedCapacity")) for one in full))
    left_wh = _sum(count, (_watt_hours(one.get("RemainingCapacity")) for one in states))
    alone = batteries[0] if batteries and count == 1 else mapping(None)
    percents = (alone.get("EstimatedChargeRemaining"), simple.get("percent"))
    statuses = {number(one.get("BatteryStatus")) for one in batteries} - {None}
    charging = bool(statuses & _CHARGING) if statuses else None
    flows_w = _sum(count, map(_flow_w, states))
    return battery(
        charge=_charge(percents, left_wh, full_wh),
        charging=_first(_any(one.get("Charging") for one in states), charging),
        plugged=_first(
            *(_any(one.get("PowerOnline") for one in states), simple.get("plugged")),
            # 2 and 3 say less than their names
            False if statuses & _ON_BATTERY and not charging else None,
        ),
        power_w=None if flows_w is None else abs(flows_w),
        full_wh=full_wh,
    )


def _sum(count: int, values: Iterable[float | None]) -> float | None:
    """Add up what so many batteries tell; null where one of them does not."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == count else None


def _any(answers: Iterable[object]) -> bool | None:
    known = [answer for answer in answers if isinstance(answer, bool)]
    return any(known) if known else None


def _watt_hours(milliwatt_hours: object) -> float | None:
    """Return an energy that a battery may hold; firmware that does not know says 4294967295."""
    found = scaled(milliwatt_hours, 1e-3)
    return found if found is not None and 0 <= found <= _MOST_WH else None


def _charge(
    percents: tuple[object, object], left_wh: float | None, full_wh: float | None
) -> float | None:
    """Return how full all are: by the word of the only one, by their energies, or by psutil's."""
    alone, together = (scaled(percent, 0.01) for percent in percents)
    if alone is None and left_wh is not None and full_wh:
        return min(1.0, left_wh / full_wh)
    return together if alone is None else alone


def _flow_w(state: Mapping[str, object]) -> float | None:
    """Return what goes into a battery, or with a minus what comes out of it."""
    rates = [
        plausible("power_w", scaled(state.get(name), 1e-3))
        for name in ("ChargeRate", "DischargeRate")
    ]
    if rates == [None, None]:
        return None
    inward, outward = (rate or 0.0 for rate in rates)
    return inward if inward >= outward else -outward


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
