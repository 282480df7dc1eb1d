"""Temperatures, limits and when they would be reached, again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from hgx.flows.thermal_devices import known_devices
from hgx.flows.watch import snapshots
from hgx.thermal.activity import Power
from hgx.thermal.drift import Seen, begin, observe
from hgx.thermal.forecast import TimeToLimit, time_to_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from hgx.core.reading import Battery
    from hgx.core.registry import Device
    from hgx.flows.watch import Row
    from hgx.store.home import Home
    from hgx.thermal.drift import Track

HORIZON_S = 3600.0
"""A limit that is not reached within an hour is not reached."""

NOT_FITTED = "not fitted: hgx thermal record, then fit"


class Heat(NamedTuple):
    """One device at one moment.

    Attributes:
        row: Its reading.
        limit_c: Where it slows itself down; null where nothing says.
        to_limit: When it reaches that if it goes on to draw what it draws; null where its heat was
            not fitted, its limit or its temperature is not known.
        notes: What is doubtful, in words.
    """

    row: Row
    limit_c: float | None
    to_limit: TimeToLimit | None
    notes: tuple[str, ...]


class Look(NamedTuple):
    """All devices of this machine at one moment."""

    at: datetime
    devices: tuple[Heat, ...]
    battery: Battery | None


def looks(
    home: Home,
    interval_s: float,
    count: int | None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Look]:
    """Look again and again; ends with the count, or with whoever takes the looks.

    Args:
        home: Where the registry is.
        interval_s: Seconds between looks.
        count: How many; for ever where null.
        clock: Returns seconds; it never steps.

    Raises:
        HgxError: What ``snapshots`` raises.
    """
    devices: dict[str, Device] | None = None
    tracks: dict[str, Track] = {}
    for snapshot in snapshots(home, interval_s, count, None):
        if devices is None:  # the first snapshot has found them
            devices = {device.id: device for device in known_devices(home)}
        found = [_heat(row, devices.get(row.device), tracks, clock()) for row in snapshot.rows]
        yield Look(snapshot.at, tuple(found), snapshot.battery)


def _heat(row: Row, device: Device | None, tracks: dict[str, Track], now_s: float) -> Heat:
    reading = row.reading
    limits = (reading.slowdown_c, device.temperature_limit_c if device else None)
    limit_c = min((limit for limit in limits if limit is not None), default=None)
    notes = (row.note,) if row.note else ()
    parameters = device.thermal if device else None
    if parameters is None:
        known = reading.temperature_c is not None
        return Heat(row, limit_c, None, (*notes, NOT_FITTED if known else "temperature unknown"))
    seen = Seen(now_s, None if row.note else reading.temperature_c, reading.power_w)
    before = tracks.get(row.device)
    track = observe(parameters, before, seen) if before else begin(parameters, seen)
    tracks[row.device] = track
    to_limit = None
    if limit_c is not None and not track.unknown:
        to_limit = time_to_limit(parameters, track, Power(track.power_w), limit_c, HORIZON_S)
    return Heat(row, limit_c, to_limit, (*notes, *track.doubts))
