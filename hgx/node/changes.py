"""Whether a reading differs enough from another to be worth telling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgx.core.base import Strict
    from hgx.core.reading import Battery, Reading


@dataclass(frozen=True)
class Thresholds:
    """Differences that count, from these on. Whatever else differs counts always.

    Attributes:
        temperature_c: Of a device and of a battery's cells, in °C.
        power: Share of the device's limit; of the larger power where the limit is unknown.
        clock: Share of the faster of both clocks.
        utilisation: Difference of both shares.
        memory: Share of all memory; of the larger size where that is unknown.
        charge: Of a battery, difference of both shares; and share of its energy when full.
    """

    temperature_c: float = 1.0
    power: float = 0.05
    clock: float = 0.05
    utilisation: float = 0.05
    memory: float = 0.01
    charge: float = 0.01

    def scaled(self, factor: float) -> Thresholds:
        """Return thresholds so many times as large; with 0, every difference counts."""
        return Thresholds(**{name: size * factor for name, size in vars(self).items()})


class _Step(NamedTuple):
    """A difference that counts: absolute, or a share of something."""

    size: float
    is_share: bool = False
    whole: float | None = None  # what a share is of; the larger value where null


def readings_differ(sent: Reading, now: Reading, thresholds: Thresholds) -> bool:
    """Tell whether a device's reading differs by a threshold or more; to or from null counts."""
    clock = _Step(thresholds.clock, is_share=True)
    memory = _Step(thresholds.memory, is_share=True, whole=now.memory_total_bytes)
    steps = {
        "temperature_c": _Step(thresholds.temperature_c),
        "power_w": _Step(thresholds.power, is_share=True, whole=now.power_limit_w),
        "clock_hz": clock,
        "memory_clock_hz": clock,
        "utilisation": _Step(thresholds.utilisation),
        "memory_used_bytes": memory,
        "memory_free_bytes": memory,
    }
    return _differ(sent, now, steps)


def batteries_differ(sent: Battery | None, now: Battery | None, thresholds: Thresholds) -> bool:
    """Tell whether a battery differs by a threshold or more; another power source counts."""
    if sent is None or now is None:
        return sent is not now
    steps = {
        "charge": _Step(thresholds.charge),
        "power_w": _Step(thresholds.power, is_share=True),
        "temperature_c": _Step(thresholds.temperature_c),
        "full_wh": _Step(thresholds.charge, is_share=True),
    }
    return _differ(sent, now, steps)


def _differ(sent: Strict, now: Strict, steps: Mapping[str, _Step]) -> bool:
    before, after = dict(sent), dict(now)
    return any(
        before[field] != value
        and (field not in steps or _is_far(before[field], value, steps[field]))
        for field, value in after.items()
    )


def _is_far(before: float | None, after: float | None, step: _Step) -> bool:
    if before is None or after is None:
        return True
    whole = max(abs(before), abs(after)) if step.whole is None else step.whole
    return abs(after - before) >= step.size * (whole if step.is_share else 1)
