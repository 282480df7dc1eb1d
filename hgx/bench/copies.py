"""Copies between host and device as kernels, their content verified."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hgx.drivers.base import DeviceError, Kernel
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.drivers.base import Buffer, Driver


@contextmanager
def host_to_device(driver: Driver, index: int, size_bytes: int) -> Generator[Kernel]:
    """Prepare to copy bytes of the host into a buffer of a device.

    Args:
        driver: An initialized driver.
        index: The device.
        size_bytes: How much.

    Raises:
        OutOfDeviceMemory: There is not that much.
    """
    data = _data(size_bytes)
    with _buffer(driver, index, size_bytes) as buffer:

        def run() -> None:
            driver.copy_to_device(data, buffer)
            driver.synchronize(index)

        def check() -> None:
            _same(driver.copy_from_device(buffer), data, f"to device {index}")

        yield Kernel(size_bytes, run, check, f"{_copy(size_bytes)} to the device, and waiting")


@contextmanager
def device_to_host(driver: Driver, index: int, size_bytes: int) -> Generator[Kernel]:
    """Prepare to copy a buffer of a device into memory of the host; as ``host_to_device``.

    That memory is used before, as that of the other way is: new memory costs the system more time
    than a copy does.
    """
    data = _data(size_bytes)
    with _buffer(driver, index, size_bytes) as buffer:
        driver.copy_to_device(data, buffer)
        driver.synchronize(index)
        arrived = bytearray(data)  # written to, so that its pages are there

        def run() -> None:
            arrived[0] ^= 255  # a copy that does not arrive shows
            arrived[-1] ^= 255
            driver.copy_from_device(buffer, into=arrived)

        def check() -> None:
            _same(arrived, data, f"from device {index}")

        arrived.reverse()
        yield Kernel(size_bytes, run, check, f"{_copy(size_bytes)} from the device")


@contextmanager
def _buffer(driver: Driver, index: int, size_bytes: int) -> Generator[Buffer]:
    buffer = driver.allocate(index, size_bytes)
    try:
        yield buffer
    finally:
        driver.deallocate(buffer)


def _data(size_bytes: int) -> bytes:
    """Make bytes that are not all alike, of which nothing is where it would not be noticed."""
    return random.Random(size_bytes).randbytes(size_bytes)  # noqa: S311 - test data, no secret


def _copy(size_bytes: int) -> str:
    return f"copy of {format_bytes(size_bytes)} of pageable memory"


def _same(arrived: bytes | bytearray, sent: bytes, way: str) -> None:
    if arrived != sent:
        msg = f"a copy {way} arrived changed: test the device and its memory"
        raise DeviceError(msg)
