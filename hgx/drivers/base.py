"""What a device driver is: fourteen methods, and two more for one that can measure.

Drivers are synchronous, because vendors' calls are, and are used by one thread at a time. They
import vendor libraries inside ``initialize``. A reading that is unknown is None, never 0 or -1.
tests/drivers/contract.py enforces what is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from hgx.errors import HgxError


class DeviceError(HgxError):
    """A device was used wrongly or failed: freed memory, an unknown index, a wrong result."""


class OutOfDeviceMemory(DeviceError):
    """A device has not as much memory left as was asked for."""


@dataclass(frozen=True)
class DeviceInfo:
    """What does not change about a device while the driver runs.

    Attributes:
        index: Its number in this backend, from 0.
        name: The vendor's name.
        memory_total_bytes: Memory it can use.
        unified_memory: Whether it shares that memory with the host; null where that says nothing.
    """

    index: int
    name: str
    memory_total_bytes: int
    unified_memory: bool | None = None


class MemoryInfo(NamedTuple):
    """Memory of a device in bytes: all of it, and what could be allocated now if that is known."""

    total_bytes: int
    free_bytes: int | None


@dataclass(frozen=True, eq=False)
class Buffer:
    """A handle for memory on a device; only the driver that gave it knows what is behind it.

    Attributes:
        index: The device it is on.
        size_bytes: Its size.
    """

    index: int
    size_bytes: int


class Measurement(NamedTuple):
    """A measured rate.

    Attributes:
        value: The median of the samples, per second.
        samples: All of them, in the order they were taken, warm-up left out.
        method: What was measured, in words.
    """

    value: float
    samples: tuple[float, ...]
    method: str


class Driver(Protocol):
    """Access to all devices of one backend."""

    def initialize(self) -> None:
        """Load what the vendor provides; harmless when done already.

        Raises:
            Unavailable: The runtime or driver is not there, with a remedy.
        """
        ...

    def shutdown(self) -> None:
        """Free all buffers and let go of the runtime; harmless when done already."""
        ...

    def list_devices(self) -> tuple[DeviceInfo, ...]:
        """Return all devices in the order of their index.

        Raises:
            DeviceError: The driver is not initialized; so do all methods below.
        """
        ...

    def get_device(self, index: int) -> DeviceInfo:
        """Return one device.

        Raises:
            DeviceError: There is no device of that index; so do all methods below.
        """
        ...

    def allocate(self, index: int, size_bytes: int) -> Buffer:
        """Reserve memory on a device; its content is undefined.

        Args:
            index: The device.
            size_bytes: Above zero.

        Raises:
            OutOfDeviceMemory: There is not that much.
            DeviceError: The size is not above zero.
        """
        ...

    def deallocate(self, buffer: Buffer) -> None:
        """Give memory back.

        Raises:
            DeviceError: It was given back before, or is another driver's.
        """
        ...

    def copy_to_device(self, data: bytes, buffer: Buffer, offset_bytes: int = 0) -> None:
        """Copy bytes of the host into a buffer; they have been read when this returns.

        Args:
            data: What to copy.
            buffer: Where to.
            offset_bytes: Where in the buffer it begins.

        Raises:
            DeviceError: The buffer was freed, or the bytes do not fit there.
        """
        ...

    def copy_from_device(
        self, buffer: Buffer, size_bytes: int | None = None, offset_bytes: int = 0
    ) -> bytes:
        """Copy bytes of a buffer to the host, after all work given to its device before.

        Args:
            buffer: Where from.
            size_bytes: How many; all from the offset on when absent.
            offset_bytes: Where in the buffer they begin.

        Raises:
            DeviceError: The buffer was freed or ends before that.
        """
        ...

    def copy_device_to_device(self, source: Buffer, target: Buffer) -> None:
        """Copy all of one buffer to the beginning of another, of the same backend.

        Raises:
            DeviceError: One of them was freed, or the target is smaller.
        """
        ...

    def synchronize(self, index: int) -> None:
        """Wait until the device has done all work given to it."""
        ...

    def memory_info(self, index: int) -> MemoryInfo:
        """Read how much memory the device has and has left."""
        ...

    def temperature(self, index: int) -> float | None:
        """Read the temperature of the chip in °C."""
        ...

    def power(self, index: int) -> float | None:
        """Read the power drawn now in watts."""
        ...

    def clock(self, index: int) -> float | None:
        """Read the clock of the arithmetic units now in hertz."""
        ...


@runtime_checkable
class Measures(Protocol):
    """A driver that can also measure its devices, in well under a second each.

    Runs are warmed up, repeated, stopped after the device is synchronized, and their result is
    checked; the median counts.
    """

    def read_bandwidth(self, index: int) -> Measurement:
        """Measure how fast the device reads memory, in bytes per second.

        Raises:
            DeviceError: The numbers that were read are wrong.
        """
        ...

    def matmul(self, index: int) -> Measurement:
        """Measure a product of square 32-bit matrices, in floating point operations per second.

        Raises:
            DeviceError: The product is wrong.
        """
        ...
