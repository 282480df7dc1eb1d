"""How far forecasts were off on readings that are known by now: the model's, and simple ones'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.thermal.clean import Piece
from hgx.thermal.drift import Seen, begin, observe
from hgx.thermal.rc import network_of, response, step, temperature_c
from hgx.thermal.search import drawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hgx.core.thermal import ThermalParameters
    from hgx.thermal.drift import Track

    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]

MOST_ROWS: Final = 5_000
"""The last readings that are followed: each takes a moment."""

_LATE_STEPS: Final = 3.0
"""A forecast is compared with the first reading after it, unless that is so many steps late."""


class Hindsight(NamedTuple):
    """Forecasts so far ahead, beside what came; all of shape ``(n,)``, in °C.

    Attributes:
        planned: By the model, with the power that was drawn meanwhile.
        power_stays: By the model, as if the power stayed as it was.
        stays: As if the temperature stayed as it was.
        came: What came.
    """

    planned: Floats
    power_stays: Floats
    stays: Floats
    came: Floats

    def rmse_c(self, forecast: Floats) -> float:
        """Return how far one of the forecasts was off, as a root mean square."""
        return float(np.sqrt(np.mean((forecast - self.came) ** 2)))


def look_back(
    parameters: ThermalParameters, piece: Piece, from_s: float, ahead_s: Sequence[float]
) -> list[Hindsight]:
    """Forecast from every reading since a time as it would have been done then.

    What stands at each reading follows from the readings before it alone (``drift``). Planned power
    is what the meter showed for that time, with its delay taken off.

    Args:
        parameters: The model.
        piece: Readings without gaps, in rising order.
        from_s: The first time to forecast from.
        ahead_s: How far; one result each.
    """
    piece = Piece(*(column[-MOST_ROWS:] for column in piece))
    network = network_of(parameters)
    tracks = list(_follow(parameters, piece))
    states = np.array([track.rise_k for track in tracks])
    bias = np.array([track.bias_c for track in tracks])
    power = drawn(piece.time_s, piece.power_w, parameters.power_late_s)
    driven = response(network.taus, piece.time_s, power) * network.resistances
    found: list[Hindsight] = []
    for seconds in ahead_s:
        origins, targets = _pairs(piece, from_s, seconds)
        passed = piece.time_s[targets] - piece.time_s[origins]
        decay = np.exp(-passed[:, None] / network.taus)
        planned = decay * (states[origins] - driven[origins]) + driven[targets]
        held = step(network, states[origins], piece.power_w[origins], passed)
        found.append(
            Hindsight(
                temperature_c(network, planned) + bias[origins],
                temperature_c(network, held) + bias[origins],
                piece.temperature_c[origins],
                piece.temperature_c[targets],
            )
        )
    return found


def _follow(parameters: ThermalParameters, piece: Piece) -> Iterator[Track]:
    track: Track | None = None
    for time_s, reading_c, power_w in np.stack(piece, axis=1).tolist():
        seen = Seen(time_s, None if np.isnan(reading_c) else reading_c, power_w)
        track = begin(parameters, seen) if track is None else observe(parameters, track, seen)
        yield track


def _pairs(piece: Piece, from_s: float, ahead_s: float) -> tuple[Places, Places]:
    """Return the readings to forecast from, and those to compare with."""
    time = piece.time_s
    slack = _LATE_STEPS * float(np.median(np.diff(time)))
    targets = np.searchsorted(time, time + ahead_s)
    inside = np.minimum(targets, len(time) - 1)
    known = np.isfinite(piece.temperature_c)
    good = (time >= from_s) & (targets < len(time)) & known & known[inside]
    good &= time[inside] - time <= ahead_s + slack
    origins = np.flatnonzero(good)
    return origins, targets[origins]
