"""Android, from output of Termux:API and of the system's services."""

from __future__ import annotations

import json

import pytest

from hgx.core.reading import Battery
from hgx.sensors import android
from tests.sensors.doubles import Told


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("IsStatusOverride: false\nThermal Status: 0\n", ()),
        ("Thermal Status: 3\n", ("heat (severe)",)),
        ("Thermal Status: 6\n", ("heat (shutdown)",)),
        ("Thermal Status: 7\n", None),
        ("Permission Denial: can't dump thermalservice\n", None),
    ],
)
def test_thermal_status(text: str, reasons: tuple[str, ...] | None) -> None:
    """The thermal service's status says whether clocks are held down."""
    assert android.throttles(Told(commands={"dumpsys thermalservice": text})) == reasons
    assert android.throttles(Told()) is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            {
                "percentage": 87,
                "plugged": "PLUGGED_AC",
                "status": "CHARGING",
                "temperature": 35.0,
                "current": 1_000_000,
                "voltage": 4200,
            },
            Battery(charge=0.87, charging=True, plugged=True, power_w=4.2, temperature_c=35),
        ),
        (
            {"percentage": 0, "plugged": "UNPLUGGED", "status": "DISCHARGING", "temperature": 0},
            Battery(charge=0, charging=False, plugged=False, temperature_c=0),
        ),
        ({"percentage": 50, "current": -300, "voltage": 4000}, Battery(charge=0.5)),
        ({"percentage": 50, "current": 0, "voltage": 4000}, Battery(charge=0.5)),
        ({"percentage": 50, "current": -300_000, "voltage": 0}, Battery(charge=0.5)),
        ({"percentage": 50, "status": "UNKNOWN"}, Battery(charge=0.5)),
        (
            {"percentage": 50, "charge_counter": 2_000_000, "voltage": 4000},
            Battery(charge=0.5, full_wh=16),
        ),
        ({"percentage": 50, "charge_counter": 2000, "voltage": 4000}, Battery(charge=0.5)),
        ({"percentage": 0, "charge_counter": 2_000_000, "voltage": 4000}, Battery(charge=0)),
        ({"percentage": "many", "plugged": None, "temperature": -274}, Battery()),
    ],
)
def test_termux(told: dict[str, object], expected: Battery) -> None:
    """Termux:API's battery is understood; what is in other units, or of 0 mV, is unknown."""
    source = Told(commands={"termux-battery-status": json.dumps(told)})
    assert android.read_battery(source) == expected


SERVICE = """Current Battery Service state:
  AC powered: false
  USB powered: {usb}
  Wireless powered: false
  status: {status}
  health: 2
  present: true
  level: 85
  scale: 100
  Charge counter: 3400000
  voltage: 4012
  temperature: 285
"""


@pytest.mark.parametrize(
    ("usb", "status", "plugged", "charging"),
    [
        ("true", 2, True, True),
        ("true", 5, True, False),
        ("false", 3, False, False),
        ("false", 1, False, None),
    ],
)
def test_battery_service(usb: str, status: int, plugged: bool, charging: bool | None) -> None:
    """The battery service's lines are understood where Termux:API is not installed."""
    text = SERVICE.format(usb=usb, status=status)
    assert android.read_battery(Told(commands={"dumpsys battery": text})) == Battery(
        charge=0.85, charging=charging, plugged=plugged, temperature_c=28.5, full_wh=16.048
    )


@pytest.mark.parametrize("output", ["", "[]", "{", "[" * 100_000, "Permission Denial\n"])
def test_nothing(output: str) -> None:
    """Output that is not what was asked for is no battery."""
    commands = {"termux-battery-status": output, "dumpsys battery": output}
    assert android.read_battery(Told(commands=commands)) is None


def test_service_that_says_little() -> None:
    """A level without a scale is no charge."""
    assert android.read_battery(Told(commands={"dumpsys battery": "level: 5\n"})) == Battery()
