"""Batteries and chargers, from trees of sysfs."""

from __future__ import annotations

import pytest

from hgx.core.reading import Battery
from hgx.sensors.battery import power_source, read_battery
from hgx.sensors.windows import BATTERY
from tests.sensors.doubles import Told


def supplies(**found: dict[str, str]) -> dict[str, str]:
    """Make power supplies of these files."""
    return {
        f"sys/class/power_supply/{name}/{file}": f"{text}\n"
        for name, files in found.items()
        for file, text in files.items()
    }


def battery(status: str = "Discharging", **files: str) -> dict[str, str]:
    """Make a battery."""
    return {"type": "Battery", "status": status, **files}


MAINS, NO_MAINS = {"type": "Mains", "online": "1"}, {"type": "Mains", "online": "0"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, None),
        ({"AC": MAINS}, None),
        ({"mouse": battery(scope="Device", capacity="50")}, None),
        ({"BAT1": battery(present="0")}, None),
        (
            {"BAT0": battery(capacity="50", power_now="12500000"), "AC": NO_MAINS},
            Battery(charge=0.5, charging=False, plugged=False, power_w=12.5),
        ),
        (
            {
                "BAT0": battery(
                    *("Charging",),
                    capacity="0",
                    voltage_now="12000000",
                    current_now="-2000000",
                    temp="305",
                ),
                "USBC": {"type": "USB", "online": "1"},
                "AC": NO_MAINS,
            },
            Battery(charge=0, charging=True, plugged=True, power_w=24, temperature_c=30.5),
        ),
        ({"BAT0": battery("Full")}, Battery(charging=False)),
        ({"BAT0": battery("Not charging"), "AC": {"type": "Mains"}}, Battery(charging=False)),
        ({"BAT0": battery()}, Battery(charging=False, plugged=False)),
        ({"BAT0": battery("Charging")}, Battery(charging=True, plugged=True)),
        ({"BAT0": battery("Unknown", capacity="101")}, Battery()),
        (
            {"BAT0": battery("Unknown", voltage_now="0", current_now="1000000", temp="-2740")},
            Battery(),
        ),
        ({"BAT0": battery("Full", power_now="0")}, Battery(charging=False, power_w=0)),
        (
            {"BAT0": battery("Full", energy_now="51000000", energy_full="50000000")},
            Battery(charge=1, charging=False, full_wh=50),
        ),
        (
            {
                "BAT0": battery(
                    charge_full="4000000", voltage_min_design="11400000", voltage_now="9"
                )
            },
            Battery(charging=False, plugged=False, full_wh=45.6),
        ),
        (
            {"BAT0": battery(charge_full="4000000", voltage_now="12000000")},
            Battery(charging=False, plugged=False, full_wh=48),
        ),
        (
            {"BAT0": battery(charge_full="4000000", voltage_now="0")},
            Battery(charging=False, plugged=False),
        ),
        ({"BAT0": battery("Charging", energy_full="0")}, Battery(charging=True, plugged=True)),
    ],
)
def test_sysfs(found: dict[str, dict[str, str]], expected: Battery | None) -> None:
    """The kernel's files are understood; what they do not know is unknown."""
    assert read_battery(Told(supplies(**found))) == expected


def test_two_batteries() -> None:
    """Two batteries are one: their energies and powers add up, and the hotter counts."""
    one = battery(energy_now="10000000", energy_full="20000000", power_now="5000000", temp="300")
    more = {"energy_now": "50000000", "energy_full": "60000000"}
    other = battery("Unknown", power_now="0", temp="310", **more)
    source = Told(supplies(BAT0=one, BAT1=other, AC=NO_MAINS))
    assert read_battery(source) == Battery(
        charge=0.75, charging=False, plugged=False, power_w=5, temperature_c=31, full_wh=80
    )


def test_two_batteries_of_which_one_does_not_tell() -> None:
    """What one of two batteries does not tell is unknown of both."""
    one = battery(capacity="50", power_now="5000000", energy_full="20000000")
    assert read_battery(Told(supplies(BAT0=one, BAT1=battery()))) == Battery(
        charging=False, plugged=False
    )


@pytest.mark.parametrize("system", ["Darwin", "Windows", "Android"])
def test_other_systems(system: str) -> None:
    """Other systems are asked in their own way, and may have no battery."""
    assert read_battery(Told(system=system)) is None


def test_phone_that_shows_its_files() -> None:
    """Android's files come before its services."""
    source = Told(supplies(battery=battery(capacity="50")), system="Android")
    assert read_battery(source) == Battery(charge=0.5, charging=False, plugged=False)
    assert source.asked == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, None),
        (Battery(plugged=True), "mains"),
        (Battery(plugged=False), "battery"),
        (Battery(charge=1), None),
    ],
)
def test_power_source(found: Battery | None, expected: str | None) -> None:
    """A battery tells whether its machine is plugged in; one that does not tell is unknown."""
    assert power_source(found) == expected
    if found is not None:
        assert power_source(found, Told(supplies(AC=MAINS))) == expected


PMSET = "pmset -g batt"
WINDOWS = " ".join(BATTERY)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Told(), None),
        (Told({"sys/class/power_supply": ""}), "mains"),  # the directory, with nothing in it
        (Told(supplies(AC=MAINS)), "mains"),
        (Told(supplies(mouse=battery(scope="Device"))), "mains"),
        (Told(supplies(AC=MAINS, slot=battery(present="0"))), "mains"),
        (Told(supplies(AC=MAINS, BAT0={"status": "Full"})), None),  # its type is hidden
        (Told(system="Android"), None),
        (Told(supplies(USB=MAINS), system="Android"), None),
        (Told(system="Darwin"), None),
        (Told(commands={PMSET: "Now drawing from 'AC Power'\n"}, system="Darwin"), "mains"),
        (Told(commands={PMSET: "Now drawing from 'UPS Power'\n"}, system="Darwin"), None),
        (Told(system="Windows"), None),
        (Told(commands={WINDOWS: "{}"}, system="Windows"), None),
        (Told(commands={WINDOWS: '{"battery":[],"status":[]}'}, system="Windows"), "mains"),
    ],
)
def test_no_battery_is_not_silence(source: Told, expected: str | None) -> None:
    """A machine is on mains where it says that it has no battery, not where nothing tells."""
    assert read_battery(source) is None
    assert power_source(None, source) == expected
