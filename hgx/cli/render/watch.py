"""The live table of ``hgx discover --watch``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from hgx.cli.render.console import plain
from hgx.cli.render.devices import Column, DeviceTable
from hgx.cli.render.live import show_live
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from hgx.core.reading import Battery, Reading
    from hgx.flows.watch import Row, Snapshot

_HOT_SHARE = 0.95
"""Part of the temperature at which a device slows down, from which it is shown in red."""

_COLUMNS = (
    Column("DEVICE", words=True),
    *(Column(heading) for heading in ("LOAD", "MEMORY", "TEMP", "POWER", "CLOCK")),
    Column("THROTTLED", words=True),
)
_NOTE = Column("NOTE", words=True)


def show(snapshots: Iterable[Snapshot], *, as_json: bool) -> None:
    """Show each snapshot: in place of the last on a terminal, below it elsewhere.

    Args:
        snapshots: As they come.
        as_json: Whether to print a line of JSON for each instead.
    """
    show_live(snapshots, picture, _as_json if as_json else None)


def picture(snapshot: Snapshot) -> RenderableType:
    """Lay out a snapshot: a line per device, the battery, and who did not answer."""
    noted = any(row.note for row in snapshot.rows)
    columns = (*_COLUMNS, _NOTE) if noted else _COLUMNS
    table = DeviceTable(columns, [_cells(row)[: len(columns)] for row in snapshot.rows])
    lines = [plain(note) for note in snapshot.notes]
    if snapshot.battery:
        lines.append(battery_words(snapshot.battery))
    lines.append(f"{snapshot.at.astimezone():%H:%M:%S}")
    return Group(table, *(Text(line, style="dim") for line in lines))


def _cells(row: Row) -> tuple[Text, ...]:
    reading = row.reading
    return (
        Text(plain(row.device)),
        Text("-" if reading.utilisation is None else f"{reading.utilisation:.0%}"),
        Text(_memory(reading)),
        Text(_temperature(reading), style="bold red" if _hot(reading) else ""),
        Text(_power(reading)),
        Text("-" if reading.clock_hz is None else f"{reading.clock_hz / 1e9:.2f} GHz"),
        Text(_throttles(reading), style="yellow" if reading.throttles else ""),
        Text(plain(row.note)),
    )


def _memory(reading: Reading) -> str:
    total, used, free = (
        reading.memory_total_bytes,
        reading.memory_used_bytes,
        reading.memory_free_bytes,
    )
    if used is None and total is not None and free is not None:
        used = total - free
    if used is None or total is None or used < 0:  # more free than there is: nothing is known
        return "-"
    return f"{format_bytes(used)} / {format_bytes(total)}"


def _temperature(reading: Reading) -> str:
    if reading.temperature_c is None:
        return "-"
    limit = "" if reading.slowdown_c is None else f" / {reading.slowdown_c:.0f}"
    return f"{reading.temperature_c:.0f}{limit} °C"


def _hot(reading: Reading) -> bool:
    if reading.temperature_c is None or reading.slowdown_c is None:
        return False
    return reading.temperature_c >= _HOT_SHARE * reading.slowdown_c


def _power(reading: Reading) -> str:
    if reading.power_w is None:
        return "-"
    average = "~" if reading.power_kind == "average" else ""
    limit = "" if reading.power_limit_w is None else f" / {reading.power_limit_w:.0f}"
    return f"{average}{reading.power_w:.1f}{limit} W"


def _throttles(reading: Reading) -> str:
    if reading.throttles is None:
        return "-"
    return plain(", ".join(reading.throttles)) or "no"


def battery_words(battery: Battery) -> str:
    """Say how full a battery is, and what it does."""
    charge = "?" if battery.charge is None else f"{battery.charge:.0%}"
    doing = {True: ", charging", False: "", None: ""}[battery.charging]
    source = {True: ", on mains", False: ", on battery", None: ""}[battery.plugged]
    power = "" if battery.power_w is None else f", {battery.power_w:.1f} W"
    return f"battery {charge}{doing}{source}{power}"


def _as_json(snapshot: Snapshot) -> str:
    found = {
        "at": snapshot.at.isoformat(timespec="milliseconds"),
        "devices": [
            {
                "id": row.device,
                "name": row.name,
                "note": row.note,
                "reading": row.reading.model_dump(mode="json", exclude_none=True),
            }
            for row in snapshot.rows
        ],
        "battery": snapshot.battery and snapshot.battery.model_dump(mode="json", exclude_none=True),
        "notes": snapshot.notes,
    }
    return json.dumps(found)
