"""Android under Termux: the battery service and thermal service, where sysfs does not tell.

``termux-battery-status`` is Termux:API's: temperature in °C, current in microamperes, voltage in
millivolts; what is left is in microampere hours in both. ``dumpsys`` answers only to root and adb.
Unverified: no phone was at hand.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from hgx.sensors.values import battery, mapping, number, scaled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgx.core.reading import Battery
    from hgx.sensors.source import Source

_STATUS = re.compile(r"^\s*Thermal Status: ([0-6])\s*$", re.MULTILINE)
_STATES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_LINE = re.compile(r"^\s*([A-Za-z ]+): (\S+)\s*$", re.MULTILINE)
_CHARGING, _FULL = 2, 5  # BatteryManager.BATTERY_STATUS_*
_KNOWN = frozenset({_CHARGING, 3, 4, _FULL})  # not 1, which is unknown


def throttles(source: Source) -> tuple[str, ...] | None:
    """Say whether Android holds clocks down because of heat; null where it does not tell."""
    found = _STATUS.search(source.run("dumpsys", "thermalservice") or "")
    if found is None:
        return None
    status = int(found[1])
    return (f"heat ({_STATES[status]})",) if status else ()


def read_battery(source: Source) -> Battery | None:
    """Read the battery from Termux:API, or from the battery service; null where neither answers."""
    told = _json(source.run("termux-battery-status"))
    if told:
        return _of_termux(told)
    lines = dict(_LINE.findall(source.run("dumpsys", "battery") or ""))
    return _of_service(lines) if "level" in lines else None


def _of_termux(told: Mapping[str, object]) -> Battery:
    status, plugged = told.get("status"), told.get("plugged")
    charge = scaled(told.get("percentage"), 0.01)
    return battery(
        charge=charge,
        charging=status == "CHARGING"
        if status in {"CHARGING", "DISCHARGING", "FULL", "NOT_CHARGING"}
        else None,
        plugged=plugged != "UNPLUGGED" if isinstance(plugged, str) else None,
        power_w=_power_w(told.get("voltage"), told.get("current")),
        temperature_c=told.get("temperature"),
        full_wh=_full_wh(told.get("charge_counter"), told.get("voltage"), charge),
    )


def _power_w(millivolts: object, microamperes: object) -> float | None:
    volts, amperes = scaled(millivolts, 1e-3), scaled(microamperes, 1e-6)
    # No battery has 0 V. A current of 0 is none that was measured: the phone itself draws some.
    if not volts or not amperes:
        return None
    watts = volts * abs(amperes)
    # Some vendors count in milliamperes: then this is a thousandth of it, and no phone is so idle.
    return watts if watts >= 0.02 else None


def _full_wh(microampere_hours: object, millivolts: object, charge: float | None) -> float | None:
    """Conclude from what is left in the battery to what it holds."""
    left, volts = scaled(microampere_hours, 1e-6), scaled(millivolts, 1e-3)
    return left * volts / charge if left and volts and charge else None


def _of_service(lines: Mapping[str, str]) -> Battery:
    level, scale = number(lines.get("level")), number(lines.get("scale"))
    charge = level / scale if level is not None and scale else None
    status = number(lines.get("status"))
    powered = [value for name, value in lines.items() if name.endswith(" powered")]
    return battery(
        charge=charge,
        charging=status == _CHARGING if status in _KNOWN else None,
        plugged="true" in powered if powered else None,
        temperature_c=scaled(lines.get("temperature"), 0.1),
        full_wh=_full_wh(lines.get("Charge counter"), lines.get("voltage"), charge),
    )


def _json(text: str | None) -> Mapping[str, object]:
    try:
        return mapping(json.loads(text or "null"))
    except (ValueError, RecursionError):
        return {}
