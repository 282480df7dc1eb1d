"""Apple's machines, from output of their programs."""

from __future__ import annotations

import pytest

from hgx.core.reading import Battery, Reading
from hgx.sensors import apple
from tests.sensors.doubles import Told

STATE = "notifyutil -g com.apple.system.thermalpressurelevel"
LIMIT = "pmset -g therm"
CHARGE = "pmset -g batt"
DETAILS = "ioreg -r -n AppleSmartBattery -w 0"
GPU = "ioreg -r -d 1 -c IOAccelerator -w 0"


def mac(**commands: str) -> Told:
    """Make a Mac whose programs, by the names of this file, print something."""
    return Told(
        commands={globals()[name]: text for name, text in commands.items()}, system="Darwin"
    )


@pytest.mark.parametrize(
    ("level", "state", "reasons"),
    [
        ("0", "nominal", ()),
        ("1", "moderate", ("heat (moderate)",)),
        ("2", "heavy", ("heat (heavy)",)),
        ("4", "sleeping", ("heat (sleeping)",)),
        ("5", None, None),
        ("1.5", None, None),
        ("unknown", None, None),
    ],
)
def test_thermal_state(level: str, state: str | None, reasons: tuple[str, ...] | None) -> None:
    """The level of the system has a name, and any but the lowest holds clocks down."""
    source = mac(STATE=f"com.apple.system.thermalpressurelevel {level}\n")
    assert apple.thermal_state(source) == state
    assert apple.throttles(source) == reasons


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("CPU_Scheduler_Limit \t= 100\n\tCPU_Speed_Limit \t= 100\n", ()),
        ("\tCPU_Speed_Limit \t= 62\n", ("heat (speed limit)",)),
        ("Note: No thermal warning level has been recorded\n", None),
    ],
)
def test_speed_limit(text: str, reasons: tuple[str, ...] | None) -> None:
    """Intel machines tell a speed limit; without one nothing is known."""
    assert apple.throttles(mac(LIMIT=text)) == reasons
    assert apple.throttles(mac()) is None


def test_gpu() -> None:
    """The one accelerator tells its load; of two nothing is known."""
    text = '+-o AGXAccelerator\n  "PerformanceStatistics" = {"Device Utilization %"=21,"x"=0}\n'
    assert apple.read_gpu(mac(GPU=text), ()) == Reading(utilisation=0.21, throttles=())
    assert apple.read_gpu(mac(GPU=text * 2), ()) is None
    assert apple.read_gpu(mac(), ()) is None
    empty = '  "PerformanceStatistics" = {}\n'
    assert apple.read_gpu(mac(GPU=empty), None) == Reading()


@pytest.mark.parametrize(
    ("source", "line", "charge", "charging", "plugged"),
    [
        ("AC Power", "90%; charging; 0:40 remaining present: true", 0.9, True, True),
        ("AC Power", "99%; finishing charge; 0:02 remaining", 0.99, True, True),
        ("AC Power", "100%; charged; 0:00 remaining present: true", 1.0, False, True),
        ("AC Power", "80%; AC attached; not charging present: true", 0.8, None, True),
        ("Battery Power", "0%; discharging; (no estimate)", 0.0, False, False),
    ],
)
def test_charge(
    source: str, line: str, charge: float, charging: bool | None, plugged: bool
) -> None:
    """The battery's line tells how full it is and where the energy goes."""
    text = f"Now drawing from '{source}'\n -InternalBattery-0 (id=123)\t{line}\n"
    assert apple.read_battery(mac(CHARGE=text)) == Battery(
        charge=charge, charging=charging, plugged=plugged
    )


def test_details() -> None:
    """Registry properties tell power and temperature; only the battery's own ones count."""
    text = """
      "LegacyBatteryInfo" = {"Amperage"=18446744073709550563,"Voltage"=1}
      "Voltage" = 12000
      "InstantAmperage" = 18446744073709550616
      "Temperature" = 3012
      "IsCharging" = No
      "ExternalConnected" = Yes
      "CurrentCapacity" = 45
      "MaxCapacity" = 90
      "AppleRawMaxCapacity" = 4000
"""
    assert apple.read_battery(mac(DETAILS=text)) == Battery(
        charge=0.5, charging=False, plugged=True, power_w=12, temperature_c=30.12, full_wh=48
    )


def test_charging_current() -> None:
    """A current into the battery is a power too."""
    text = '"CurrentCapacity" = 5\n"Voltage" = 12000\n"InstantAmperage" = 2465\n'
    assert apple.read_battery(mac(DETAILS=text)) == Battery(power_w=29.58)


def test_details_that_say_nothing() -> None:
    """A battery of 0 mV or without a capacity is unknown."""
    text = '"Voltage" = 0\n"InstantAmperage" = 5\n"CurrentCapacity" = 5\n"MaxCapacity" = 0\n'
    assert apple.read_battery(mac(DETAILS=text)) == Battery()
    assert apple.read_battery(mac(CHARGE="Now drawing from 'AC Power'\n")) is None
