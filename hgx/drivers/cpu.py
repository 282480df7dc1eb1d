"""The processor as a device: numpy on main memory. Always there, on every system."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from hgx.drivers.base import (
    Buffer,
    DeviceError,
    DeviceInfo,
    Measurement,
    MemoryInfo,
    OutOfDeviceMemory,
)
from hgx.sensors import cpu, memory
from hgx.units import MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_REPEATS = 5
_CACHE_IF_UNKNOWN_BYTES = 32 * MIB
_SMALLEST_READ_BYTES = 64 * MIB
_LARGEST_READ_BYTES = 512 * MIB  # filling it takes longer than reading it: a second at worst
_FIRST_MATRIX, _LARGEST_MATRIX = 512, 4096
_LONGEST_PRODUCT_S = 0.3
_WORTH_GROWING = 1.1


def create() -> CpuDriver:
    """Make the driver; see ``hgx.drivers``."""
    return CpuDriver()


class CpuDriver:
    """Device 0 is all processors of this machine that this process may use, and its memory."""

    def __init__(self) -> None:
        self._ready = False
        self._buffers: dict[Buffer, NDArray[np.uint8]] = {}

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
        return DeviceInfo(index, cpu.cpu_name(), memory.read_memory().total_bytes)

    def allocate(self, index: int, size_bytes: int) -> Buffer:
        """Reserve main memory; the system provides the pages when they are first written."""
        self._check(index)
        free = memory.read_memory().free_bytes
        if size_bytes <= 0:
            msg = f"a buffer of {size_bytes} bytes was asked for: ask for at least 1"
            raise DeviceError(msg)
        try:
            if size_bytes > free:
                raise MemoryError  # the system would promise it, and end us when it is used
            content = np.empty(size_bytes, dtype=np.uint8)
        except MemoryError as error:
            msg = (
                f"cpu:0 has {format_bytes(free)} of memory left, and {format_bytes(size_bytes)} "
                "was asked for: free some, or ask for less"
            )
            raise OutOfDeviceMemory(msg) from error
        buffer = Buffer(index, size_bytes)
        self._buffers[buffer] = content
        return buffer

    def deallocate(self, buffer: Buffer) -> None:
        """Give memory back."""
        self._content(buffer)
        del self._buffers[buffer]

    def copy_to_device(self, data: bytes, buffer: Buffer, offset_bytes: int = 0) -> None:
        """Copy bytes into a buffer."""
        self._part(buffer, offset_bytes, len(data))[:] = np.frombuffer(data, dtype=np.uint8)

    def copy_from_device(
        self, buffer: Buffer, size_bytes: int | None = None, offset_bytes: int = 0
    ) -> bytes:
        """Copy bytes out of a buffer."""
        size = buffer.size_bytes - offset_bytes if size_bytes is None else size_bytes
        return self._part(buffer, offset_bytes, size).tobytes()

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

    def read_bandwidth(self, index: int) -> Measurement:
        """Measure how fast all cores together add up an array too large for the cache."""
        self._check(index)
        threads, size = cpu.usable_cores(), read_size_bytes()
        parts = np.array_split(np.empty(size // 8, dtype=np.float64), threads)
        with ThreadPoolExecutor(threads) as pool:
            # Each thread fills its own part, so that its pages are near it. Ones have a sum
            # that is exact in any order.
            list(pool.map(_fill_with_ones, parts))

            def read() -> None:
                if sum(pool.map(_sum, parts)) != size // 8:
                    msg = "the processor read wrong numbers from memory: test its memory"
                    raise DeviceError(msg)

            times = _times(read)
        method = f"sum of {format_bytes(size)} with {threads} threads (numpy)"
        return _rate(size, times, method)

    def matmul(self, index: int) -> Measurement:
        """Measure numpy's product of two matrices, as large as it takes to be fast.

        Threads wait for each other in every product: beside other work each wait may last a turn
        of the scheduler, and a small product is then mostly waiting.
        """
        self._check(index)
        side = _FIRST_MATRIX
        best = _measure_product(side)
        while side < _LARGEST_MATRIX and 2 * (2 * side) ** 3 / best.value < _LONGEST_PRODUCT_S:
            side *= 2
            larger = _measure_product(side)
            if larger.value < best.value * _WORTH_GROWING:
                return max(best, larger)
            best = larger
        return best

    def _check(self, index: int) -> None:
        if not self._ready:
            msg = "the cpu driver is not initialized: call initialize first"
            raise DeviceError(msg)
        if index != 0:
            msg = f"there is no device cpu:{index}: the only one is cpu:0"
            raise DeviceError(msg)

    def _content(self, buffer: Buffer) -> NDArray[np.uint8]:
        self._check(buffer.index)
        content = self._buffers.get(buffer)
        if content is None:
            msg = f"a buffer of {buffer.size_bytes} bytes was freed before: do not use it again"
            raise DeviceError(msg)
        return content

    def _part(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        content = self._content(buffer)
        if offset < 0 or size < 0 or offset + size > buffer.size_bytes:
            msg = (
                f"{size} bytes at {offset} are not inside a buffer of {buffer.size_bytes} bytes: "
                "copy less, or allocate more"
            )
            raise DeviceError(msg)
        return content[offset : offset + size]


def read_size_bytes() -> int:
    """Choose how much to read: four times the last cache, but no more than memory allows."""
    cache = cpu.last_level_cache_bytes() or _CACHE_IF_UNKNOWN_BYTES
    wanted = min(max(4 * cache, _SMALLEST_READ_BYTES), _LARGEST_READ_BYTES)
    return max(MIB, min(wanted, memory.read_memory().free_bytes // 8))


def _fill_with_ones(part: NDArray[np.float64]) -> None:
    part.fill(1)


def _sum(part: NDArray[np.float64]) -> float:
    return float(part.sum())


def _measure_product(side: int) -> Measurement:
    generator = np.random.default_rng(side)
    left = generator.random((side, side), dtype=np.float32)
    right = generator.random((side, side), dtype=np.float32)
    product = np.empty_like(left)
    times = _times(lambda: np.matmul(left, right, out=product))
    # Freivalds' check: the product times a vector is cheap to know in another way.
    if not np.allclose(product.sum(axis=1), left @ right.sum(axis=1), rtol=1e-3):
        msg = "the processor computed a wrong product: test the machine"
        raise DeviceError(msg)
    return _rate(2 * side**3, times, f"{side} x {side} float32 product (numpy)")


def _times(run: Callable[[], object]) -> tuple[float, ...]:
    run()  # warm-up
    times: list[float] = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return tuple(times)


def _rate(work: float, times: tuple[float, ...], method: str) -> Measurement:
    samples = tuple(work / seconds for seconds in times)
    return Measurement(median(samples), samples, f"{method}, median of {len(times)}")
