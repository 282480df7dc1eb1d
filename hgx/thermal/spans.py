"""How sure a fit is: what its numbers may be with 95% confidence.

Near the best fit the model is nearly linear in all its numbers, time constants as logarithms.
Errors that follow each other are alike: the model lacks something, or whole degrees stay the same
for long. So a mean of them scatters more than one of independent ones: by the sum of their
correlations over all distances, up to the first that is below zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.thermal.rc import response
from hgx.thermal.search import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hgx.thermal.clean import Piece
    from hgx.thermal.search import Found

    Floats = NDArray[np.float64]
    Span = tuple[float, float]

SIGMAS: Final = 1.96
_NUDGE: Final = 0.01
_WIDEST: Final = 1000.0
"""Factor beyond which nothing is known of a time constant."""


class Spans(NamedTuple):
    """Least and most of each number.

    Attributes:
        ambient_c: Temperature without power.
        resistance_k_per_w: All stages together.
        stages: Per stage its resistance in K/W, and its time constant in seconds.
        alike: How many errors in a row tell as much as one that is independent.
    """

    ambient_c: Span
    resistance_k_per_w: Span
    stages: tuple[tuple[Span, Span], ...]
    alike: float


def spans_of(pieces: Sequence[Piece], found: Found) -> Spans:
    """Work out how sure a fit is.

    Args:
        pieces: The readings it is of.
        found: The fit.
    """
    network = found.network
    count = len(network.stages)
    slopes, errors = _linear(pieces, found)
    alike = _alike(errors)
    free = max(1, len(errors) - slopes.shape[1])
    variance = float(errors @ errors) / free * alike
    spread = np.linalg.pinv(slopes.T @ slopes).astype(np.float64) * variance
    of_each = SIGMAS * np.sqrt(np.diag(spread))
    in_all = np.zeros(len(spread))
    in_all[1 : 1 + count] = 1.0
    of_all = SIGMAS * float(np.sqrt(in_all @ spread @ in_all))
    stages = tuple(
        (
            _around(stage.resistance_k_per_w, float(of_each[1 + at])),
            _times(stage.tau_s, float(of_each[1 + count + at])),
        )
        for at, stage in enumerate(network.stages)
    )
    ambient = float(of_each[0])
    return Spans(
        (network.ambient_c - ambient, network.ambient_c + ambient),
        _around(network.resistance_k_per_w, of_all),
        stages,
        alike,
    )


def _alike(errors: Floats) -> float:
    """Sum the correlations of errors over all distances, on both sides, up to the first below 0."""
    size = 2 * len(errors)
    spectrum = np.abs(np.fft.rfft(errors, size)) ** 2
    products = np.fft.irfft(spectrum, size)[: len(errors)]
    if products[0] <= 0:
        return 1.0
    below = np.flatnonzero(products < 0)
    end = int(below[0]) if len(below) else len(products)
    return float(1 + 2 * products[1:end].sum() / products[0])


def _around(value: float, half: float) -> tuple[float, float]:
    return max(0.0, value - half), value + half


def _times(value: float, half: float) -> tuple[float, float]:
    factor = float(np.exp(min(half, np.log(_WIDEST))))
    return value / factor, value * factor


def _linear(pieces: Sequence[Piece], found: Found) -> tuple[Floats, Floats]:
    """Return how the model changes with its numbers, and its errors.

    The numbers are: ambient, resistances, logarithms of time constants, and what each piece begins
    with in each stage. Shapes are ``(rows, numbers)`` and ``(rows,)``.
    """
    rows: list[Floats] = []
    errors: list[Floats] = []
    for at, piece in enumerate(pieces):
        known = np.isfinite(piece.temperature_c)
        slopes, model_c = _linear_piece(piece, found, at)
        rows.append(slopes[known])
        errors.append((piece.temperature_c - model_c)[known])
    return np.concatenate(rows), np.concatenate(errors)


def _linear_piece(piece: Piece, found: Found, at: int) -> tuple[Floats, Floats]:
    """Return how the model of one piece changes with all numbers, and the model."""
    taus, resistances = found.network.taus, found.network.resistances
    start = found.starts_k[at]
    driven, left = _parts(piece, found, taus)
    more, longer = _parts(piece, found, taus * np.exp(_NUDGE))
    less, shorter = _parts(piece, found, taus * np.exp(-_NUDGE))
    by_tau = ((more - less) * resistances + (longer - shorter) * start) / (2 * _NUDGE)
    begins = np.zeros((len(left), len(found.starts_k), len(taus)))
    begins[:, at] = left  # where it is zero, too: that bound says nothing of the others
    ones = np.ones((len(left), 1))
    slopes = np.concatenate([ones, driven, by_tau, begins.reshape(len(left), -1)], axis=1)
    return slopes, found.network.ambient_c + driven @ resistances + left @ start


def _parts(piece: Piece, found: Found, taus: Floats) -> tuple[Floats, Floats]:
    """Return what power drives, and what the begin leaves; both of shape ``(n, stages)``."""
    power = drawn(piece.time_s, piece.power_w, found.late_s)
    left = np.exp(-(piece.time_s - piece.time_s[0])[:, None] / taus)
    return response(taus, piece.time_s, power), left
