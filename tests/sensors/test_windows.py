"""Windows, from output of its PowerShell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace

import psutil
import pytest

from hgx.core.reading import Battery
from hgx.sensors import windows
from hgx.sensors.source import Machine
from hgx.sensors.thermal import Heat
from hgx.sensors.windows import Performance
from tests.sensors.doubles import Told, always


def performance(**classes: list[dict[str, object]]) -> Performance:
    """Read what the performance counters say."""
    text = json.dumps(classes)
    return windows.read_performance(
        Told(commands={" ".join(windows.PERFORMANCE): text}, system="Windows")
    )


def engine(luid: str, number: int, percent: object, pid: int = 1) -> dict[str, object]:
    """Make an engine's line."""
    name = f"pid_{pid}_luid_0x00000000_{luid}_phys_0_eng_{number}_engtype_3D"
    return {"Name": name, "UtilizationPercentage": percent}


def test_heat() -> None:
    """The hottest zone counts, in tenths of a kelvin, with limits of the firmware."""
    found = performance(
        zones=[
            {"Name": r"\_TZ.TZ00", "HighPrecisionTemperature": 3010, "ThrottleReasons": 0},
            {"Name": r"\_TZ.TZ01", "HighPrecisionTemperature": 3231, "ThrottleReasons": 0},
        ],
        acpi=[{"CurrentTemperature": 3232, "PassiveTripPoint": 3631, "CriticalTripPoint": 3731}],
    )
    assert found.heat == Heat(50.05, 89.95, 99.95)
    assert found.throttles == ()


def test_zones_that_name_the_processor() -> None:
    """Where a zone says CPU in its name, only such zones count."""
    found = performance(
        zones=[
            {"Name": r"\_TZ.SKIN", "HighPrecisionTemperature": 3400, "ThrottleReasons": 2},
            {"Name": r"\_TZ.CPUZ", "HighPrecisionTemperature": 3232, "ThrottleReasons": 3},
        ]
    )
    assert found.heat == Heat(50.05)
    assert found.throttles == ("heat (firmware)", "current limit")


@pytest.mark.parametrize(
    "zone", [{}, {"HighPrecisionTemperature": 0}, {"CurrentTemperature": None}]
)
def test_zones_that_say_nothing(zone: dict[str, object]) -> None:
    """A zone of 0 K, or of nothing, is unknown."""
    assert performance(zones=[zone], acpi=[zone]) == Performance()


@pytest.mark.parametrize("output", ["", "null", "[]", "{", '{"zones":5}', "[" * 100_000])
def test_output_that_says_nothing(output: str) -> None:
    """Output that is not what was asked for says nothing."""
    commands = {" ".join(windows.PERFORMANCE): output, " ".join(windows.BATTERY): output}
    source = Told(commands=commands, system="Windows")
    assert windows.read_performance(source) == Performance()
    assert windows.read_battery(source) is None


def test_clock() -> None:
    """The clock is the nominal one times the share of it that is reached."""
    total: dict[str, object] = {"ProcessorFrequency": 2400, "PercentProcessorPerformance": 150}
    assert performance(processor=[total]).clock_hz == pytest.approx(3.6e9)
    assert performance(processor=[{}]).clock_hz is None


def test_gpu() -> None:
    """The busiest engine of the one card counts, over all processes; of two cards none does."""
    one = [engine("0xA", 0, 30), engine("0xA", 0, 20, pid=2), engine("0xA", 1, 10)]
    assert performance(engines=one).gpu_utilisation == 0.5
    assert performance(engines=[engine("0xA", 0, 70), engine("0xA", 0, 70)]).gpu_utilisation == 1
    assert performance(engines=[*one, engine("0xB", 0, 1)]).gpu_utilisation is None
    assert performance(engines=[engine("0xA", 0, None), {"Name": "x"}]).gpu_utilisation is None


FULL_5_WH = '"full":[{"FullChargedCapacity":5000}]'
STATUS = '"status":[{"Charging":false,"PowerOnline":false,"ChargeRate":0,"DischargeRate":12340}]'


def win32_battery(percent: int, status: int, *more: str) -> str:
    """Make what PowerShell prints of a battery."""
    first = f'"battery":[{{"EstimatedChargeRemaining":{percent},"BatteryStatus":{status}}}]'
    return f"{{{','.join((first, *more))}}}"


@pytest.mark.parametrize(
    ("told", "simple", "expected"),
    [
        ("{}", None, None),
        ("{}", {"percent": 50, "plugged": True}, Battery(charge=0.5, plugged=True)),
        ("{}", {"percent": 50, "plugged": None}, Battery(charge=0.5)),
        (
            win32_battery(80, 1, STATUS),
            {"percent": 79, "plugged": False},
            Battery(charge=0.8, charging=False, plugged=False, power_w=12.34),
        ),
        (
            win32_battery(80, 6, '"full":[{"FullChargedCapacity":45600}]'),
            None,
            Battery(charge=0.8, charging=True, full_wh=45.6),
        ),
        (  # what the firmware says where it does not know
            win32_battery(80, 6, '"full":[{"FullChargedCapacity":4294967295}]'),
            None,
            Battery(charge=0.8, charging=True),
        ),
        (win32_battery(80, 6), None, Battery(charge=0.8, charging=True)),
        (
            win32_battery(80, 6, '"status":[{"DischargeRate":0}]'),
            None,
            Battery(charge=0.8, charging=True, power_w=0),
        ),
        (
            f'{{"battery":[{{}}],"status":[{{"RemainingCapacity":5100}}],{FULL_5_WH}}}',
            None,
            Battery(charge=1, full_wh=5),
        ),
        (win32_battery(80, 2), None, Battery(charge=0.8, charging=False)),
        (win32_battery(3, 5), None, Battery(charge=0.03, charging=False, plugged=False)),
        ('{"battery":[{}]}', None, Battery()),
    ],
)
def test_battery(told: str, simple: dict[str, object] | None, expected: Battery | None) -> None:
    """WMI tells charge, charging and power; psutil fills in; what neither tells is unknown."""
    source = Told(
        commands={" ".join(windows.BATTERY): told},
        answers={"battery": simple},
        system="Windows",
    )
    assert windows.read_battery(source) == expected


Classes = tuple[Mapping[str, object], Mapping[str, object], object]
"""What three classes tell of a battery: itself, its status, and its capacity in mWh when full."""


def empties(percent: int, left: int, full: int, milliwatts: int) -> Classes:
    """Return a battery that nothing fills."""
    rates = {"Charging": False, "PowerOnline": False, "ChargeRate": 0, "DischargeRate": milliwatts}
    status = {**rates, "RemainingCapacity": left}
    return {"EstimatedChargeRemaining": percent, "BatteryStatus": 1}, status, full


ONE, OTHER = empties(50, 10000, 20000, 5000), empties(83, 50000, 60000, 0)
FILLED: Classes = {"BatteryStatus": 6}, {"Charging": True, "ChargeRate": 7000}, 4294967295
SILENT: Classes = {}, {"DischargeRate": 2147483648, "RemainingCapacity": 4294967295}, None


@pytest.mark.parametrize(
    ("batteries", "expected"),
    [
        (
            [ONE, OTHER],
            Battery(charge=0.75, charging=False, plugged=False, power_w=5.0, full_wh=80.0),
        ),
        ([ONE, ONE], Battery(charge=0.5, charging=False, plugged=False, power_w=10.0, full_wh=40)),
        # One fills the other, and nothing says how much that holds.
        ([ONE, FILLED], Battery(charge=0.6, charging=True, plugged=False, power_w=2.0)),
        ([ONE, SILENT], Battery(charge=0.6, charging=False, plugged=False)),
        ([FILLED, SILENT], Battery(charge=0.6, charging=True, plugged=True)),
    ],
)
def test_two_batteries(batteries: list[Classes], expected: Battery) -> None:
    """Two are one, as on Linux: what one does not tell is unknown of both, if Windows does not."""
    first, states, full = zip(*batteries, strict=True)
    # Each class has an order of its own.
    whole = [{"FullChargedCapacity": capacity} for capacity in reversed(full)]
    told = json.dumps({"battery": first, "status": states, "full": whole})
    source = Told(
        commands={" ".join(windows.BATTERY): told},
        answers={"battery": {"percent": 60, "plugged": expected.plugged}},
        system="Windows",
    )
    assert windows.read_battery(source) == expected


def test_a_class_that_knows_of_more_batteries() -> None:
    """What is known of one of two does not stand for both."""
    told = json.dumps(
        {"battery": [ONE[0]], "status": [ONE[1]], "full": [{"FullChargedCapacity": 20000}] * 2}
    )
    source = Told(commands={" ".join(windows.BATTERY): told}, system="Windows")
    found = windows.read_battery(source)
    assert found == Battery(charging=False, plugged=False, full_wh=40.0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SimpleNamespace(percent=41.5, power_plugged=True), Battery(charge=0.415, plugged=True)),
        (SimpleNamespace(percent=41.5, power_plugged=None), Battery(charge=0.415)),
        (None, None),
    ],
)
def test_psutil(monkeypatch: pytest.MonkeyPatch, answer: object, expected: Battery | None) -> None:
    """What psutil tells of a battery is understood."""
    monkeypatch.setattr(psutil, "sensors_battery", always(answer), raising=False)
    monkeypatch.setattr(Machine, "run", always(None))
    assert windows.read_battery(Machine(system="Windows")) == expected


def test_psutil_without_batteries(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system where psutil knows no batteries there is none."""
    monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    monkeypatch.setattr(Machine, "run", always(None))
    assert windows.read_battery(Machine(system="Windows")) is None
