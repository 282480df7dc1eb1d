"""A device whose speed is exactly known, on a clock that only it moves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hgx.bench.conditions import Busy, Watch
from hgx.bench.device import Tools
from hgx.core.benchmark import Benchmark, Conditions
from hgx.drivers.base import (
    Buffer,
    DeviceError,
    DeviceInfo,
    Kernel,
    MemoryInfo,
    OutOfDeviceMemory,
)
from hgx.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Generator

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)

Rates = Callable[[int], float]
"""Bytes or operations per second by the number of the run, from 0."""


class Clock:
    """A clock that stands still unless somebody works."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now_s

    def tools(self) -> Tools:
        """Return this clock as a benchmark takes it, with an eye that sees a quiet machine."""
        return Tools(lambda: NOON, self.watch, self)

    def watch(self) -> Watch:
        """Make what looks at the conditions."""
        return Watch(busy=lambda: Busy(0.0, 0.0), processors=1, clock=self)


def kernel(clock: Clock, rate: Rates, work: float = 1.0, *, wrong: bool = False) -> Kernel:
    """Make a kernel that takes as long as its rate says, and may compute something wrong."""
    runs = 0

    def run() -> None:
        nonlocal runs
        clock.now_s += work / rate(runs)
        runs += 1

    def check() -> None:
        if wrong:
            msg = "the device computed a wrong result: test it"
            raise DeviceError(msg)

    return Kernel(work, run, check, "of a double")


class FakeDriver:
    """One device: it reads at 1 GB/s and multiplies the faster the larger the matrices are.

    Args:
        clock: What its work moves.
        free_bytes: Memory it has left; null where it does not say.
        peak: Operations per second with large matrices.
        wrong: Names of benchmarks whose results are wrong.
        largest: The largest matrices it has memory for.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        free_bytes: int | None = 8 * GIB,
        peak: float = 1e12,
        wrong: frozenset[str] = frozenset(),
        largest: int = 1 << 20,
    ) -> None:
        self.time = clock
        self.free_bytes = free_bytes
        self.peak = peak
        self.wrong = wrong
        self.largest = largest
        self.content: dict[Buffer, bytes] = {}
        self.sides: list[int] = []
        self.read_rate = 1e9
        self.running = False

    def initialize(self) -> None:
        """Start."""
        self.running = True

    def shutdown(self) -> None:
        """Stop."""
        self.running = False

    def get_device(self, index: int) -> DeviceInfo:
        """Describe the device."""
        return DeviceInfo(index, "Toaster 9000", 8 * GIB, uuid="T-1", cache_bytes=MIB)

    def list_devices(self) -> tuple[DeviceInfo, ...]:
        """Name the one device."""
        return (self.get_device(0),)

    def memory_info(self, index: int) -> MemoryInfo:
        """Tell its memory."""
        del index
        return MemoryInfo(8 * GIB, self.free_bytes)

    def temperature(self, index: int) -> float | None:
        """Be lukewarm."""
        return 40.0 + index

    def power(self, index: int) -> float | None:
        """Say nothing."""
        del index

    def clock(self, index: int) -> float | None:
        """Tell its clock."""
        return 1e9 + index

    def copy_device_to_device(self, source: Buffer, target: Buffer) -> None:
        """Copy at once."""
        self.content[target] = self.content[source]

    def synchronize(self, index: int) -> None:
        """Wait for nothing."""

    def allocate(self, index: int, size_bytes: int) -> Buffer:
        """Take memory."""
        buffer = Buffer(index, size_bytes)
        self.content[buffer] = b""
        return buffer

    def deallocate(self, buffer: Buffer) -> None:
        """Give it back."""
        del self.content[buffer]

    def copy_to_device(self, data: bytes, buffer: Buffer, offset_bytes: int = 0) -> None:
        """Copy at 1 GB/s."""
        del offset_bytes
        self.time.now_s += len(data) / 1e9
        self.content[buffer] = data

    def copy_from_device(
        self,
        buffer: Buffer,
        size_bytes: int | None = None,
        offset_bytes: int = 0,
        *,
        into: bytearray | memoryview | None = None,
    ) -> bytes:
        """Copy at 0.5 GB/s."""
        del size_bytes, offset_bytes
        self.time.now_s += buffer.size_bytes / 0.5e9
        data = self.content[buffer]
        data = data[:-1] + b"?" if "copies" in self.wrong else data
        if into is None:
            return data
        into[: len(data)] = data
        return b""


class MeasuringDriver(FakeDriver):
    """The same, and it can measure."""

    def matmul_types(self, index: int) -> tuple[str, ...]:
        """Name two types."""
        del index
        return ("float32", "float16")

    @contextmanager
    def read_bandwidth(self, index: int, size_bytes: int) -> Generator[Kernel]:
        """Read at 1 GB/s."""
        del index
        yield kernel(self.time, lambda _: self.read_rate, size_bytes, wrong="read" in self.wrong)

    @contextmanager
    def matmul(self, index: int, dtype: str, side: int) -> Generator[Kernel]:
        """Multiply: full speed from 2048 on, a quarter of that at half the side."""
        del index
        self.sides.append(side)
        if side > self.largest:
            msg = "matrices are too large: take smaller ones"
            raise OutOfDeviceMemory(msg)
        rate = self.peak * min(1.0, (side / 2048) ** 2)
        yield kernel(self.time, lambda _: rate, 2.0 * side**3, wrong=dtype in self.wrong)


def benchmark(
    name: str = "read",
    samples: tuple[float, ...] = (1e9,) * 5,
    *,
    noisy: bool = False,
    measured_at: datetime = NOON,
    conditions: Conditions | None = None,
) -> Benchmark:
    """Make a benchmark with some fields of its own."""
    middle = sorted(samples)[len(samples) // 2]
    return Benchmark(
        name=name,
        unit="s" if name == "rtt" else "flops_per_s" if "matmul" in name else "bytes_per_s",
        median=middle,
        quartiles=(middle, middle),
        p95=middle if name == "rtt" else None,
        samples=samples,
        method="by hand",
        noisy=noisy,
        warnings=("a reason",) if noisy else (),
        measured_at=measured_at,
        conditions=conditions or Conditions(),
    )
