"""Apple's machines, through programs that come with macOS; unverified: no Mac was at hand.

Apple tells no temperature of the chip to programs without root. What it tells is how much heat
holds the system back: the level that ``libkern/OSThermalNotification.h`` names, which
``notifyutil`` prints, and on Intel machines the speed limit that ``pmset -g therm`` prints. The
battery is ``pmset -g batt``, with power, temperature and capacity from ``ioreg``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from hgx.sensors.values import battery, number, reading, scaled

if TYPE_CHECKING:
    from hgx.core.reading import Battery, Reading
    from hgx.sensors.source import Source

ThermalState = Literal["nominal", "moderate", "heavy", "trapping", "sleeping"]

_STATES: tuple[ThermalState, ...] = ("nominal", "moderate", "heavy", "trapping", "sleeping")
_STATE_COMMAND = ("notifyutil", "-g", "com.apple.system.thermalpressurelevel")
_LIMIT_COMMAND = ("pmset", "-g", "therm")
_CHARGE_COMMAND = ("pmset", "-g", "batt")
_BATTERY_COMMAND = ("ioreg", "-r", "-n", "AppleSmartBattery", "-w", "0")
_GPU_COMMAND = ("ioreg", "-r", "-d", "1", "-c", "IOAccelerator", "-w", "0")
_CHARGE_LINE = re.compile(r"InternalBattery\S*.*?\t(\d{1,3})%; ([^;\n]+)")
_POWER_FROM = r"drawing from '([^'\n]*)'"
_SIGNED = 1 << 63


def thermal_state(source: Source) -> ThermalState | None:
    """Ask how much heat holds the system back; null where macOS does not say.

    Apple's NSProcessInfo has coarser words for it: nominal, fair, serious, critical.
    """
    level = number((source.run(*_STATE_COMMAND) or "").rpartition(" ")[2])
    return _STATES[int(level)] if level is not None and level in range(len(_STATES)) else None


def throttles(source: Source) -> tuple[str, ...] | None:
    """Say why clocks are held down, of the whole chip; null where macOS does not say."""
    state = thermal_state(source)
    limit = number(_field(source.run(*_LIMIT_COMMAND) or "", r"CPU_Speed_Limit\s*=\s*(\d{1,3})"))
    if state is None and limit is None:
        return None
    reasons: list[str] = []
    if state not in {None, "nominal"}:
        reasons.append(f"heat ({state})")
    if limit is not None and limit < 100:
        reasons.append("heat (speed limit)")
    return tuple(reasons)


def read_gpu(source: Source, reasons: tuple[str, ...] | None) -> Reading | None:
    """Read the graphics part of the chip; null where there is none that Metal could be on.

    Its share of time is of ``ioreg``'s PerformanceStatistics, whose names Apple does not document.

    Args:
        source: The machine, or a recording.
        reasons: Why clocks are held down: heat is the whole chip's.
    """
    told = source.run(*_GPU_COMMAND) or ""
    # Two accelerators are an Intel Mac's: nothing says which of them Metal would take.
    if told.count('"PerformanceStatistics"') != 1:
        return None
    percent = _field(told, r'"Device Utilization %"=(\d{1,3})\b')
    return reading(utilisation=scaled(percent, 0.01), throttles=reasons)


def read_battery(source: Source) -> Battery | None:
    """Read the battery; null on machines without one."""
    told = source.run(*_CHARGE_COMMAND) or ""
    line = _CHARGE_LINE.search(told)
    details = source.run(*_BATTERY_COMMAND) or ""
    if line is None and '"CurrentCapacity"' not in details:
        return None
    state = line[2].strip() if line else ""
    return battery(
        charge=scaled(line[1], 0.01) if line else _charge(details),
        charging=_charging(state, details),
        plugged=_plugged(told, details),
        power_w=_power_w(details),
        temperature_c=scaled(_property(details, "Temperature"), 0.01),
        full_wh=_full_wh(details),
    )


def on_mains(source: Source) -> bool:
    """Tell whether macOS says that power comes from the mains, as it does without a battery."""
    return _field(source.run(*_CHARGE_COMMAND) or "", _POWER_FROM) == "AC Power"


def _charge(details: str) -> float | None:
    now, full = (number(_property(details, f"{name}Capacity")) for name in ("Current", "Max"))
    return now / full if now is not None and full else None


def _charging(state: str, details: str) -> bool | None:
    if state in {"charging", "finishing charge"}:
        return True
    if state in {"discharging", "charged"} or state.endswith("not charging"):
        return False
    return _yes(_property(details, "IsCharging"))


def _plugged(told: str, details: str) -> bool | None:
    source = _field(told, _POWER_FROM)
    if source is not None:
        return source != "Battery Power"
    return _yes(_property(details, "ExternalConnected"))


def _power_w(details: str) -> float | None:
    millivolts = number(_property(details, "Voltage"))
    current = _field(details, r'^[ |]*"InstantAmperage" = (-?[0-9]{1,20})\s*$')
    if not millivolts or current is None:
        return None
    # ioreg prints a negative current as if it had no sign; floats are too coarse for that.
    milliamperes = int(current)
    if milliamperes >= _SIGNED:
        milliamperes -= 2 * _SIGNED
    return abs(milliamperes) * millivolts * 1e-6


def _full_wh(details: str) -> float | None:
    # MaxCapacity is in mAh on some machines and 100 on others; the raw one always is in mAh.
    milliampere_hours = number(_property(details, "AppleRawMaxCapacity"))
    volts = scaled(_property(details, "Voltage"), 1e-3)
    return milliampere_hours * volts * 1e-3 if milliampere_hours and volts else None


def _property(details: str, name: str) -> str | None:
    """Return a property of the battery itself, not of the dictionaries inside it."""
    return _field(details, rf'^[ |]*"{name}" = (\S+)\s*$')


def _yes(word: str | None) -> bool | None:
    return {"Yes": True, "No": False}.get(word or "")


def _field(text: str, pattern: str) -> str | None:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else None
