"""Kernels run and timed: warmed up first, repeated until there are enough samples or no time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from hgx.bench.stats import FEWEST_SAMPLES

if TYPE_CHECKING:
    from hgx.drivers.base import Kernel

Clock = Callable[[], float]
"""Returns seconds; only differences count."""

SHORTEST_SAMPLE_S = 0.005
"""What is quicker is run several times per sample: a timer and a scheduler are off by
microseconds, and that must not be seen."""

WINDOW_S = 0.2
"""One sample of a sustained run: short beside what heat needs, long beside a kernel."""

SHORTEST_SUSTAINED_S = 5.0
"""A burst and a last third of five windows each, though a kernel may be longer than a window."""

BURST_WINDOWS = 10  # two seconds: a chip at its highest clocks is hot soon

_STEADY = 1.05  # warm when a run is not so much quicker than the best before it...
_STEADY_RUNS = 2  # ...so many times in a row: one may be luck
_MOST_WARM_UPS = 20
_WARM_UP_SHARE = 0.25  # of the time there is


class Timed(NamedTuple):
    """Samples of a rate in the kernel's work per second, and when each ended, from the start."""

    samples: tuple[float, ...]
    times_s: tuple[float, ...]


def no_progress(_: float) -> None:
    """Take note of how much is done, 0 to 1; this one does not."""


def warm_up(kernel: Kernel, limit_s: float, clock: Clock = time.perf_counter) -> float:
    """Run a kernel until it gets no quicker: pages are there, clocks are up, code is compiled.

    Args:
        kernel: What to run, at least once.
        limit_s: No further run begins after so many seconds.
        clock: Returns seconds.

    Returns:
        Seconds that the quickest run took.
    """
    began = clock()
    best, steady = math.inf, 0
    for _ in range(_MOST_WARM_UPS):
        before = clock()
        kernel.run()
        took = clock() - before
        steady = steady + 1 if took * _STEADY >= best else 0
        best = min(best, took)
        if steady >= _STEADY_RUNS or clock() - began >= limit_s:
            break
    return best


def measure(
    kernel: Kernel,
    *,
    seconds: float,
    enough: int,
    patience_s: float = 0.0,
    fewest: int = FEWEST_SAMPLES,
    clock: Clock = time.perf_counter,
    progress: Callable[[float], object] = no_progress,
) -> Timed:
    """Take samples of a kernel's rate, and check its last result.

    Args:
        kernel: What to run.
        seconds: Time for all of it; one sample is taken even where there is none.
        enough: Samples after which it ends earlier.
        patience_s: Time for the fewest samples, where that is more.
        fewest: As many as a verdict needs.
        clock: Returns seconds.
        progress: Told after each sample how much is done; it may look at sensors.

    Raises:
        DeviceError: The result is wrong.
    """
    began = clock()
    once_s = warm_up(kernel, seconds * _WARM_UP_SHARE, clock)
    runs = max(1, math.ceil(SHORTEST_SAMPLE_S / once_s)) if once_s > 0 else 1
    samples: list[float] = []
    times: list[float] = []

    def has_time() -> bool:
        limit = seconds if len(samples) >= fewest else max(seconds, patience_s)
        return clock() - began + runs * once_s <= limit

    while not samples or (len(samples) < enough and has_time()):
        rate, ended = _sample(kernel, runs, clock)
        samples.append(rate)
        times.append(ended - began)
        progress(min(1.0, max(len(samples) / enough, times[-1] / seconds if seconds > 0 else 1.0)))
    kernel.check()
    return Timed(tuple(samples), tuple(times))


def sustain(
    kernel: Kernel,
    *,
    seconds: float,
    window_s: float = WINDOW_S,
    clock: Clock = time.perf_counter,
    progress: Callable[[float], object] = no_progress,
) -> Timed:
    """Keep a device busy without a pause, and record its rate over time.

    The first run is a warm-up and no part of a window; there is no further one, because the
    first seconds of a cold device are what this is about.

    Args:
        kernel: What to run.
        seconds: How long; the window that is open then is completed.
        window_s: Each sample is the rate over at least so many seconds.
        clock: Returns seconds.
        progress: Told after each window how much is done.

    Raises:
        DeviceError: The result is wrong.
    """
    kernel.run()
    began = opened = clock()
    samples: list[float] = []
    times: list[float] = []
    runs = 0
    while not samples or opened - began < seconds:
        kernel.run()
        runs += 1
        now = clock()
        if now - opened >= window_s:
            samples.append(runs * kernel.work / (now - opened))
            times.append(now - began)
            progress(min(1.0, times[-1] / seconds if seconds > 0 else 1.0))
            opened, runs = clock(), 0
    kernel.check()
    return Timed(tuple(samples), tuple(times))


def burst_and_sustained(curve: Timed) -> tuple[Timed, Timed]:
    """Cut a sustained run into what a device can do at first, and what it can keep up.

    Args:
        curve: At least one window.

    Returns:
        The first windows, ten where a third of them are so many; and the last third. Both have
        at least one.
    """
    count = len(curve.samples)
    third = max(1, count // 3)
    first = min(third, BURST_WINDOWS)
    return (
        Timed(curve.samples[:first], curve.times_s[:first]),
        Timed(curve.samples[-third:], curve.times_s[-third:]),
    )


def coarser(curve: Timed, most: int) -> Timed:
    """Put windows that follow each other together, so that no more than so many are left.

    Args:
        curve: Windows of about the same length.
        most: At least one.
    """
    step = math.ceil(len(curve.samples) / most)
    ends = [min(i + step, len(curve.samples)) for i in range(0, len(curve.samples), step)]
    return Timed(
        tuple(fmean(curve.samples[max(0, end - step) : end]) for end in ends),
        tuple(curve.times_s[end - 1] for end in ends),
    )


def _sample(kernel: Kernel, runs: int, clock: Clock) -> tuple[float, float]:
    before = clock()
    for _ in range(runs):
        kernel.run()
    ended = clock()
    # A clock that stood still would make the rate infinite: it is finer than any real kernel.
    return runs * kernel.work / max(ended - before, 1e-9), ended
