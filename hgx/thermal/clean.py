"""What of a trace can be relied on: pieces without gaps, and what was wrong with the rest."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hgx.thermal.drift import POSSIBLE_C, POSSIBLE_W

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgx.thermal.trace import Trace

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

MOST_PIECES: Final = 4
"""Each has a state of its own to begin with; of more, the longest count."""

LEAST_READINGS: Final = 10

GAP_S: Final = 10.0
GAP_STEPS: Final = 5.0
"""Longer than both, in seconds and in usual steps, nobody knows what was drawn meanwhile."""

JUMP_K: Final = 10.0
_WINDOW: Final = 5
"""A reading so far from the median of five around it is a jump; rises and falls are not, however
steep."""

STUCK_S: Final = 30.0
STUCK_POWER: Final = 0.4
"""Who stays at one temperature so long, while the power changes by this part of all its changes,
has a sensor that is stuck."""


class Piece(NamedTuple):
    """Readings without a gap, with every power known; temperatures are NaN where unknown."""

    time_s: Floats
    temperature_c: Floats
    power_w: Floats

    @property
    def duration_s(self) -> float:
        """From the first reading to the last."""
        return float(self.time_s[-1] - self.time_s[0])


def clean(trace: Trace) -> tuple[tuple[Piece, ...], tuple[str, ...]]:
    """Take from a trace what can be relied on.

    Readings that cannot be, jumps and stuck ones become unknown. Where the clock goes back, or
    power is not known for long, one piece ends and another begins.

    Returns:
        The longest pieces in order of time, none where nothing is left, and what was wrong.
    """
    notes: list[str] = []
    power = _within(trace.power_w, POSSIBLE_W, "power", notes)
    known = np.isfinite(power)
    time, power = trace.time_s[known], power[known]
    temperature = _within(trace.temperature_c[known], POSSIBLE_C, "temperature", notes)
    pieces = [
        piece
        for piece in _pieces(Piece(time, temperature, power), notes)
        if np.isfinite(piece.temperature_c).sum() >= LEAST_READINGS
    ]
    pieces = [_without_jumps(_without_stuck(piece, notes), notes) for piece in pieces]
    pieces = [one for one in pieces if np.isfinite(one.temperature_c).sum() >= LEAST_READINGS]
    if len(pieces) > MOST_PIECES:
        notes.append(f"of {len(pieces)} pieces between gaps only the {MOST_PIECES} longest count")
        longest = sorted(pieces, key=lambda piece: -piece.duration_s)[:MOST_PIECES]
        pieces = [piece for piece in pieces if any(piece is one for one in longest)]
    return tuple(pieces), tuple(dict.fromkeys(notes))


def _within(values: Floats, bounds: tuple[float, float], what: str, notes: list[str]) -> Floats:
    """Make unknown what cannot be."""
    low, high = bounds
    wrong = np.isfinite(values) & ((values < low) | (values > high))
    missing = int((~np.isfinite(values)).sum())
    if missing:
        notes.append(f"{_many(missing, 'reading')} without {what}")
    if wrong.any():
        notes.append(f"{_many(int(wrong.sum()), 'reading')} of {what} that cannot be")
    return np.where(wrong, np.nan, values)


def _pieces(whole: Piece, notes: list[str]) -> list[Piece]:
    """Split where the clock steps back or stands long; leave out a second reading at one time."""
    twice = np.diff(whole.time_s, prepend=np.nan) == 0
    whole = Piece(*(column[~twice] for column in whole))
    steps = np.diff(whole.time_s)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    back, gap = steps < 0, steps > max(GAP_S, GAP_STEPS * usual)
    if back.any():
        notes.append(f"the clock went back {_many(int(back.sum()), 'time')}")
    if gap.any():
        notes.append(f"{_many(int(gap.sum()), 'gap')}, the longest of {steps.max():.0f} s")
    ends = [0, *(np.flatnonzero(back | gap) + 1).tolist(), len(whole.time_s)]
    return [Piece(*(column[begin:end] for column in whole)) for begin, end in pairwise(ends)]


def _without_jumps(piece: Piece, notes: list[str]) -> Piece:
    known = np.flatnonzero(np.isfinite(piece.temperature_c))
    values = piece.temperature_c[known]
    around = np.pad(values, _WINDOW // 2, mode="edge")
    middle = np.median(sliding_window_view(around, _WINDOW), axis=1)
    jumped = known[np.abs(values - middle) > JUMP_K]
    if not len(jumped):
        return piece
    notes.append(f"{_many(len(jumped), 'jump')} of temperature")
    return _unknown_at(piece, jumped)


def _without_stuck(piece: Piece, notes: list[str]) -> Piece:
    """Make unknown what stays the same for long while the power goes far and stays there."""
    known = np.flatnonzero(np.isfinite(piece.temperature_c))
    values = piece.temperature_c[known]
    swing = float(np.ptp(piece.power_w))
    changes = np.flatnonzero(np.diff(values)) + 1
    stuck: list[NDArray[np.intp]] = []
    for run in np.split(known, changes):
        if len(run) < 3 or piece.time_s[run[-1]] - piece.time_s[run[0]] < STUCK_S:
            continue
        power = piece.power_w[run[0] : run[-1] + 1]
        thirds = [float(part.mean()) for part in np.array_split(power, 3)]
        if swing > 0 and max(thirds) - min(thirds) > STUCK_POWER * swing:
            stuck.append(run[1:])
    if not stuck:
        return piece
    notes.append(f"the temperature is stuck for {sum(map(len, stuck))} readings")
    return _unknown_at(piece, np.concatenate(stuck))


def _unknown_at(piece: Piece, where: NDArray[np.intp]) -> Piece:
    temperature = piece.temperature_c.copy()
    temperature[where] = np.nan
    return piece._replace(temperature_c=temperature)


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
