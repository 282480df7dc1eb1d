"""The thermal model that is closest to readings: stages, ambient temperature, states to begin with.

The error of the output is made small: the model runs over the whole trace from power alone and is
compared with all temperatures. One step ahead at a time whole degrees would tell more of their
rounding than of the device. For given time constants the model is linear in its resistances, the
ambient temperature and the state it begins with, none of which may be negative: least squares find
them (``nnls``). Time constants are looked for on a grid, and then around the best more and more
closely. Power meters show an average of the past; by how much they are late is looked for too.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.thermal.nnls import nnls
from hgx.thermal.rc import Network, Stage, response

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from hgx.thermal.clean import Piece

    Floats = NDArray[np.float64]
    Taus = tuple[float, ...]

COLDEST_AMBIENT_C: Final = -20.0
"""No device is fitted to colder surroundings."""

LATE_S: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""How late power may be shown; averages of a second were seen."""

GRID: Final = 12
FASTEST_S, SLOWEST_S = 0.1, 3600.0
"""Time constants looked for, as far as the trace tells of them."""

ROUNDS: Final = 6
"""Of looking more closely, each half as far apart: in the end by less than a hundredth."""

MOST_ROWS: Final = 20_000
"""Temperatures that are compared; of more, every second or third and so on."""


class Found(NamedTuple):
    """The best model of some pieces.

    Attributes:
        network: Stages in rising order of their time constants.
        late_s: How late power is shown.
        starts_k: The state at the begin of each piece, shape ``(pieces, stages)``.
        rmse_c: How far it is off.
        rows: How many temperatures were compared.
    """

    network: Network
    late_s: float
    starts_k: Floats
    rmse_c: float
    rows: int


def drawn(time_s: Floats, power_w: Floats, late_s: float) -> Floats:
    """Return what was drawn on average from each time until the next, of what a meter showed.

    Args:
        time_s: Rising, shape ``(n,)``.
        power_w: What the meter showed then.
        late_s: How late it shows.
    """
    middle = (time_s + np.append(time_s[1:], time_s[-1])) / 2
    return np.interp(middle + late_s, time_s, power_w)


def search(pieces: Sequence[Piece], stages: int) -> Found:
    """Find the model with so many stages that is closest to the temperatures.

    Args:
        pieces: Readings without gaps, as ``clean`` gives them.
        stages: One or two.
    """
    grid = _grid(pieces)
    found = (_search(pieces, grid, stages, late_s) for late_s in LATE_S)
    return _found(min(found, key=lambda one: one.error), len(pieces))


def _search(pieces: Sequence[Piece], grid: Floats, stages: int, late_s: float) -> _Choice:
    """Find the best time constants for a delay of the meter: on the grid, then closer and closer.

    The delay is not chosen before: a wrong one can make up for a grid that is coarse.
    """
    every = itertools.combinations(range(len(grid)), stages)
    best = _best(_Columns(pieces, grid, late_s), every, late_s)
    ratio = grid[1] / grid[0]
    for _ in range(ROUNDS):
        ratio = ratio**0.5
        near = np.concatenate([[tau / ratio, tau, tau * ratio] for tau in best.taus])
        choices = itertools.product(range(3), repeat=stages)
        closer = (tuple(3 * at + one for at, one in enumerate(choice)) for choice in choices)
        better = _best(_Columns(pieces, near, late_s), closer, late_s)
        best = min((best, better), key=lambda one: one.error)
    return best


def _grid(pieces: Sequence[Piece]) -> Floats:
    """Time constants from half a step to twice the longest piece."""
    steps = np.concatenate([np.diff(piece.time_s) for piece in pieces])
    longest_s = max(piece.duration_s for piece in pieces)
    low = max(FASTEST_S, float(np.median(steps)) / 2)
    high = min(SLOWEST_S, max(2 * longest_s, 4 * low))
    return np.geomspace(low, high, GRID)


class _Choice(NamedTuple):
    """Time constants, and the coefficients that are best with them."""

    error: float
    rows: int
    taus: Taus
    late_s: float
    coefficients: Floats


class _Columns:
    """What a model is a sum of, for many time constants at once.

    The columns are: one for the ambient, per time constant one driven by power, and per time
    constant and piece one that a state at the begin leaves behind.

    Args:
        pieces: The readings.
        taus: Time constants, shape ``(m,)``.
        late_s: How late power is shown.
    """

    def __init__(self, pieces: Sequence[Piece], taus: Floats, late_s: float) -> None:
        self.taus = taus
        self._pieces = len(pieces)
        blocks: list[Floats] = []
        targets: list[Floats] = []
        thin = 1 + sum(len(piece.time_s) for piece in pieces) // MOST_ROWS
        for at, piece in enumerate(pieces):
            power = drawn(piece.time_s, piece.power_w, late_s)
            driven = response(taus, piece.time_s, power)
            left = np.exp(-(piece.time_s - piece.time_s[0])[:, None] / taus)
            begins = np.zeros((len(piece.time_s), len(pieces), len(taus)))
            begins[:, at] = left
            ones = np.ones((len(piece.time_s), 1))
            block = np.concatenate([ones, driven, begins.reshape(len(ones), -1)], axis=1)
            known = np.flatnonzero(np.isfinite(piece.temperature_c))[::thin]
            blocks.append(block[known])
            targets.append(piece.temperature_c[known] - COLDEST_AMBIENT_C)
        self.matrix = np.concatenate(blocks)
        self.target = np.concatenate(targets)

    def of(self, choice: Iterable[int]) -> list[int]:
        """Return which columns belong to some of the time constants."""
        count, chosen = len(self.taus), list(choice)
        groups = range(1, self._pieces + 2)  # driven, then what each begin leaves
        firsts = [1 + (group - 1) * count for group in groups]
        return [0, *(first + one for first in firsts for one in chosen)]


def _best(columns: _Columns, choices: Iterable[tuple[int, ...]], late_s: float) -> _Choice:
    matrix, target = columns.matrix, columns.target
    gram, moment = matrix.T @ matrix, matrix.T @ target
    length = float(target @ target)
    found: list[_Choice] = []
    for choice in choices:
        at = columns.of(choice)
        some = gram[np.ix_(at, at)]
        solved = nnls(some, moment[at])
        error = length - 2 * float(solved @ moment[at]) + float(solved @ some @ solved)
        taus = tuple(float(columns.taus[one]) for one in choice)
        found.append(_Choice(max(error, 0.0), len(target), taus, late_s, solved))
    return min(found, key=lambda one: one.error)


def _found(best: _Choice, pieces: int) -> Found:
    """Put the stages in order; a stage without a resistance is none."""
    count = len(best.taus)
    ambient_c = float(best.coefficients[0]) + COLDEST_AMBIENT_C
    groups = best.coefficients[1:].reshape(1 + pieces, count)
    kept = [at for at in np.argsort(best.taus).tolist() if groups[0, at] > 0]
    stages = tuple(Stage(float(groups[0, at]), best.taus[at]) for at in kept)
    rmse_c = (best.error / best.rows) ** 0.5
    return Found(Network(stages, ambient_c), best.late_s, groups[1:, kept], rmse_c, best.rows)
