"""Warming up, sampling and sustained runs, on a clock that only the kernel moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.bench.timing import (
    SHORTEST_SUSTAINED_S,
    Timed,
    burst_and_sustained,
    coarser,
    measure,
    no_progress,
    sustain,
    warm_up,
)
from hgx.drivers.base import DeviceError
from tests.bench.doubles import Clock, kernel


def test_warm_up_ends_when_steady() -> None:
    """It runs until two runs in a row are not much quicker than the best, and returns that."""
    clock = Clock()
    slow_start = kernel(clock, lambda run: min(run + 1, 4))
    assert warm_up(slow_start, 1000, clock) == pytest.approx(1 / 4)
    assert clock() == pytest.approx(1 + 1 / 2 + 1 / 3 + 3 / 4)


@pytest.mark.parametrize(("limit_s", "took_s"), [(0.0, 1.0), (1.7, 2.0)])
def test_warm_up_is_bounded(limit_s: float, took_s: float) -> None:
    """A kernel that gets quicker for ever is warmed up for the limit, and once at least."""
    clock = Clock()
    warm_up(kernel(clock, lambda run: 2.0**run), limit_s, clock)
    assert took_s - 0.3 < clock() <= took_s


def test_warm_up_is_bounded_in_runs() -> None:
    """Even where runs take no time at all, it ends."""
    clock = Clock()
    assert warm_up(kernel(clock, lambda run: 2.0**run), 1e9, clock) == pytest.approx(2.0**-19)


def test_enough_samples() -> None:
    """It ends with enough samples, each the rate of one run; progress ends at 1."""
    clock, told = Clock(), list[float]()
    found = measure(
        kernel(clock, lambda _: 10.0), seconds=100, enough=7, clock=clock, progress=told.append
    )
    assert found.samples == pytest.approx((10.0,) * 7)
    assert found.times_s == pytest.approx([0.1 * run for run in range(4, 11)])
    assert told == sorted(told)
    assert told[-1] == 1


def test_time_is_up() -> None:
    """No sample begins that would end after the time there is."""
    clock = Clock()
    found = measure(kernel(clock, lambda _: 1.0), seconds=9.5, enough=100, clock=clock)
    assert len(found.samples) == 6
    assert clock() == 9


@pytest.mark.parametrize(("patience_s", "count"), [(0.0, 1), (4.0, 3), (1000.0, 5)])
def test_patience(patience_s: float, count: int) -> None:
    """There is one sample at least, and more time for those that a verdict needs."""
    clock = Clock()
    found = measure(
        kernel(clock, lambda _: 1.0), seconds=-1.0, patience_s=patience_s, enough=50, clock=clock
    )
    assert len(found.samples) == count


def test_short_runs_are_put_together() -> None:
    """What takes less than a timer can tell is run several times per sample."""
    clock = Clock()
    runs = 0

    def rate(run: int) -> float:
        nonlocal runs
        runs = run + 1
        return 1e6

    found = measure(kernel(clock, rate), seconds=10, enough=5, clock=clock)
    assert found.samples == pytest.approx((1e6,) * 5)
    assert runs > 5 * 4000


def test_a_clock_that_stands_still() -> None:
    """A kernel too quick for the clock has a rate that is finite."""
    clock = Clock()
    found = measure(kernel(clock, lambda _: float("inf")), seconds=1, enough=3, clock=clock)
    assert found.samples == pytest.approx((1e9,) * 3)


@pytest.mark.parametrize("how", [measure, sustain])
def test_wrong_results(how: object) -> None:
    """A result that is wrong is an error, however fast it came."""
    clock = Clock()
    bad = kernel(clock, lambda _: 1.0, wrong=True)
    with pytest.raises(DeviceError, match="wrong"):
        if how is measure:
            measure(bad, seconds=5, enough=5, clock=clock)
        else:
            sustain(bad, seconds=5, clock=clock)


def test_sustained_run() -> None:
    """It records a rate per window, slow-down included, and completes the last window."""
    clock, told = Clock(), list[float]()
    found = sustain(
        kernel(clock, lambda run: 10.0 if run < 21 else 5.0),
        seconds=4,
        window_s=1.0,
        clock=clock,
        progress=told.append,
    )
    assert found.samples == pytest.approx((10.0, 10.0, 5.0, 5.0), rel=0.1)
    assert len(found.times_s) == 4
    assert 4 <= found.times_s[-1] < 5.2
    assert told[-1] == 1


def test_shortest_sustained_run() -> None:
    """There is one window at least."""
    clock = Clock()
    assert len(sustain(kernel(clock, lambda _: 1.0), seconds=0, clock=clock).samples) == 1
    no_progress(0.5)


@given(st.integers(1, 400))
def test_burst_and_sustained_are_apart(count: int) -> None:
    """Burst is at the beginning, sustained the last third, and they share nothing if they can."""
    values = tuple(float(i) for i in range(count))
    burst, lasting = burst_and_sustained(Timed(values, values))
    assert burst.samples[0] == 0
    assert lasting.samples[-1] == count - 1
    assert len(lasting.samples) == max(1, count // 3)
    assert len(burst.samples) == min(10, len(lasting.samples))
    if count > 1:
        assert burst.samples[-1] < lasting.samples[0]


def test_the_shortest_sustained_run_is_long_enough() -> None:
    """Even of runs as long as products may be there are five samples of both."""
    clock = Clock()
    curve = sustain(kernel(clock, lambda _: 1 / 0.3), seconds=SHORTEST_SUSTAINED_S, clock=clock)
    burst, lasting = burst_and_sustained(curve)
    assert min(len(burst.samples), len(lasting.samples)) >= 5


@given(st.integers(1, 900), st.integers(1, 300))
def test_coarser(count: int, most: int) -> None:
    """Windows put together are few enough, end where the curve ends, and keep its mean."""
    values = tuple(float(i) for i in range(count))
    found = coarser(Timed(values, values), most)
    assert len(found.samples) == len(found.times_s) <= most
    assert found.times_s[-1] == count - 1
    if count <= most:
        assert found == Timed(values, values)
    assert 0 <= min(found.samples) <= max(found.samples) <= count - 1
