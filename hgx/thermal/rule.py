"""A rule of thumb for devices whose heat was never fitted: a model made anew at every look.

Where a device ends up is told by how warm it is and how fast it gets warmer: ``SLOPE_S`` more
seconds of that. What it drew meanwhile counts as 1 while it worked and as ``IDLE`` while it did
not, and all of its warmth above ``AMBIENT_C`` as made by that. Both are rather careful: in a cooler
room, and with less power at rest, pauses cool more than is forecast. It errs a lot, as it knows
little, but every look corrects it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from hgx.core.thermal import ThermalParameters, ThermalStage
from hgx.thermal.drift import LONGEST_GAP_S, Seen, Track, begin
from hgx.thermal.means import Possible, Way

IDLE: Final = 0.3
"""Power at rest, as a part of that of full work."""

AMBIENT_C: Final = 35.0
SLOPE_S: Final = 30.0

WINDOW_S: Final = 20.0
"""Slopes and work are means of so long."""

LEAST_RISE_K: Final = 5.0

STUCK_S: Final = 120.0
STUCK_SHARE: Final = 0.4
"""A reading is stuck that has not changed for so long, while work changed by so much of full."""

FALL_K: Final = 15.0
FALL_S: Final = 6.0
"""A fall by so much at once is believed when it has lasted so long."""


class Rule:
    """Follows one device; it has no clock of its own."""

    def __init__(self) -> None:
        self._seen: deque[Seen] = deque()
        self._same: deque[Seen] = deque()
        self._fell_s: float | None = None
        self._track: Track | None = None

    def observe(self, seen: Seen) -> tuple[ThermalParameters, Track]:
        """Take readings into account.

        Args:
            seen: Its power is 1 for full work and ``IDLE`` for none.

        Returns:
            A model for the next minute or two, and where the device stands in it.
        """
        before = self._track
        if before and not 0 <= seen.time_s - before.time_s <= LONGEST_GAP_S:
            self._seen.clear()
            self._same.clear()
            before = None
        doubt = self._doubt(seen)
        believed = seen._replace(temperature_c=None) if doubt else seen
        track = begin(self._parameters(), believed)
        if track.unknown:
            track = track._replace(doubts=(doubt,) if doubt else track.doubts)
            if before:
                track = track._replace(
                    rise_k=before.rise_k,
                    temperature_c=before.temperature_c,
                    believed_s=before.believed_s,
                )
        else:
            self._seen.append(seen)
            track = begin(self._parameters(), seen)
        self._track = track
        return self._parameters(), track

    def _doubt(self, seen: Seen) -> str | None:
        """Say why a reading is not believed beside those before it; null where it is."""
        reading_c = seen.temperature_c
        if self._same and self._same[-1].temperature_c != reading_c:
            self._same.clear()
        self._same.append(seen)
        while self._same[-1].time_s - self._same[0].time_s > STUCK_S:
            self._same.popleft()
        if reading_c is None:
            return None
        if _stuck(self._same):
            return f"the temperature stays at {reading_c:.6g} °C: the sensor is stuck"
        last = self._seen[-1].temperature_c if self._seen else None
        if last is None or reading_c >= last - FALL_K:
            self._fell_s = None
            return None
        self._fell_s = seen.time_s if self._fell_s is None else self._fell_s
        if seen.time_s - self._fell_s >= FALL_S:
            return None
        return f"{reading_c:.6g} °C is {last - reading_c:.0f} K cooler all at once"

    def _parameters(self) -> ThermalParameters:
        while self._seen and self._seen[-1].time_s - self._seen[0].time_s > WINDOW_S:
            self._seen.popleft()
        warm = [seen.temperature_c for seen in self._seen if seen.temperature_c is not None]
        work = [seen.power_w for seen in self._seen if seen.power_w is not None]
        end_k = LEAST_RISE_K
        if warm:
            passed_s = self._seen[-1].time_s - self._seen[0].time_s
            slope = (warm[-1] - warm[0]) / passed_s if passed_s > 0 else 0.0
            end_k = max(end_k, warm[-1] - AMBIENT_C + SLOPE_S * max(0.0, slope))
        mean = sum(work) / len(work) if work else 1.0
        return ThermalParameters(
            stages=(ThermalStage(resistance_k_per_w=end_k / max(mean, IDLE), tau_s=SLOPE_S),),
            ambient_c=AMBIENT_C,
            rmse_c=0.0,
            highest_power_w=1.0,
            samples=max(1, len(warm)),
            duration_s=WINDOW_S,
            source="a rule of thumb",
        )


def usual_ways(slots: int) -> Possible:
    """Return what can be done about a device of which nothing is known: slots and pauses.

    Args:
        slots: Conversations at a time.
    """
    ways = tuple(
        Way("slots", slots_words(count), IDLE + (1 - IDLE) * count / slots, count / slots, count)
        for count in range(slots, 0, -1)
    )
    return Possible(ways, IDLE)


def slots_words(count: int) -> str:
    """Say how many conversations there are at a time."""
    return "one conversation at a time" if count == 1 else f"{count} conversations at a time"


def _stuck(same: deque[Seen]) -> bool:
    """Tell whether work changed much, for long, while a reading did not change at all."""
    if len(same) < 4 or same[-1].time_s - same[0].time_s < STUCK_S * 0.9:
        return False
    powers = [seen.power_w for seen in same if seen.power_w is not None]
    half = len(powers) // 2
    first, second = sum(powers[:half]) / half, sum(powers[half:]) / (len(powers) - half)
    return abs(first - second) > STUCK_SHARE
