"""The processor as a device: numpy on main memory. Always there, on every system."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hgx.drivers._buffers import Buffers, check_size, not_enough
from hgx.drivers._host import deliver
from hgx.drivers.base import (
    Buffer,
    DeviceError,
    DeviceInfo,
    Kernel,
    MemoryInfo,
)
from hgx.sensors import cpu, memory
from hgx.units import MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

_SPARE_BYTES = 32 * MIB  # for what BLAS packs, for threads and for tables of pages


def create() -> CpuDriver:
    """Make the driver; see ``hgx.drivers``."""
    return CpuDriver()


def absent() -> None:
    """Say that it is always there."""


class CpuDriver:
    """Device 0 is all processors of this machine that this process may use, and its memory."""

    def __init__(self) -> None:
        self._ready = False
        self._buffers: Buffers[NDArray[np.uint8]] = Buffers()

    def initialize(self) -> None:
        """Do what the contract says; nothing can be missing here."""
        self._ready = True

    def shutdown(self) -> None:
        """Free all buffers."""
        self._buffers.clear()
        self._ready = False

    def list_devices(self) -> tuple[DeviceInfo, ...]:
        """Return the one device."""
        return (self.get_device(0),)

    def get_device(self, index: int) -> DeviceInfo:
        """Describe device 0."""
        self._check(index)
        return DeviceInfo(
            index,
            cpu.cpu_name(),
            memory.read_memory().total_bytes,
            cache_bytes=cpu.last_level_cache_bytes(),
            fallback=True,
        )

    def allocate(self, index: int, size_bytes: int) -> Buffer:
        """Reserve main memory; zeros are written to it, so that it is really there."""
        self._check(index)
        check_size(size_bytes)
        (content,) = _empty((size_bytes,), np.dtype(np.uint8))
        content.fill(0)
        return self._buffers.add(index, size_bytes, content)

    def deallocate(self, buffer: Buffer) -> None:
        """Give memory back."""
        self._check(buffer.index)
        self._buffers.remove(buffer)

    def copy_to_device(self, data: bytes, buffer: Buffer, offset_bytes: int = 0) -> None:
        """Copy bytes into a buffer."""
        self._part(buffer, offset_bytes, len(data))[:] = np.frombuffer(data, dtype=np.uint8)

    def copy_from_device(
        self,
        buffer: Buffer,
        size_bytes: int | None = None,
        offset_bytes: int = 0,
        *,
        into: bytearray | memoryview | None = None,
    ) -> bytes:
        """Copy bytes out of a buffer."""
        size = buffer.size_bytes - offset_bytes if size_bytes is None else size_bytes
        return deliver(self._part(buffer, offset_bytes, size), into)

    def copy_device_to_device(self, source: Buffer, target: Buffer) -> None:
        """Copy one buffer to the beginning of another."""
        content = self._content(source)
        self._part(target, 0, source.size_bytes)[:] = content

    def synchronize(self, index: int) -> None:
        """Do nothing: all work is done when its call returns."""
        self._check(index)

    def memory_info(self, index: int) -> MemoryInfo:
        """Read main memory, within the limits of a container."""
        self._check(index)
        return MemoryInfo(*memory.read_memory())

    def temperature(self, index: int) -> float | None:
        """Read the package's temperature in °C; Linux only."""
        self._check(index)
        return cpu.temperature_c()

    def power(self, index: int) -> float | None:
        """Measure the package's power in watts over 50 ms; Linux, and mostly root, only."""
        self._check(index)
        return cpu.power_w()

    def clock(self, index: int) -> float | None:
        """Read the present clock in hertz."""
        self._check(index)
        return cpu.clock_hz()

    def matmul_types(self, index: int) -> tuple[str, ...]:
        """Name the types that BLAS multiplies; numpy's products of others are plain loops."""
        self._check(index)
        return ("float32", "float64")

    @contextmanager
    def read_bandwidth(self, index: int, size_bytes: int) -> Generator[Kernel]:
        """Let all cores together add up an array."""
        self._check(index)
        threads, count = cpu.usable_cores(), size_bytes // 8
        parts = np.array_split(_empty((count,), np.dtype(np.float64))[0], threads)
        sums: list[float] = []
        with ThreadPoolExecutor(threads) as pool:
            # Each thread fills its own part, so that its pages are near it. Ones have a sum
            # that is exact in any order.
            list(pool.map(_fill_with_ones, parts))

            def run() -> None:
                sums[:] = pool.map(_sum, parts)

            def check() -> None:
                if sum(sums) != count:
                    msg = "the processor read wrong numbers from memory: test its memory"
                    raise DeviceError(msg)

            method = f"sum of {format_bytes(count * 8)} with {threads} threads (numpy)"
            yield Kernel(count * 8, run, check, method)

    @contextmanager
    def matmul(self, index: int, dtype: str, side: int) -> Generator[Kernel]:
        """Let numpy multiply."""
        if dtype not in self.matmul_types(index):
            msg = f"cpu:{index} does not multiply {dtype}: use one of float32, float64"
            raise DeviceError(msg)
        generator, element = np.random.default_rng(side), np.dtype(dtype)
        left, right, product = _empty((side, side), element, arrays=3)
        for factor in (left, right):
            generator.random(dtype=element, out=factor)  # in place: there may be no room for more

        def check() -> None:
            # Freivalds' check: the product times a vector is cheap to know in another way.
            if not np.allclose(product.sum(axis=1), left @ right.sum(axis=1), rtol=1e-3):
                msg = "the processor computed a wrong product: test the machine"
                raise DeviceError(msg)

        method = f"{side} x {side} {dtype} product (numpy)"
        yield Kernel(2 * side**3, lambda: np.matmul(left, right, out=product), check, method)

    def _check(self, index: int) -> None:
        if not self._ready:
            msg = "the cpu driver is not initialized: call initialize first"
            raise DeviceError(msg)
        if index != 0:
            msg = f"there is no device cpu:{index}: the only one is cpu:0"
            raise DeviceError(msg)

    def _content(self, buffer: Buffer) -> NDArray[np.uint8]:
        self._check(buffer.index)
        return self._buffers.content(buffer)

    def _part(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        self._check(buffer.index)
        return self._buffers.content_with(buffer, offset, size)[offset : offset + size]


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any], *, arrays: int = 1) -> list[NDArray[Any]]:
    """Reserve memory that is surely there: the system would promise more, and end us using it.

    It counts as used only when it is first written, so what belongs together is asked for together.
    """
    size = arrays * math.prod(shape) * dtype.itemsize
    free = memory.read_memory().free_bytes
    if size + _SPARE_BYTES > free:
        raise not_enough("cpu:0", free, size)
    try:
        return [np.empty(shape, dtype) for _ in range(arrays)]
    except MemoryError as error:
        raise not_enough("cpu:0", free, size) from error


def _fill_with_ones(part: NDArray[np.float64]) -> None:
    part.fill(1)


def _sum(part: NDArray[np.float64]) -> float:
    return float(part.sum())
