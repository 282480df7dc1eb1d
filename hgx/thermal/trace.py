"""A trace: temperature and power of a device over time, as CSV with units in the column names.

    time_s,temperature_c,power_w,clock_hz,activity,precision,batch
    0,41,18.2,,idle,,
    0.5,41,212.7,1.98e9,decode,Q4_K,8

The first three columns must be there, in any order; others are passed over. An empty cell is what
nobody knows.
"""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.errors import StorageError
from hgx.thermal.activity import Activity, parse_activity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

REQUIRED: Final = ("time_s", "temperature_c", "power_w")
COLUMNS: Final = (*REQUIRED, "clock_hz", "activity", "precision", "batch")
"""In the order they are written."""

_MOST_ROWS: Final = 1_000_000
_NUMBERS: Final = (*REQUIRED, "clock_hz")


class Trace(NamedTuple):
    """Readings in the order they were taken, as they were: nothing is mended here.

    Attributes:
        time_s: Since whenever; shape ``(n,)`` as of all.
        temperature_c: NaN where unknown.
        power_w: NaN where unknown.
        clock_hz: NaN where unknown.
        activities: What the device did; null where nobody said.
    """

    time_s: Floats
    temperature_c: Floats
    power_w: Floats
    clock_hz: Floats
    activities: tuple[Activity | None, ...]

    def part(self, begin: int, end: int) -> Trace:
        """Return the readings from one index to before another."""
        where = slice(begin, end)
        return Trace(
            self.time_s[where],
            self.temperature_c[where],
            self.power_w[where],
            self.clock_hz[where],
            self.activities[where],
        )


def make_trace(
    time_s: Floats,
    temperature_c: Floats,
    power_w: Floats,
    clock_hz: Floats | None = None,
    activities: tuple[Activity | None, ...] | None = None,
) -> Trace:
    """Put a trace together from columns of equal length; what is left out is unknown."""
    unknown = np.full(len(time_s), np.nan)
    return Trace(
        time_s,
        temperature_c,
        power_w,
        unknown if clock_hz is None else clock_hz,
        (None,) * len(time_s) if activities is None else activities,
    )


def parse_trace(text: str, name: str) -> Trace:
    """Read a trace.

    Args:
        text: The whole file.
        name: What to call it in errors.

    Raises:
        StorageError: A column is missing, or a line is not what it should be; says which.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    numbers: list[list[float]] = []
    activities: list[Activity | None] = []
    try:
        head = [cell.strip() for cell in next(rows, list[str]())]
        _check_head(head, name)
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            where = f"{name}, line {rows.line_num}"
            cells = _cells(head, row, where)
            numbers.append([_number(cells, column, where) for column in _NUMBERS])
            activities.append(_activity(cells, where))
            if len(numbers) > _MOST_ROWS:
                msg = f"{name} has more than {_MOST_ROWS:,} readings: split it"
                raise StorageError(msg)
    except csv.Error as error:
        msg = f"{name}, line {rows.line_num}: not CSV ({error}): correct the line"
        raise StorageError(msg) from error
    time, temperature, power, clock = np.array(numbers).reshape(-1, len(_NUMBERS)).T
    return Trace(time, temperature, power, clock, tuple(activities))


def _check_head(head: list[str], name: str) -> None:
    missing = [column for column in REQUIRED if column not in head]
    twice = [column for column in COLUMNS if head.count(column) > 1]
    if missing:
        msg = f"{name} has no column {missing[0]}: a trace's first line names time_s, temperature_c"
        raise StorageError(msg + " and power_w, as `hgx thermal record` writes them")
    if twice:
        msg = f"{name} has the column {twice[0]} more than once: leave one"
        raise StorageError(msg)


def _cells(head: list[str], row: list[str], where: str) -> dict[str, str]:
    if len(row) != len(head):
        msg = f"{where}: {len(row)} cells under {len(head)} columns: correct the line"
        raise StorageError(msg)
    return {column: cell.strip() for column, cell in zip(head, row, strict=True)}


def _number(cells: Mapping[str, str], column: str, where: str) -> float:
    """Read a number; NaN where the cell is empty, which the time must not be."""
    text = cells.get(column, "")
    if not text and column != "time_s":
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        cure = "correct the line" if column == "time_s" else "correct it or leave the cell empty"
        msg = f"{where}: {column} is {text!r}, not a number: {cure}"
        raise StorageError(msg)
    return value


def _activity(cells: Mapping[str, str], where: str) -> Activity | None:
    text = cells.get("activity", "")
    if not text:
        return None
    try:
        return parse_activity(f"{text}:{cells.get('precision', '')}:{cells.get('batch', '')}")
    except ValueError as error:
        msg = f"{where}: {error}"
        raise StorageError(msg) from error


def trace_text(trace: Trace) -> str:
    """Write a trace so that reading it gives the same; columns of which nothing is known go."""
    out = io.StringIO(newline="")
    known = [column for column in COLUMNS if column in REQUIRED or _said(trace, column)]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(known)
    for cells in _rows(trace):
        writer.writerow([cells[column] for column in known])
    return out.getvalue()


def _said(trace: Trace, column: str) -> bool:
    if column == "clock_hz":
        return not np.isnan(trace.clock_hz).all()
    told = [activity for activity in trace.activities if activity is not None]
    return any(column == "activity" or getattr(one, column) is not None for one in told)


def _rows(trace: Trace) -> Iterator[dict[str, str]]:
    numbers = np.stack(trace[:4], axis=1).tolist()
    for values, activity in zip(numbers, trace.activities, strict=True):
        cells: dict[str, str] = dict(zip(_NUMBERS, map(_written, values), strict=True))
        cells |= dict.fromkeys(("activity", "precision", "batch"), "")
        if activity is not None:
            batch = "" if activity.batch is None else str(activity.batch)
            cells |= {"activity": activity.kind, "precision": activity.precision or ""}
            cells["batch"] = batch
        yield cells


def _written(value: float) -> str:
    """Write a number as short as reads back the same."""
    if math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
