"""The processor's driver, against the real processor."""

from __future__ import annotations

import numpy as np
import pytest

from hgx.drivers import cpu as cpu_driver
from hgx.drivers.base import DeviceError, Driver, Measurement
from hgx.drivers.cpu import CpuDriver
from hgx.sensors import cpu, memory
from hgx.sensors.memory import HostMemory
from hgx.units import MIB
from tests.drivers.contract import DriverContract
from tests.sensors.doubles import always


class TestCpu(DriverContract):
    """The whole contract holds for the processor."""

    def create(self) -> Driver:
        """Make the driver."""
        return cpu_driver.create()


@pytest.fixture
def driver() -> CpuDriver:
    """Return an initialized driver."""
    made = CpuDriver()
    made.initialize()
    return made


def test_there_is_one_device(driver: CpuDriver) -> None:
    """The machine's processors are one device, with the machine's memory."""
    (device,) = driver.list_devices()
    assert device.name == cpu.cpu_name()
    assert device.memory_total_bytes == memory.read_memory().total_bytes


def test_sensors_are_the_machines(driver: CpuDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temperature, power and clock are the processor's, and zero degrees are not unknown."""
    monkeypatch.setattr(cpu, "temperature_c", lambda: 0.0)
    monkeypatch.setattr(cpu, "power_w", lambda: 12.5)
    monkeypatch.setattr(cpu, "clock_hz", lambda: None)
    assert (driver.temperature(0), driver.power(0), driver.clock(0)) == (0.0, 12.5, None)


@pytest.mark.parametrize(
    ("cache", "free", "expected"),
    [
        (32 * MIB, 64_000 * MIB, 128 * MIB),
        (None, 64_000 * MIB, 128 * MIB),
        (1 * MIB, 64_000 * MIB, 64 * MIB),
        (1000 * MIB, 64_000 * MIB, 512 * MIB),
        (32 * MIB, 80 * MIB, 10 * MIB),
        (32 * MIB, 0, 1 * MIB),
    ],
)
def test_size_of_what_is_read(
    monkeypatch: pytest.MonkeyPatch, cache: int | None, free: int, expected: int
) -> None:
    """What is read is four times the cache, within bounds, and a small part of free memory."""
    monkeypatch.setattr(cpu, "last_level_cache_bytes", lambda: cache)
    monkeypatch.setattr(memory, "read_memory", lambda: HostMemory(free, free))
    assert cpu_driver.read_size_bytes() == expected


def test_wrong_sum_is_not_a_measurement(driver: CpuDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that reads wrong is an error, not a rate."""
    monkeypatch.setattr(cpu_driver, "_sum", always(-1.0))
    with pytest.raises(DeviceError, match="read wrong numbers"):
        driver.read_bandwidth(0)


def test_wrong_product_is_not_a_measurement(
    driver: CpuDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor that multiplies wrong is an error, not a rate."""
    monkeypatch.setattr(np, "allclose", always(value=False))
    with pytest.raises(DeviceError, match="wrong product"):
        driver.matmul(0)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((10e9, 90e9, 95e9, 400e9), 95e9),
        ((90e9, 80e9), 90e9),
        ((100e12, 200e12, 300e12, 400e12), 400e12),
        ((1e9,), 1e9),
        ((10e9, 20e9), 20e9),
    ],
    ids=["until it gains little", "smaller was better", "to the limit", "slow", "next too slow"],
)
def test_matrices_grow_while_that_is_faster(
    driver: CpuDriver,
    monkeypatch: pytest.MonkeyPatch,
    rates: tuple[float, ...],
    expected: float,
) -> None:
    """Matrices double while the rate grows and a product stays short; the best rate counts."""
    answers = iter(rates)

    def measure(side: int) -> Measurement:
        return Measurement(next(answers), (), str(side))

    monkeypatch.setattr(cpu_driver, "_measure_product", measure)
    assert driver.matmul(0).value == expected
