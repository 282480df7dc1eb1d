"""Load and power of the processor between two moments."""

from __future__ import annotations

import psutil
import pytest

from hgx.sensors.processor import CpuRates, Rates, measure_rates
from hgx.sensors.source import Machine
from tests.sensors.doubles import Told

PACKAGE = "sys/class/powercap/intel-rapl:0"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("cpu  100 0 0 900 0 0 0 0 0 0\n", "cpu  125 0 0 975 0 0 0 0 0 0\n", 0.25),
        ("cpu  0 0 0 0 0 0 0 0 50 50\n", "cpu  10 0 0 80 10 0 0 0 90 90\n", pytest.approx(0.1)),
        ("cpu  0 0 0 100\n", "cpu  10 0 0 90\n", None),
        ("cpu  0 0 0 100\n", "cpu  20 0 0 90\n", 1.0),
        ("cpu  20 0 0 100\n", "cpu  10 0 0 200\n", 0.0),
        ("cpu  1 2 3 4\n", "cpu  1 2 3 4\n", None),
        ("cpu0 1 2 3 4\n", "cpu0 9 9 9 9\n", None),
        ("cpu  1 2\n", "cpu  3 4\n", None),
        ("", "", None),
    ],
)
def test_load_on_linux(before: str, after: str, expected: float | None) -> None:
    """Load is the share of time that was not idle since the last call; guests count once."""
    source = Told({"proc/stat": before})
    rates = CpuRates(source)
    assert rates() == Rates()
    source.files["proc/stat"] = after
    assert rates().utilisation == expected


def test_load_elsewhere() -> None:
    """Other systems are asked through psutil."""
    source = Told(answers={"cpu_times": {"idle": 10.0, "total": 20.0}}, system="Darwin")
    rates = CpuRates(source)
    rates()
    source.answers["cpu_times"] = {"idle": 10.5, "total": 22.0}
    assert rates() == Rates(0.75, None)
    source.answers.clear()
    assert rates() == Rates()


def test_times_of_this_machine() -> None:
    """What psutil tells adds up on any system."""
    before = psutil.cpu_times()
    rates = CpuRates(Machine(system="Windows"))
    rates()
    assert psutil.cpu_times().idle >= before.idle
    load = rates().utilisation
    assert load is None or 0 <= load <= 1


def test_power() -> None:
    """Power is what the packages used since the last call, over the time that went by."""
    source = Told({f"{PACKAGE}/name": "package-0", f"{PACKAGE}/energy_uj": "1000000"})
    times = iter([1.0, 3.0, 3.0])
    rates = CpuRates(source, lambda: next(times))
    rates()
    source.files[f"{PACKAGE}/energy_uj"] = "91000000"
    assert rates().power_w == 45
    source.files[f"{PACKAGE}/energy_uj"] = "92000000"
    assert rates().power_w is None  # no time went by


def test_measuring() -> None:
    """Measuring waits between two calls; a recording holds what was measured."""
    waited: list[float] = []
    found = measure_rates(Machine(), waited.append)
    assert waited == [0.1]
    assert found.utilisation is None or 0 <= found.utilisation <= 1
    recorded = Told(answers={"cpu_rates": {"utilisation": 0.5, "power_w": 12}})
    assert measure_rates(recorded) == Rates(0.5, 12)
    assert measure_rates(Told()) == Rates()
