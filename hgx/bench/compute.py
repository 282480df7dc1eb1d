"""What a device can do: read its memory, multiply matrices, exchange data with the host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from hgx.bench.conditions import Watch
from hgx.bench.copies import device_to_host, host_to_device
from hgx.bench.outcome import outcome
from hgx.bench.sizes import (
    LARGEST_GLANCE_BYTES,
    best_read_bytes,
    best_side,
    first_read_bytes,
    largest_read_bytes,
    largest_share_bytes,
    least_read_bytes,
)
from hgx.bench.stats import NOISY_LOAD, NOISY_LOAD_OF_PROCESSORS
from hgx.bench.timing import measure
from hgx.drivers.base import Measures
from hgx.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from hgx.bench.timing import Clock
    from hgx.core.benchmark import Benchmark, Unit
    from hgx.drivers.base import DeviceInfo, Driver, Kernel

_GLANCE_S, _GLANCE_SAMPLES = 0.25, 5
_SIZING_SHARE = 1 / 3  # of a part's time
COPY_BYTES = 64 * MIB
"""Large enough that starting a copy does not count."""


def quick_rates(
    driver: Driver, info: DeviceInfo, *, now: Callable[[], datetime]
) -> tuple[Benchmark, ...]:
    """Measure reading and multiplying for about half a second, so that a plan rests on something.

    Five samples are kept even where they scatter so much that a full benchmark refuses them: a
    figure that is marked noisy is closer than an assumed one, and anything may replace it.

    Args:
        driver: An initialized driver.
        info: The device.
        now: Returns the time, with its zone.

    Returns:
        ``read`` and ``matmul_float32``; nothing where the driver cannot measure.

    Raises:
        DeviceError: The device fails, or computes something wrong.
    """
    if not isinstance(driver, Measures):
        return ()
    most = min(LARGEST_GLANCE_BYTES, largest_share_bytes(driver, info.index))
    size = first_read_bytes(info, most)
    side = best_side(driver, info.index, "float32", seconds=_GLANCE_S).side
    measures: Measures = driver

    def read(_: float) -> AbstractContextManager[Kernel]:
        return measures.read_bandwidth(info.index, size)

    def product(_: float) -> AbstractContextManager[Kernel]:
        return measures.matmul(info.index, "float32", side)

    return (
        _glance(Part("read", "bytes_per_s", read, least_read_bytes(info)), info, now),
        _glance(Part("matmul_float32", "flops_per_s", product), info, now),
    )


def noisy_load(info: DeviceInfo) -> float:
    """Return the load of others from which on results of a device are noisy."""
    return NOISY_LOAD_OF_PROCESSORS if info.fallback else NOISY_LOAD


class Part(NamedTuple):
    """One benchmark of a device.

    Attributes:
        name: Of the benchmark.
        unit: Of its samples.
        prepare: Makes the kernel; when first called it may take the given seconds to find how
            large that has to be.
        least_work: Of a kernel; with less it is a cache that is measured.
    """

    name: str
    unit: Unit
    prepare: Callable[[float], AbstractContextManager[Kernel]]
    least_work: float = 0

    def warnings(self, kernel: Kernel) -> tuple[str, ...]:
        """Say in words why a kernel does not measure what it should."""
        return ("not larger than the cache by far",) if kernel.work < self.least_work else ()


def parts(driver: Driver, info: DeviceInfo, clock: Clock = time.perf_counter) -> tuple[Part, ...]:
    """List what can be measured of a device, what counts most first.

    Args:
        driver: An initialized driver; one that cannot measure leaves copies.
        info: The device.
        clock: Returns seconds.
    """
    index = info.index
    size = min(COPY_BYTES, largest_share_bytes(driver, index))

    def to_device(_: float) -> AbstractContextManager[Kernel]:
        return host_to_device(driver, index, size)

    def to_host(_: float) -> AbstractContextManager[Kernel]:
        return device_to_host(driver, index, size)

    copies = (
        Part("host_to_device", "bytes_per_s", to_device),
        Part("device_to_host", "bytes_per_s", to_host),
    )
    if not isinstance(driver, Measures):
        return copies
    measures: Measures = driver

    read_bytes: int | None = None

    def read(_: float) -> AbstractContextManager[Kernel]:
        nonlocal read_bytes
        if read_bytes is None:
            most_read = largest_read_bytes(driver, index)
            read_bytes = best_read_bytes(measures, info, most_read, clock)
        return measures.read_bandwidth(index, read_bytes)

    first, *others = (_product(driver, index, dtype, clock) for dtype in driver.matmul_types(index))
    least = least_read_bytes(info)
    return (Part("read", "bytes_per_s", read, least), first, *copies, *others)


def sustained_part(
    driver: Driver, info: DeviceInfo, clock: Clock = time.perf_counter
) -> Part | None:
    """Return what is run without a pause: the product, because nothing heats up a chip more.

    Returns:
        Null where the driver cannot measure.
    """
    if not isinstance(driver, Measures):
        return None
    return _product(driver, info.index, "float32", clock)


def _product(driver: Measures, index: int, dtype: str, clock: Clock) -> Part:
    side: int | None = None

    def prepare(seconds: float) -> AbstractContextManager[Kernel]:
        nonlocal side
        if side is None:
            sizing_s = seconds * _SIZING_SHARE
            side = best_side(driver, index, dtype, seconds=sizing_s, clock=clock).side
        return driver.matmul(index, dtype, side)

    return Part(f"matmul_{dtype}", "flops_per_s", prepare)


def _glance(part: Part, info: DeviceInfo, now: Callable[[], datetime]) -> Benchmark:
    began, watch = now(), Watch()
    with part.prepare(_GLANCE_S) as kernel:
        timed = measure(kernel, seconds=_GLANCE_S, enough=_GLANCE_SAMPLES)
    return outcome(
        part.name,
        part.unit,
        timed.samples,
        method=f"{kernel.method}, quick look",
        measured_at=began,
        conditions=watch.conditions(),
        warnings=part.warnings(kernel),
        noisy_load=noisy_load(info),
    ).benchmark
