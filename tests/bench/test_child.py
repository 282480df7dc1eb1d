"""The process that measures one device, run here with a double, and as a real process."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hgx.bench import child
from hgx.bench.conditions import Watch
from hgx.bench.device import Effort
from hgx.bench.events import EVENT, Failed, Progress, Refused, Result, Started
from hgx.bench.parent import Patience, Target, device_events
from hgx.drivers.base import DeviceError
from hgx.errors import Unavailable
from tests.bench.doubles import Clock, MeasuringDriver
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from hgx.bench.events import Event


def run(driver: MeasuringDriver, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[Event]:
    """Run the child's program on a driver and return what it printed."""
    printed = io.StringIO()
    monkeypatch.setattr(child, "answers_to_parent", always(printed))
    monkeypatch.setattr(child, "backend", always(SimpleNamespace(create=always(driver))))
    monkeypatch.setitem(child.EFFORTS, "quick", Effort(2.0, 5))
    # The driver's clock is not that of the processors, whose real load would look immense on it.
    monkeypatch.setattr(Watch, "_load", always(0.0))
    child.main(["toast", "0", "box/toast:0", "--effort", "quick", *arguments])
    return [EVENT.validate_json(line) for line in printed.getvalue().splitlines()]


def test_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells results under the id it was given, with the power source, and lets go of all."""
    driver = MeasuringDriver(Clock())
    told = run(driver, monkeypatch, "--power", "battery", "--sustained", "0")
    assert isinstance(told[0], Started)
    results = [event for event in told if isinstance(event, Result)]
    assert results
    assert {event.subject for event in results} == {"box/toast:0"}
    assert results[0].benchmark.conditions.power_source == "battery"
    assert results[0].benchmark.measured_at.tzinfo is not None
    assert not driver.running


def test_no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that is not there is told with its remedy."""

    class Absent(MeasuringDriver):
        def initialize(self) -> None:
            raise Unavailable("no toaster", "plug it in")

    assert run(Absent(Clock()), monkeypatch) == [
        Failed(subject="box/toast:0", reason="no toaster: plug it in")
    ]


def test_no_such_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is gone is told, and the driver is let go of."""

    class Empty(MeasuringDriver):
        def get_device(self, index: int) -> object:  # pyright: ignore[reportIncompatibleMethodOverride] - it never returns
            msg = f"there is no device toast:{index}"
            raise DeviceError(msg)

        def list_devices(self) -> tuple[()]:
            return ()

    driver = Empty(Clock())
    assert run(driver, monkeypatch) == [
        Failed(subject="box/toast:0", reason="there is no device toast:0")
    ]
    assert not driver.running


@pytest.mark.parametrize(("uuid", "index"), [("T-1", 0), ("T-9", 3), (None, 3)])
def test_identity_counts_more_than_the_number(uuid: str | None, index: int) -> None:
    """A device is found by its identity, and else by its number."""
    assert child.find_device(MeasuringDriver(Clock()), 3, uuid).index == index


def test_the_real_processor() -> None:
    """As a process of its own it measures the processor; nothing is taken for granted."""
    target = Target("box/cpu:0", "cpu", 0, power="mains")
    # A busy machine is slow, not wrong.
    told = list(device_events(target, "quick", patience=Patience(120, 600)))
    assert told[0].event == "started"
    assert any(isinstance(event, Progress) for event in told)
    named = {event.benchmark.name for event in told if isinstance(event, Result | Refused)}
    assert "read" in named
