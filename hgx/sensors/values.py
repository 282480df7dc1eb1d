"""Text of sensors into numbers, and numbers into readings; what is not plausible is unknown."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, cast

from hgx.core.reading import Battery, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hgx.sensors.source import Source

# Firmware that has no sensor says -274 °C, and eight bits without a sensor 127, 127.5 or 128.
_TEMPERATURE_C = (-40.0, 126.0)
# A limit is where something happens: a limit of 0 °C is a field that nobody filled in.
_LIMIT_C = (30.0, 126.0)
_MEMORY_BYTES = (0.0, 2.0**50)
_POWER_W = (0.0, 10_000.0)
_CLOCK_HZ = (1e6, 2e10)
_RANGES = {
    "temperature_c": _TEMPERATURE_C,
    "slowdown_c": _LIMIT_C,
    "shutdown_c": _LIMIT_C,
    "power_w": _POWER_W,
    "power_limit_w": (0.1, 10_000.0),
    "clock_hz": _CLOCK_HZ,
    "memory_clock_hz": _CLOCK_HZ,
    "utilisation": (0.0, 1.0),
    "memory_total_bytes": (1.0, 2.0**50),
    "memory_used_bytes": _MEMORY_BYTES,
    "memory_free_bytes": _MEMORY_BYTES,
    "charge": (0.0, 1.0),
    "full_wh": (1.0, 1000.0),
}
_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(\.[0-9]{1,30})?")


def number(value: object) -> float | None:
    """Return a finite number, written out or as it is; null for all else, truth values included."""
    if isinstance(value, str):
        text = value.strip()
        return float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None  # an integer of hundreds of digits


def scaled(value: object, scale: float) -> float | None:
    """Return a number times a scale; null where it is none."""
    found = number(value)
    return None if found is None else found * scale


def plausible(name: str, value: object) -> float | None:
    """Return a number if it can be what its name says; see the fields of ``Reading``.

    It is rounded to a millionth, which is finer than any sensor, so that 41.5 % are 0.415.
    """
    found = number(value)
    low, high = _RANGES[name]
    return round(found, 6) if found is not None and low <= found <= high else None


def read_number(source: Source, path: str, scale: float = 1.0) -> float | None:
    """Read a file that holds one number, and return it times a scale."""
    return scaled(source.read(path), scale)


def read_word(source: Source, path: str) -> str:
    """Read a file that holds a name; empty where there is none."""
    return (source.read(path) or "").strip()


def highest(name: str, values: Iterable[object]) -> float | None:
    """Return the highest of the plausible values."""
    return max(
        (v for v in (plausible(name, value) for value in values) if v is not None), default=None
    )


def lowest(name: str, values: Iterable[object]) -> float | None:
    """Return the lowest of the plausible values."""
    return min(
        (v for v in (plausible(name, value) for value in values) if v is not None), default=None
    )


def reading(
    *,
    throttles: tuple[str, ...] | None = None,
    power_kind: object = None,
    **values: object,
) -> Reading:
    """Make a reading of numbers; those that are not plausible are left out.

    Args:
        throttles: As in ``Reading``.
        power_kind: As in ``Reading``; kept only where there is a power.
        values: The other fields of ``Reading``.
    """
    fields: dict[str, object] = {}
    for name, value in values.items():
        found = plausible(name, value)
        fields[name] = int(found) if found is not None and name.endswith("_bytes") else found
    if fields.get("power_w") is not None and power_kind in ("instant", "average"):
        fields["power_kind"] = power_kind
    return Reading.model_validate(fields | {"throttles": throttles})


def battery(
    *,
    charge: object = None,
    charging: bool | None = None,
    plugged: bool | None = None,
    power_w: object = None,
    temperature_c: object = None,
    full_wh: object = None,
) -> Battery:
    """Make a battery's reading of numbers; those that are not plausible are left out."""
    return Battery(
        charge=plausible("charge", charge),
        charging=charging,
        plugged=plugged,
        power_w=plausible("power_w", power_w),
        temperature_c=plausible("temperature_c", temperature_c),
        full_wh=plausible("full_wh", full_wh),
    )


def mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object as a mapping; an empty one for all else."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def mappings(value: object) -> tuple[Mapping[str, object], ...]:
    """Return the objects of a JSON list."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(mapping(item) for item in items)
