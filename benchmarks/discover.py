"""Time finding this machine's devices: all backends at once, beside one after the other."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

from hgx.drivers import backends
from hgx.flows.local import find_local
from hgx.flows.probe import probe
from hgx.flows.sight import sight_of
from hgx.sensors.nvml_probe import probe_cards
from hgx.units import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS = 11


def at_once() -> None:
    """Find all devices as ``hgx discover`` does, without measuring any."""
    find_local("here", sight_of(), datetime.now(UTC))


def in_turn() -> None:
    """Ask the same questions one after the other."""
    probe_cards()
    for backend in backends():
        if backend.absent() is None:
            probe(backend.name)


def seconds(work: Callable[[], None]) -> float:
    """Time one run."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print medians of pairs of runs."""
    asked = [backend.name for backend in backends() if backend.absent() is None]
    pairs = [(seconds(at_once), seconds(in_turn)) for _ in range(REPEATS)]
    together, apart = (median(column) for column in zip(*pairs, strict=True))
    print(f"asked: nvml, {', '.join(asked)} (median of {REPEATS} pairs)")
    print(f"all at once          {format_seconds(together):>8}    (target: under 1 s)")
    print(f"one after the other  {format_seconds(apart):>8}")


if __name__ == "__main__":
    main()
