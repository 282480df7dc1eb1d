"""The processor's driver, against the real processor."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from hgx.drivers import cpu as cpu_driver
from hgx.drivers.base import DeviceError, Driver, OutOfDeviceMemory
from hgx.drivers.cpu import CpuDriver
from hgx.sensors import cpu, memory
from hgx.units import MIB
from tests.drivers.contract import DriverContract
from tests.sensors.doubles import always


class TestCpu(DriverContract):
    """The whole contract holds for the processor."""

    against = "hardware"
    runtime = "numpy"

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


def test_it_is_the_fallback(driver: CpuDriver) -> None:
    """The processor is never absent, and says that it is there in case nothing better is."""
    assert cpu_driver.absent() is None
    assert driver.get_device(0).fallback


def test_wrong_sum_is_not_a_measurement(driver: CpuDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that reads wrong is an error, not a rate."""
    monkeypatch.setattr(cpu_driver, "_sum", always(-1.0))
    with driver.read_bandwidth(0, MIB) as kernel:
        kernel.run()
        with pytest.raises(DeviceError, match="read wrong numbers"):
            kernel.check()


def test_wrong_product_is_not_a_measurement(
    driver: CpuDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor that multiplies wrong is an error, not a rate."""
    monkeypatch.setattr(np, "allclose", always(value=False))
    with driver.matmul(0, "float64", 8) as kernel:
        kernel.run()
        with pytest.raises(DeviceError, match="wrong product"):
            kernel.check()


def test_matrices_are_refused_together(driver: CpuDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three matrices that fit one by one do not fit together, and memory for BLAS is spared."""
    room = memory.HostMemory(64 * MIB, 64 * MIB)
    monkeypatch.setattr(memory, "read_memory", always(room))
    with driver.matmul(0, "float64", 1024) as kernel:  # 24 MiB
        kernel.run()
    for side in (1280, 2048):  # 37.5 MiB leaves too little, 96 MiB is too much
        with (
            pytest.raises(OutOfDeviceMemory, match="64 MiB of memory left"),
            driver.matmul(0, "float64", side),
        ):
            pass


def test_memory_that_was_reserved_is_used(driver: CpuDriver) -> None:
    """A buffer counts against what is free at once, so that the next one is refused in time."""
    buffer = driver.allocate(0, 64 * MIB)
    used_bytes = psutil.Process().memory_info().rss
    driver.deallocate(buffer)
    assert used_bytes - psutil.Process().memory_info().rss > 60 * MIB


def test_memory_that_the_system_does_not_give(
    driver: CpuDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that is free but not given is an error of memory too."""

    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(OutOfDeviceMemory):
        driver.allocate(0, 1)
