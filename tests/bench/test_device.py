"""All benchmarks of a device: what is told, in which order, and what stops what."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hgx.bench.compute import parts, quick_rates, sustained_part
from hgx.bench.conditions import Busy, Watch
from hgx.bench.device import EFFORTS, Effort, measure_device
from hgx.bench.events import Failed, Partial, Progress, Refused, Result, Started
from hgx.core.reading import Reading
from hgx.drivers import backend
from hgx.drivers.base import DeviceError
from hgx.units import GIB
from tests.bench.doubles import NOON, Clock, FakeDriver, MeasuringDriver, kernel

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.bench.device import Tools
    from hgx.bench.events import Event
    from hgx.core.benchmark import Benchmark
    from hgx.drivers.base import DeviceInfo, Kernel

NAMES = ("read", "matmul_float32", "host_to_device", "device_to_host", "matmul_float16")

LONG = Effort(100, 9)


def run(driver: FakeDriver, effort: Effort = LONG, tools: Tools | None = None) -> list[Event]:
    """Measure the device of a driver on the driver's clock and return what was told."""
    told: list[Event] = []
    measure_device(
        driver,
        driver.get_device(0),
        effort,
        subject="box/toast:0",
        emit=told.append,
        tools=tools or driver.time.tools(),
    )
    return told


def results(told: list[Event]) -> dict[str, Benchmark]:
    """Return what was measured, by name."""
    return {event.benchmark.name: event.benchmark for event in told if isinstance(event, Result)}


def test_all_of_a_device() -> None:
    """Reading, products and copies are measured at their rates, with samples and evidence."""
    told = run(MeasuringDriver(Clock()))
    assert told[0] == Started(subject="box/toast:0", names=NAMES)
    found = results(told)
    assert tuple(found) == NAMES
    assert {name: one.median for name, one in found.items()} == pytest.approx(
        {
            "read": 1e9,
            "matmul_float32": 1e12,
            "host_to_device": 1e9,
            "device_to_host": 0.5e9,
            "matmul_float16": 1e12,
        }
    )
    assert {one.rounds for one in found.values()} == {(3, 3, 3, 3)}
    assert {len(one.samples) for one in found.values()} == {12}
    assert all(one.measured_at == NOON and not one.noisy for one in found.values())
    assert found["host_to_device"].method.startswith("copy of 64 MiB of pageable memory to the")


def test_progress_rises_to_the_end() -> None:
    """Progress rises from 0 and names what runs."""
    told = [event for event in run(MeasuringDriver(Clock())) if isinstance(event, Progress)]
    assert told[0].done == 0
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert told[-1].done > 0.8
    assert set(NAMES) == {event.name for event in told}


def test_time_is_kept() -> None:
    """All parts together stay within the effort, up to a last sample; every part has its share."""
    clock = Clock()
    told = run(MeasuringDriver(clock, peak=1e13), Effort(6, 1000))
    assert 4 < clock() < 6.5
    assert set(results(told)) == set(NAMES)


def test_no_time_left() -> None:
    """Parts for which nothing was left are told with a remedy."""
    clock = Clock()
    driver = MeasuringDriver(clock)
    driver.read_rate = 1e7
    told = run(driver, Effort(2, 9))
    failed = [event for event in told if isinstance(event, Failed)]
    assert [event.name for event in failed] == list(NAMES[1:])
    assert failed[0].reason.startswith("what came before took all the time: ")
    assert results(told)["read"].warnings == ("only 1 of at least 5 samples",)


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ("read", ["read"]),
        ("float16", ["matmul_float16"]),
        ("copies", ["host_to_device", "device_to_host"]),
    ],
)
def test_one_part_fails(wrong: str, names: list[str]) -> None:
    """A wrong result has no rate, is told with its reason, and the others go on."""
    told = run(MeasuringDriver(Clock(), wrong=frozenset({wrong})))
    failed = [event for event in told if isinstance(event, Failed)]
    assert [event.name for event in failed] == names
    assert all("changed" in event.reason or "wrong" in event.reason for event in failed)
    assert set(results(told)) == set(NAMES) - set(names)


def test_a_driver_that_cannot_measure() -> None:
    """Copies are all that is measured of it, and nothing is left on the device."""
    driver = FakeDriver(Clock())
    assert tuple(results(run(driver, Effort(100, 9, sustained_s=5)))) == NAMES[2:4]
    assert driver.content == {}
    assert sustained_part(driver, driver.get_device(0)) is None
    assert quick_rates(driver, driver.get_device(0), now=lambda: NOON) == ()


def test_copies_of_a_small_device() -> None:
    """A copy takes no more than an eighth of what is free."""
    driver = FakeDriver(Clock(), free_bytes=80 * 1024**2)
    method = results(run(driver))["host_to_device"].method
    assert "10 MiB" in method


def test_scattering_is_refused() -> None:
    """Samples that say nothing are told as refused, with reasons, and are no result."""
    clock = Clock()
    driver = MeasuringDriver(clock)

    class Eye(Watch):
        def look(self) -> None:
            driver.read_rate = 3e9 if driver.read_rate == 1e9 else 1e9

    eye = Eye(busy=lambda: Busy(0.0, 0.0), clock=clock)
    told = run(driver, tools=clock.tools()._replace(watch=lambda: eye))
    (refused,) = (event for event in told if isinstance(event, Refused))
    assert refused.benchmark.name == "read"
    assert refused.benchmark.noisy
    assert "read" not in results(told)


def test_burst_and_sustained_are_kept_apart() -> None:
    """A device that slows down has one rate at first, another in the end, and a curve between."""
    clock = Clock()

    class Hot(MeasuringDriver):
        @contextmanager
        def matmul(self, index: int, dtype: str, side: int) -> Generator[Kernel]:
            del index, dtype
            begin = clock()
            yield kernel(clock, lambda _: 1e12 if clock() < begin + 30 else 4e11, 2.0 * side**3)

    hot = Hot(clock)
    throttled = Reading(throttles=("heat",), temperature_c=95.0)

    def watch() -> Watch:
        return Watch(lambda: throttled, busy=lambda: Busy(0.0, 0.0), clock=clock)

    tools = clock.tools()._replace(watch=watch)
    found = results(run(hot, Effort(30, 9, sustained_s=90), tools))
    burst, lasting, curve = (
        found[f"matmul_float32_{name}"] for name in ("burst", "sustained", "over_time")
    )
    assert burst.median == pytest.approx(1e12)
    assert lasting.median == pytest.approx(4e11)
    assert len(burst.samples) == 10
    assert len(curve.samples) == len(curve.times_s or ()) > 80
    assert curve.median == pytest.approx(4e11)
    assert not any(one.noisy for one in (burst, lasting, curve))
    assert lasting.conditions.throttles == ("heat",)
    assert found["read"].warnings == ("clocks were held down: heat",)


def test_a_sustained_run_is_of_a_cold_device() -> None:
    """The run without a pause comes before all else, so that its burst is nobody's heat."""
    told = run(MeasuringDriver(Clock()), Effort(10, 9, sustained_s=5))
    assert isinstance(told[0], Started)
    assert told[0].names == ("matmul_float32_sustained", *NAMES)
    assert tuple(results(told))[:4] == (
        *(f"matmul_float32_{name}" for name in ("burst", "sustained", "over_time")),
        "read",
    )
    burst = results(told)["matmul_float32_burst"]
    assert len(burst.samples) >= 5
    assert not burst.noisy


def test_rounds_see_slow_changes() -> None:
    """All parts are measured in each round, so that one that is slow for a while shows it."""
    clock = Clock()

    class Moody(MeasuringDriver):
        @contextmanager
        def read_bandwidth(self, index: int, size_bytes: int) -> Generator[Kernel]:
            self.sides.append(0)
            self.read_rate = 2e9 if self.sides.count(0) == 4 else 1e9
            with super().read_bandwidth(index, size_bytes) as prepared:
                yield prepared

    driver = Moody(clock)
    told = run(driver)
    read = results(told)["read"]
    assert "rounds differ by 100%" in read.warnings
    assert [side for side in driver.sides if side in {0, 2048}][-6:] == [0, 2048, 2048] * 2
    partial = [event.benchmark for event in told if isinstance(event, Partial)]
    assert [len(one.rounds or ()) for one in partial if one.name == "read"] == [1, 2, 3]


def test_a_cache_that_is_too_large() -> None:
    """What is hardly larger than the cache is noisy, and says why."""

    class Small(MeasuringDriver):
        def get_device(self, index: int) -> DeviceInfo:
            return replace(super().get_device(index), cache_bytes=GIB)

    driver = Small(Clock(), free_bytes=4 * GIB)
    driver.read_rate = 1e11
    assert results(run(driver))["read"].warnings == ("not larger than the cache by far",)
    driver.free_bytes = 8 * GIB
    assert results(run(driver))["read"].warnings == ()


@pytest.mark.parametrize(("fallback", "noisy"), [(True, True), (False, False)])
def test_load_of_others(*, fallback: bool, noisy: bool) -> None:
    """A tenth of the processors is much where they are what is measured, and else not."""
    clock = Clock()

    class Busier(MeasuringDriver):
        def get_device(self, index: int) -> DeviceInfo:
            return replace(super().get_device(index), fallback=fallback)

    def others() -> Busy:
        return Busy(0.15 * clock(), 0.0)

    tools = clock.tools()._replace(watch=lambda: Watch(busy=others, processors=1, clock=clock))
    found = results(run(Busier(clock), tools=tools))
    assert found["read"].conditions.load == pytest.approx(0.15)
    assert {one.noisy for one in found.values()} == {noisy}


@pytest.mark.parametrize("name", ["quick", "normal"])
def test_efforts(name: str) -> None:
    """Every effort leaves room under what it promises, and takes enough samples to compare."""
    effort = EFFORTS[name]
    assert effort.seconds < {"quick": 9, "normal": 30}[name]
    assert effort.enough >= 15


def test_the_processor() -> None:
    """A quick look at the real processor gives both rates, checked, with five samples at most."""
    driver = backend("cpu").create()
    driver.initialize()
    found = quick_rates(driver, driver.get_device(0), now=lambda: NOON)
    assert [one.name for one in found] == ["read", "matmul_float32"]
    assert all(one.median > 0 and 1 <= len(one.samples) <= 5 for one in found)
    assert all(one.method.endswith(", quick look") for one in found)
    assert [part.name for part in parts(driver, driver.get_device(0))][:2] == [
        "read",
        "matmul_float32",
    ]
    driver.shutdown()
    with pytest.raises(DeviceError):
        driver.list_devices()
