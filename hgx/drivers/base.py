"""What a device driver is: fourteen methods, and three more for one that can measure.

Drivers are synchronous, because vendors' calls are, and are used by one thread at a time. They
import vendor libraries inside ``initialize``. A reading that is unknown is None, never 0 or -1.
tests/drivers/contract.py enforces what is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from hgx.errors import HgxError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


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
        uuid: Its identity where the vendor gives one, the same in another slot.
        cache_bytes: Its last-level cache; a benchmark of memory must read several times as much.
        fallback: Whether it is there only in case nothing better is.
    """

    index: int
    name: str
    memory_total_bytes: int
    unified_memory: bool | None = None
    uuid: str | None = None
    cache_bytes: int | None = None
    fallback: bool = False


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


class Kernel(NamedTuple):
    """A piece of work on a device, ready to be timed.

    Attributes:
        work: What one run does: bytes read, or floating point operations.
        run: Does it once, and returns when the device has done it.
        check: Raises DeviceError where the last run's result is wrong; untimed.
        method: What it does, in words, with sizes and the library that does it.
    """

    work: float
    run: Callable[[], object]
    check: Callable[[], object]
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
        self,
        buffer: Buffer,
        size_bytes: int | None = None,
        offset_bytes: int = 0,
        *,
        into: bytearray | memoryview | None = None,
    ) -> bytes:
        """Copy bytes of a buffer to the host, after all work given to its device before.

        Args:
            buffer: Where from.
            size_bytes: How many; all from the offset on when absent.
            offset_bytes: Where in the buffer they begin.
            into: Memory of the host to copy them to the beginning of; new memory when absent.

        Returns:
            The bytes; none where they were copied into memory that was given.

        Raises:
            DeviceError: The buffer was freed or ends before that, or the host's memory is too
                small or cannot be written.
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
    """A driver that can also load its devices with work worth timing.

    It only prepares the work; ``hgx.bench`` warms up, repeats, times and judges. Memory that a
    kernel needs is the driver's own while the context lasts, and free after it.
    """

    def matmul_types(self, index: int) -> tuple[str, ...]:
        """Name the data types that the device multiplies in hardware or in a tuned library.

        Returns:
            Numpy's names, and ``bfloat16``; ``float32`` first where it is among them.
        """
        ...

    def read_bandwidth(self, index: int, size_bytes: int) -> AbstractContextManager[Kernel]:
        """Prepare to read memory of the device from one end to the other.

        Args:
            index: The device.
            size_bytes: How much; what is not a multiple of the kernel's unit is left out.

        Raises:
            OutOfDeviceMemory: There is not that much.
        """
        ...

    def matmul(self, index: int, dtype: str, side: int) -> AbstractContextManager[Kernel]:
        """Prepare the product of two square matrices.

        Args:
            index: The device.
            dtype: One of ``matmul_types``.
            side: Rows and columns; a product is 2 · side³ operations.

        Raises:
            OutOfDeviceMemory: Three such matrices do not fit.
            DeviceError: The data type is none of ``matmul_types``.
        """
        ...
