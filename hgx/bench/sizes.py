"""How much to read and how large matrices to multiply, so that it is the device that is timed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.bench.timing import measure, warm_up
from hgx.drivers.base import OutOfDeviceMemory
from hgx.units import GIB, MIB

if TYPE_CHECKING:
    from hgx.bench.timing import Clock
    from hgx.drivers.base import DeviceInfo, Driver, Measures

_CACHE_IF_UNKNOWN_BYTES = 32 * MIB
_SMALLEST_READ_BYTES = 64 * MIB
_LARGEST_READ_BYTES = 4 * GIB  # filling it takes longer than reading it: seconds at worst
LARGEST_GLANCE_BYTES: Final = 512 * MIB
"""Most to read in a quick look, which has no such seconds."""
_SHORTEST_READ_S = 0.001  # below that a good part of it is the call, not the reading
_SHARE_OF_MEMORY = 8  # an eighth: others need theirs
_SHARE_TO_READ = 4  # a quarter, because caches of some servers are larger than an eighth

FIRST_SIDE: Final = 512
LARGEST_SIDE: Final = 8192
_LONGEST_PRODUCT_S = 0.3
_WORTH_GROWING = 1.1
_FIRST_RUNS = 3  # to warm up, and one sample
_USUAL_SIDE = 1024  # some reach nearly all with half of that, and fewer on another day
_NOT_WORSE = 0.8
_LADDER_SAMPLES = 3
_STEPS_WITHOUT_GROWTH = 2  # one may be somebody else's work in between


class Side(NamedTuple):
    """Rows and columns of matrices, and what a product of them costs.

    Attributes:
        side: Rows and columns.
        rate: Operations per second that it reached.
    """

    side: int
    rate: float


def largest_share_bytes(driver: Driver, index: int) -> int:
    """Return an eighth of what the device has free, or of all it has where that is unknown."""
    return max(MIB, _room_bytes(driver, index) // _SHARE_OF_MEMORY)


def largest_read_bytes(driver: Driver, index: int) -> int:
    """Return a quarter of that memory, and no more than 4 GiB."""
    return min(_LARGEST_READ_BYTES, max(MIB, _room_bytes(driver, index) // _SHARE_TO_READ))


def _room_bytes(driver: Driver, index: int) -> int:
    memory = driver.memory_info(index)
    return memory.total_bytes if memory.free_bytes is None else memory.free_bytes


def first_read_bytes(info: DeviceInfo, most_bytes: int) -> int:
    """Choose how much to read: four times the last cache, as far as memory allows.

    Args:
        info: The device.
        most_bytes: The limit; see ``largest_read_bytes``.
    """
    cache = info.cache_bytes or _CACHE_IF_UNKNOWN_BYTES
    return min(max(4 * cache, _SMALLEST_READ_BYTES), most_bytes)


def least_read_bytes(info: DeviceInfo) -> int:
    """Return how much has to be read for caches not to answer a good part: twice the last one."""
    return 2 * (info.cache_bytes or 0)


def best_read_bytes(
    driver: Measures, info: DeviceInfo, most_bytes: int, clock: Clock = time.perf_counter
) -> int:
    """Choose how much to read, doubled as long as a device reads it in no time.

    Args:
        driver: Prepares the reads.
        info: The device.
        most_bytes: The limit; see ``largest_read_bytes``.
        clock: Returns seconds.
    """
    size = first_read_bytes(info, most_bytes)
    while size * 2 <= most_bytes:
        with driver.read_bandwidth(info.index, size) as kernel:
            if warm_up(kernel, 0.1, clock) >= _SHORTEST_READ_S:
                break
        size *= 2
    return size


def best_side(
    driver: Measures, index: int, dtype: str, *, seconds: float, clock: Clock = time.perf_counter
) -> Side:
    """Find the matrices that a device multiplies best, doubling them from small ones.

    Threads and cores wait for each other in every product: a small one is mostly waiting. Of sizes
    that are hardly different the smallest is taken, so that the same machine has the same again.

    Args:
        driver: Prepares the products.
        index: The device.
        dtype: One of its ``matmul_types``.
        seconds: Time for this; no step begins that would not fit.
        clock: Returns seconds.

    Returns:
        The smallest of those tried that no larger one beats by a tenth; 1024 rather than 512.

    Raises:
        DeviceError: The smallest product already fails.
    """
    began, share_s = clock(), seconds / 4
    best, side, step_s, idle = Side(FIRST_SIDE, 0.0), FIRST_SIDE, 0.0, 0
    while side <= LARGEST_SIDE:
        step_began = clock()
        if step_began + step_s - began > seconds:
            break
        try:
            with driver.matmul(index, dtype, side) as kernel:
                timed = measure(kernel, seconds=share_s, enough=_LADDER_SAMPLES, clock=clock)
        except OutOfDeviceMemory:
            if side == FIRST_SIDE:
                raise
            break
        rate = max(timed.samples)
        enough = _NOT_WORSE if side == _USUAL_SIDE else _WORTH_GROWING
        grew = rate >= best.rate * enough
        best, idle = (Side(side, rate), 0) if grew else (best, idle + 1)
        side *= 2
        if idle >= _STEPS_WITHOUT_GROWTH or 2 * side**3 / max(rate, best.rate) > _LONGEST_PRODUCT_S:
            break
        # A step is cut off after its share of the time, but for the runs that it begins with.
        step_s = share_s + _FIRST_RUNS * 2 * side**3 / best.rate
    return best
