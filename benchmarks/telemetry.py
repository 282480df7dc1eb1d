"""What telemetry costs: processor time while idle, and how much slower work becomes beside it.

    python benchmarks/telemetry.py [--pairs 61] [--idle 20]

All sensors of this machine are read by a collector in the process that works, which is the worst
case: each second while idle, ten times a second beside work, because a tenth of that is seen better
than the thing itself. The work is the cpu driver's matrix product on all cores, done with the
collector on and off in turn, so that both meet the same load. Pairs in which other programs used
the processors are left out. Targets: at most 1 % of a core, and at most 1 % slower.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import psutil

from hgx.drivers.cpu import CpuDriver
from hgx.node.readings import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

SIDE = 1024
WORK_S = 0.5
IDLE_HZ, WORK_HZ = 1, 10
MOST_OTHERS = 0.03
"""Share of all processors that others may use in a pair that counts."""
PATIENCE_S = 30.0


@contextmanager
def telemetry(hertz: float, *, enabled: bool) -> Generator[Telemetry]:
    """Collect, or do not; the first reading is over when the context begins."""
    with Telemetry("bench", interval_s=1 / hertz, enabled=enabled) as collector:
        if enabled and not collector.wait_for_first(PATIENCE_S):
            raise SystemExit("no sensor of this machine answers")
        yield collector


def processor_share(seconds: float, *, enabled: bool) -> float:
    """Return the processor time of this process per second, while it does nothing itself."""
    with telemetry(IDLE_HZ, enabled=enabled):
        began, used = time.perf_counter(), time.process_time()
        time.sleep(seconds)
        return (time.process_time() - used) / (time.perf_counter() - began)


class Run(NamedTuple):
    """One piece of work: how long it took, and what share of all processors others used."""

    seconds: float
    others: float


def timed(work: Callable[[], object], count: int, *, enabled: bool) -> Run:
    """Time work, with or without the collector."""
    with telemetry(WORK_HZ, enabled=enabled):
        began, busy = time.perf_counter(), busy_elsewhere_s()
        for _ in range(count):
            work()
        seconds = time.perf_counter() - began
        others = (busy_elsewhere_s() - busy) / seconds / (psutil.cpu_count() or 1)
        return Run(seconds, max(0.0, others))


def busy_elsewhere_s() -> float:
    """Return the processor time that all other processes have used since the start."""
    times = psutil.cpu_times()
    return times.user + times.system + getattr(times, "steal", 0.0) - time.process_time()


def slowdowns(pairs: int) -> list[float]:
    """Return how many times as long the work takes beside the collector, for each quiet pair."""
    driver = CpuDriver()
    driver.initialize()
    ratios: list[float] = []
    with driver.matmul(0, "float32", SIDE) as kernel:
        count = 1
        while (took := timed(kernel.run, count, enabled=False).seconds) < WORK_S / 4:
            count *= 2
        count = round(count * WORK_S / took)
        for pair in range(pairs):
            order = (True, False) if pair % 2 else (False, True)
            runs = {enabled: timed(kernel.run, count, enabled=enabled) for enabled in order}
            if max(run.others for run in runs.values()) <= MOST_OTHERS:
                ratios.append(runs[True].seconds / runs[False].seconds)
        kernel.check()
    return ratios


def main() -> None:
    """Print both costs."""
    parser = argparse.ArgumentParser(description="What telemetry costs.")
    parser.add_argument("--pairs", type=int, default=61, help="pairs of work with and without it")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of doing nothing")
    arguments = parser.parse_args()
    with telemetry(IDLE_HZ, enabled=True) as collector:
        print(f"devices read: {', '.join(collector.readings())}")
    for enabled in (False, True):
        share = processor_share(arguments.idle, enabled=enabled)
        print(f"idle, telemetry {'on ' if enabled else 'off'}  {share:8.3%} of a core", flush=True)
    ratios = slowdowns(arguments.pairs)
    print(f"quiet pairs of work {len(ratios):5} of {arguments.pairs}")
    if len(ratios) < 2:
        raise SystemExit("the machine is too busy to tell: try again when it is not")
    quartiles = statistics.quantiles(ratios, n=4)
    for hertz in (WORK_HZ, IDLE_HZ):
        low, middle, high = ((ratio - 1) * hertz / WORK_HZ for ratio in quartiles)
        how = "measured" if hertz == WORK_HZ else "so much of it"
        print(
            f"work beside it, {hertz:2} Hz {middle:+8.3%} slower    "
            f"({how}; median, half of the pairs {low:+.2%} to {high:+.2%})"
        )


if __name__ == "__main__":
    main()
