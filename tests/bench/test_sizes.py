"""How much is read and how large matrices are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from hgx.bench.sizes import (
    best_read_bytes,
    best_side,
    first_read_bytes,
    largest_read_bytes,
    largest_share_bytes,
)
from hgx.drivers.base import DeviceInfo, OutOfDeviceMemory
from hgx.units import GIB, MIB
from tests.bench.doubles import Clock, FakeDriver, MeasuringDriver, kernel

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.drivers.base import Kernel


@pytest.mark.parametrize(
    ("cache_bytes", "most_bytes", "size"),
    [
        (None, GIB, 128 * MIB),
        (MIB, GIB, 64 * MIB),
        (50 * MIB, GIB, 200 * MIB),
        (GIB, 2 * GIB, 2 * GIB),
        (GIB, 64 * GIB, 4 * GIB),
        (50 * MIB, 10 * MIB, 10 * MIB),
    ],
)
def test_first_read(cache_bytes: int | None, most_bytes: int, size: int) -> None:
    """Four times the cache is read, within the limits of memory."""
    info = DeviceInfo(0, "x", 1, cache_bytes=cache_bytes)
    assert first_read_bytes(info, most_bytes) == size


@pytest.mark.parametrize(("free_bytes", "most_bytes"), [(None, GIB), (16 * MIB, 2 * MIB), (0, MIB)])
def test_share_of_memory(free_bytes: int | None, most_bytes: int) -> None:
    """A benchmark takes an eighth of what is free, or of all where that is unknown."""
    assert largest_share_bytes(FakeDriver(Clock(), free_bytes=free_bytes), 0) == most_bytes


@pytest.mark.parametrize(
    ("free_bytes", "most_bytes"), [(None, 2 * GIB), (64 * GIB, 4 * GIB), (0, MIB)]
)
def test_share_to_read(free_bytes: int | None, most_bytes: int) -> None:
    """Reading takes a quarter of what is free, and never more than 4 GiB."""
    assert largest_read_bytes(FakeDriver(Clock(), free_bytes=free_bytes), 0) == most_bytes


@pytest.mark.parametrize(("rate", "size"), [(1e9, 64 * MIB), (1e11, 128 * MIB), (1e15, 4 * GIB)])
def test_quick_memory(rate: float, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read in no time is doubled, up to a limit."""
    clock = Clock()
    driver = MeasuringDriver(clock)
    monkeypatch.setattr(driver, "read_rate", rate)
    assert best_read_bytes(driver, driver.get_device(0), 4 * GIB, clock) == size


@pytest.mark.parametrize(
    ("peak", "largest", "seconds", "sides", "best"),
    [
        (1e12, 1 << 20, 100, [512, 1024, 2048, 4096], (2048, 2048)),
        (1e15, 1 << 20, 100, [512, 1024, 2048, 4096, 8192], (2048, 2048)),
        (1e12, 1024, 100, [512, 1024, 2048], (1024, 4096)),
        (1e12, 1 << 20, 0.07, [512], (512, 4096)),
        (1e10, 1 << 20, 100, [512], (512, 4096)),
    ],
)
def test_best_side(
    peak: float, largest: int, seconds: float, sides: list[int], best: tuple[int, int]
) -> None:
    """Matrices are doubled while that pays, and while there is memory and time."""
    clock = Clock()
    driver = MeasuringDriver(clock, peak=peak, largest=largest)
    assert best_side(driver, 0, "float32", seconds=seconds, clock=clock).side in best
    assert driver.sides == sides
    assert clock() <= max(seconds, 0.5)


@pytest.mark.parametrize("disturbed", [1024, 2048, 4096])
def test_one_bad_step(disturbed: int) -> None:
    """Somebody else's work during one step does not end the search early."""
    clock = Clock()

    class Disturbed(MeasuringDriver):
        @contextmanager
        def matmul(self, index: int, dtype: str, side: int) -> Generator[Kernel]:
            self.peak = 1e12 if side == disturbed else 1e13
            with super().matmul(index, dtype, side) as prepared:
                yield prepared

    driver = Disturbed(clock)
    chosen = best_side(driver, 0, "float32", seconds=100, clock=clock).side
    assert chosen == (4096 if disturbed == 2048 else 2048)


@pytest.mark.parametrize(("rate", "side"), [(0.95, 1024), (1.05, 1024), (0.7, 512)])
def test_small_sides(rate: float, side: int) -> None:
    """Where half the usual side is about as quick, the usual one is chosen."""
    clock = Clock()

    class Flat(MeasuringDriver):
        @contextmanager
        def matmul(self, index: int, dtype: str, side: int) -> Generator[Kernel]:
            del index, dtype
            yield kernel(clock, lambda _: 1e12 * (1 if side == 512 else rate), 2.0 * side**3)

    assert best_side(Flat(clock), 0, "float32", seconds=100, clock=clock).side == side


def test_no_room_at_all() -> None:
    """Where not even the smallest matrices fit, that is an error."""
    clock = Clock()
    with pytest.raises(OutOfDeviceMemory):
        best_side(MeasuringDriver(clock, largest=256), 0, "float32", seconds=1, clock=clock)
