"""A machine's battery and charger, on every system.

Linux and Android show them in sysfs, in the units of the kernel's ``sysfs-class-power`` document:
microvolts, microamperes, microwatts, tenths of a degree. Phones mostly hide that from programs;
then the battery service is asked. Unverified on hardware.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.sensors import android, apple, values, windows
from hgx.sensors.values import highest, number, read_number, read_word

if TYPE_CHECKING:
    from hgx.core.reading import Battery, PowerSource
    from hgx.sensors.source import Source

_CHARGERS = frozenset({"Mains", "USB", "Wireless"})
_STATUS = {"Charging": True, "Discharging": False, "Not charging": False, "Full": False}
_MICRO = 1e-6
_SUPPLIES = "sys/class/power_supply"


def read_battery(source: Source) -> Battery | None:
    """Read the battery; several count as one.

    Returns:
        Null on machines without a battery, and where nothing tells of one.
    """
    match source.system:
        case "Darwin":
            return apple.read_battery(source)
        case "Windows":
            return windows.read_battery(source)
        case "Android":
            return _from_sysfs(source) or android.read_battery(source)
        case _:
            return _from_sysfs(source)


def power_source(battery: Battery | None, source: Source | None = None) -> PowerSource | None:
    """Say where a machine has its power from; null where nothing tells.

    Args:
        battery: What ``read_battery`` found.
        source: The machine, or a recording, to tell one without a battery from one that does not
            tell; without it, no battery is unknown.
    """
    if battery is None:
        return "mains" if source is not None and _has_no_battery(source) else None
    if battery.plugged is None:
        return None
    return "mains" if battery.plugged else "battery"


def _has_no_battery(source: Source) -> bool:
    """Tell whether the system says that there is none, where none was found."""
    match source.system:
        case "Darwin":
            return apple.on_mains(source)
        case "Windows":
            return windows.has_no_battery(source)
        case "Android":
            return False  # a phone has one, and hides it
        case _:
            # Recordings do not hold an empty list; and any supply of unknown kind may be a battery.
            return bool(source.glob(_SUPPLIES)) and all(_kinds(source).values())


def _kinds(source: Source) -> dict[str, str]:
    supplies = source.glob(f"{_SUPPLIES}/*")
    return {supply: read_word(source, f"{supply}/type") for supply in supplies}


def _from_sysfs(source: Source) -> Battery | None:
    kinds = _kinds(source)
    batteries = [
        supply
        for supply, kind in kinds.items()
        if kind == "Battery"
        # A mouse's battery has the scope Device; a slot without a battery is not present.
        and read_word(source, f"{supply}/scope") != "Device"
        and read_word(source, f"{supply}/present") != "0"
    ]
    if not batteries:
        return None
    chargers = [supply for supply, kind in kinds.items() if kind in _CHARGERS]
    states = [read_word(source, f"{supply}/status") for supply in batteries]
    return values.battery(
        charge=_charge(source, batteries),
        charging=_charging(states),
        plugged=_plugged(source, chargers, states),
        power_w=_power_w(source, batteries, states),
        temperature_c=highest(
            "temperature_c", (read_number(source, f"{supply}/temp", 0.1) for supply in batteries)
        ),
        full_wh=_full_wh(source, batteries),
    )


def _charge(source: Source, batteries: list[str]) -> float | None:
    if len(batteries) == 1:
        percent = read_number(source, f"{batteries[0]}/capacity", 0.01)
        if percent is not None:
            return percent
    for kind in ("energy", "charge"):
        now = [read_number(source, f"{supply}/{kind}_now") for supply in batteries]
        full = [read_number(source, f"{supply}/{kind}_full") for supply in batteries]
        if None not in now + full and _sum(full):
            return min(1.0, _sum(now) / _sum(full))
    return None


def _charging(states: list[str]) -> bool | None:
    known = [_STATUS[state] for state in states if state in _STATUS]
    return any(known) if known else None


def _plugged(source: Source, chargers: list[str], states: list[str]) -> bool | None:
    online = [number(source.read(f"{charger}/online")) for charger in chargers]
    known = [value > 0 for value in online if value is not None]
    if known:
        return any(known)
    # Without a charger that tells: what is charging has power, what is discharging has not.
    found = {state: state == "Charging" for state in states if state in {"Charging", "Discharging"}}
    return any(found.values()) if found else None


def _power_w(source: Source, batteries: list[str], states: list[str]) -> float | None:
    """Add up the batteries; one that fills another counts against it."""
    flows: list[float] = []
    for supply, state in zip(batteries, states, strict=True):
        watts = _one_power_w(source, supply)
        if watts is None:
            return None
        flows.append(watts if state == "Charging" else -watts)
    return abs(sum(flows))


def _one_power_w(source: Source, supply: str) -> float | None:
    watts = read_number(source, f"{supply}/power_now", _MICRO)
    if watts is None:
        volts = read_number(source, f"{supply}/voltage_now", _MICRO)
        amperes = read_number(source, f"{supply}/current_now", _MICRO)
        # A battery of 0 V is a driver that does not know.
        watts = volts * amperes if volts and amperes is not None else None
    return None if watts is None else abs(watts)


def _full_wh(source: Source, batteries: list[str]) -> float | None:
    full = [_one_full_wh(source, supply) for supply in batteries]
    return None if None in full else _sum(full)


def _one_full_wh(source: Source, supply: str) -> float | None:
    """Return the energy when full; of a battery that counts charge, at its lower voltage."""
    energy = read_number(source, f"{supply}/energy_full", _MICRO)
    if energy is not None:
        return energy
    charge = read_number(source, f"{supply}/charge_full", _MICRO)
    volts = read_number(source, f"{supply}/voltage_min_design", _MICRO) or read_number(
        source, f"{supply}/voltage_now", _MICRO
    )
    return charge * volts if charge and volts else None


def _sum(numbers: list[float | None]) -> float:
    return sum(value for value in numbers if value is not None)
