"""A trace of this machine's sensors."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.core.reading import Reading
from hgx.errors import Unavailable
from hgx.node.changes import Thresholds
from hgx.node.readings import Telemetry
from hgx.store.atomic import storage_error
from hgx.thermal.trace import make_trace, trace_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hgx.core.registry import Device
    from hgx.thermal.activity import Activity
    from hgx.thermal.trace import Trace

_FIRST_S = 10.0
_TRIES = 5
_ROUNDING_S = 1e-6


class Wanted(NamedTuple):
    """What to record.

    Attributes:
        device: Of this machine.
        interval_s: Seconds between readings.
        duration_s: For how long; until an interrupt where null.
        activity: What the device does meanwhile; null where nobody says.
    """

    device: Device
    interval_s: float = 1.0
    duration_s: float | None = None
    activity: Activity | None = None


def record(
    wanted: Wanted,
    show: Callable[[float, Reading], object],
    clock: Callable[[], float] = time.monotonic,
) -> Trace:
    """Record until the time is over, or an interrupt comes: then what there is so far is returned.

    Args:
        wanted: What to record.
        show: Told of every reading, with the seconds since the first.
        clock: Returns seconds; it never steps, so that the trace's times do not either.

    Raises:
        Unavailable: Nothing tells the device's temperature; or it ended before any reading.
    """
    rows: list[tuple[float, Reading]] = []
    node, _, name = wanted.device.id.partition("/")
    every = Thresholds().scaled(0)
    with Telemetry(node, interval_s=wanted.interval_s, thresholds=every) as telemetry:
        telemetry.wait_for_first(_FIRST_S)
        try:
            for seconds in _ticks(wanted, clock):
                reading = telemetry.readings().get(name, Reading())
                rows.append((seconds, reading))
                show(seconds, reading)
                if len(rows) == _TRIES and all(_cold(row) for _, row in rows):
                    break
        except KeyboardInterrupt:
            pass  # what there is so far is the trace
    if all(_cold(reading) for _, reading in rows):
        raise Unavailable(
            f"no temperature of {wanted.device.id} can be read",
            "see `hgx doctor`, or choose another device with --device",
        )
    return _trace(rows, wanted.activity)


def write_trace(path: Path, trace: Trace) -> None:
    """Write a trace as CSV.

    Raises:
        StorageError: The place is not writable, or the disk is full.
    """
    try:
        path.write_text(trace_text(trace), encoding="utf-8", newline="")
    except OSError as error:
        raise storage_error("write", path, error) from error


def _ticks(wanted: Wanted, clock: Callable[[], float]) -> Iterator[float]:
    """Give the seconds since the first reading, at every interval."""
    began_s = clock()
    for number in count(1):
        yield clock() - began_s
        next_s = number * wanted.interval_s
        if wanted.duration_s is not None and next_s > wanted.duration_s + _ROUNDING_S:
            return
        time.sleep(max(0.0, next_s - (clock() - began_s)))


def _cold(reading: Reading) -> bool:
    return reading.temperature_c is None


def _trace(rows: list[tuple[float, Reading]], activity: Activity | None) -> Trace:
    def column(field: str) -> np.ndarray:
        values = [getattr(reading, field) for _, reading in rows]
        return np.array([np.nan if value is None else value for value in values], float)

    return make_trace(
        np.round([seconds for seconds, _ in rows], 3),
        column("temperature_c"),
        column("power_w"),
        column("clock_hz"),
        (activity,) * len(rows),
    )
