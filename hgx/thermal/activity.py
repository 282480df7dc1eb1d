"""What a device draws while it does something: learnt from traces, looked up for plans."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, cast, get_args

import numpy as np

from hgx.core.thermal import MOST_POWERS, ActivityKind, ActivityPower

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgx.core.thermal import ThermalParameters
    from hgx.thermal.trace import Trace

SETTLING_S: Final = 2.0
"""After a change of activity: sensors of power show averages of up to a second."""

LEAST_SAMPLES: Final = 5
"""Of fewer readings nothing is learnt."""

_SCATTER_OF_MEDIAN: Final = 1.4826
_KINDS: Final[tuple[ActivityKind, ...]] = get_args(ActivityKind)


class Activity(NamedTuple):
    """What a device does.

    Attributes:
        kind: Waiting, reading a prompt, or writing an answer.
        precision: Quantisation type of the weights, as ``Q4_K``; null where not known.
        batch: Sequences or tokens that are computed at a time; null where not known.
    """

    kind: ActivityKind
    precision: str | None = None
    batch: int | None = None

    def __str__(self) -> str:
        """As people write it: ``decode``, ``decode:Q4_K`` or ``decode:Q4_K:8``."""
        parts = [self.kind, self.precision or "", "" if self.batch is None else str(self.batch)]
        return ":".join(parts).rstrip(":")


IDLE: Final = Activity("idle")


class Power(NamedTuple):
    """What a device is expected to draw.

    Attributes:
        power_w: The mean.
        scatter_w: Its standard deviation.
        doubt: Why it may be another, in words; null where that very activity was measured.
    """

    power_w: float
    scatter_w: float = 0.0
    doubt: str | None = None


def parse_activity(text: str) -> Activity:
    """Read ``KIND[:PRECISION[:BATCH]]``, as ``decode:Q4_K:8`` or ``decode::8``.

    Raises:
        ValueError: It is none; the message says what one looks like.
    """
    kind, _, rest = text.strip().partition(":")
    precision, _, batch = rest.partition(":")
    known = kind in _KINDS and (not batch or (batch.isdecimal() and 0 < int(batch) < 10**6))
    if not known or any(mark.isspace() or not mark.isprintable() for mark in precision):
        msg = f"{text!r} is not an activity: write idle, prefill or decode, and where it matters "
        raise ValueError(msg + "the weights' type and the batch, such as decode:Q4_K:8")
    return Activity(cast("ActivityKind", kind), precision or None, int(batch) if batch else None)


def learn_powers(trace: Trace) -> tuple[ActivityPower, ...]:
    """Learn what each activity of a trace draws, by precision and batch as they are told.

    Readings of the first two seconds after a change do not count. Where an activity never lasted
    that long, or gave too few readings, nothing is learnt of it.

    Args:
        trace: With activities; without them there is nothing to learn.
    """
    readings: dict[Activity, list[float]] = defaultdict(list)
    for activity, power_w in _settled(trace):
        if math.isfinite(power_w) and power_w >= 0:
            readings[activity].append(power_w)
    return tuple(
        _learnt(activity, np.array(found))
        for activity, found in sorted(readings.items(), key=lambda one: str(one[0]))
        if len(found) >= LEAST_SAMPLES
    )


def _settled(trace: Trace) -> Iterator[tuple[Activity, float]]:
    """Give the activity and power of readings that are long enough after a change."""
    before: Activity | None = None
    since_s = math.inf
    for at, activity in enumerate(trace.activities):
        time_s = float(trace.time_s[at])
        if activity != before or time_s < since_s:
            before, since_s = activity, time_s
        if activity is not None and time_s - since_s >= SETTLING_S:
            yield activity, float(trace.power_w[at])


def _learnt(activity: Activity, found: np.ndarray) -> ActivityPower:
    middle = float(np.median(found))
    scatter = _SCATTER_OF_MEDIAN * float(np.median(np.abs(found - middle)))
    return ActivityPower(
        kind=activity.kind,
        precision=activity.precision,
        batch=activity.batch,
        power_w=round(middle, 3),
        scatter_w=round(scatter, 3),
        samples=len(found),
    )


def with_powers(
    parameters: ThermalParameters, powers: Iterable[ActivityPower]
) -> ThermalParameters:
    """Add what activities draw to what is known; of the same activity the newer counts.

    Args:
        parameters: What was learnt of a device.
        powers: What was learnt besides, of the same one.
    """
    known = {(one.kind, one.precision, one.batch): one for one in parameters.powers}
    known |= {(one.kind, one.precision, one.batch): one for one in powers}
    kept = tuple(known.values())[-MOST_POWERS:]
    most_w = max([parameters.highest_power_w, *(one.power_w for one in kept)])
    return parameters.model_copy(update={"powers": kept, "highest_power_w": most_w})


def power_of(parameters: ThermalParameters, activity: Activity) -> Power:
    """Look up what an activity draws; where it was not measured, rather too much than too little.

    Of the same kind and precision the nearest batch that is not smaller is taken, as power rises
    with it; else the most of that kind, else the most that was ever seen.

    Args:
        parameters: What was learnt of the device.
        activity: What it is to do.
    """
    alike = [one for one in parameters.powers if one.kind == activity.kind]
    same = [one for one in alike if one.precision == activity.precision]
    for one in same:
        if one.batch == activity.batch:
            return Power(one.power_w, one.scatter_w)
    if activity.batch is not None:
        larger = [one for one in same if one.batch is not None and one.batch > activity.batch]
        if larger:
            nearest = min(larger, key=lambda one: one.batch or 0)
            return _instead(activity, nearest)
    if alike:
        return _instead(activity, _most(same or alike))
    doubt = f"{activity} was never measured: taken to draw the most that was seen"
    return Power(parameters.highest_power_w, 0.0, doubt)


def _most(powers: Iterable[ActivityPower]) -> ActivityPower:
    return max(powers, key=lambda one: one.power_w)


def _instead(activity: Activity, other: ActivityPower) -> Power:
    measured = Activity(other.kind, other.precision, other.batch)
    doubt = f"{activity} was never measured: taken to draw what {measured} does"
    return Power(other.power_w, other.scatter_w, doubt)


def cycled(work: Power, idle: Power, duty: float) -> Power:
    """Return the mean power of working a share of the time.

    Args:
        work: While it works.
        idle: While it pauses.
        duty: Share of the time that it works, 0 to 1.
    """
    return Power(
        duty * work.power_w + (1 - duty) * idle.power_w,
        duty * work.scatter_w + (1 - duty) * idle.scatter_w,
        work.doubt or idle.doubt,
    )
