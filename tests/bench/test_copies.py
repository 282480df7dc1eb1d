"""Copies between host and device, on the processor as a device and on a stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.bench.copies import device_to_host, host_to_device
from hgx.drivers.base import Buffer, DeviceError
from hgx.drivers.cpu import CpuDriver
from hgx.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from hgx.drivers.base import Driver, Kernel

COPIES = (host_to_device, device_to_host)


class Lazy(CpuDriver):
    """Copies nothing to the host after the first time."""

    done = False

    def copy_from_device(
        self,
        buffer: Buffer,
        size_bytes: int | None = None,
        offset_bytes: int = 0,
        *,
        into: bytearray | memoryview | None = None,
    ) -> bytes:
        """Copy once."""
        if self.done:
            return b""
        self.done = True
        return super().copy_from_device(buffer, size_bytes, offset_bytes, into=into)


@pytest.fixture
def driver() -> Generator[CpuDriver]:
    """Return an initialized driver."""
    made = CpuDriver()
    made.initialize()
    yield made
    made.shutdown()


@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("size", [1, 2, MIB + 1])
def test_copies_arrive(
    driver: CpuDriver,
    copies: Callable[[Driver, int, int], AbstractContextManager[Kernel]],
    size: int,
) -> None:
    """Every copy moves all bytes, and is found right each time it is looked at."""
    with copies(driver, 0, size) as kernel:
        for _ in range(3):
            kernel.run()
            kernel.check()
            kernel.check()
    assert kernel.work == size
    assert "pageable memory" in kernel.method


def test_copies_that_do_not_arrive_are_no_measurement() -> None:
    """A copy that leaves what the one before brought is an error, not a rate."""
    driver = Lazy()
    driver.initialize()
    with device_to_host(driver, 0, MIB) as kernel:
        kernel.run()
        kernel.check()
        kernel.run()
        with pytest.raises(DeviceError, match="from device 0 arrived changed"):
            kernel.check()
