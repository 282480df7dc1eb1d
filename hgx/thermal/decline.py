"""What is left of a rate after a while, of devices that tell rates and no temperature.

A device that holds its temperature at a limit gives away, at the pace of its slow stages, what it
could do at first: its rate is what lasts, and one or two decays, none of which is negative.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.thermal.fit import Refusal
from hgx.thermal.nnls import nnls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHORTEST_S: Final = 60.0
FEWEST: Final = 20
_FASTEST_S: Final = 3.0
_GRID: Final = 14
_MOMENT_S: Final = 1e-3


class Decay(NamedTuple):
    """What a rate loses, and the seconds in which 63% of that is gone."""

    per_s: float
    tau_s: float


class Decline(NamedTuple):
    """A rate over time.

    Attributes:
        burst_per_s: The highest that was seen.
        lasting_per_s: What lasts.
        decays: One or two.
        rmse_per_s: How far single rates are off.
    """

    burst_per_s: float
    lasting_per_s: float
    decays: tuple[Decay, ...]
    rmse_per_s: float

    def retention(self, after_s: float) -> float:
        """Return what is left after so many seconds, as a share of the highest rate."""
        left = sum(one.per_s * np.exp(-after_s / one.tau_s) for one in self.decays)
        return min(1.0, float(self.lasting_per_s + left) / self.burst_per_s)

    def mean_share(self, duration_s: float) -> float:
        """Return what is done in so many seconds, as a share of the highest rate all along."""
        duration_s = max(duration_s, _MOMENT_S)
        left = sum(
            -one.per_s * one.tau_s * np.expm1(-duration_s / one.tau_s) for one in self.decays
        )
        mean_per_s = self.lasting_per_s + float(left) / duration_s
        return min(1.0, mean_per_s / self.burst_per_s)


def fit_decline(time_s: Floats, rate_per_s: Floats) -> Decline | Refusal:
    """Fit what is left of a rate while a device works without a pause.

    Args:
        time_s: Since work began, rising; shape ``(n,)``.
        rate_per_s: Of tokens, or of whatever is done; shape ``(n,)``.
    """
    good = np.isfinite(rate_per_s) & (rate_per_s >= 0) & np.isfinite(time_s) & (time_s >= 0)
    time, rate = time_s[good], rate_per_s[good]
    duration_s = float(time[-1]) if len(time) else 0.0
    if len(time) < FEWEST or duration_s < SHORTEST_S:
        reason = f"the run is too short: {len(time)} rates in {duration_s:.0f} s"
        return Refusal(reason, "run for some minutes without a pause")
    if not rate.any():
        return Refusal("nothing was done in the run", "run a model")
    taus = np.geomspace(_FASTEST_S, 2 * duration_s, _GRID)
    columns = np.concatenate([np.ones((len(time), 1)), np.exp(-time[:, None] / taus)], axis=1)
    gram, moment = columns.T @ columns, columns.T @ rate
    best_error, best = float("inf"), Decline(0.0, 0.0, (), 0.0)
    for pair in itertools.combinations(range(_GRID), 2):
        at = [0, *(1 + one for one in pair)]
        solved = nnls(gram[np.ix_(at, at)], moment[at])
        off = columns[:, at] @ solved - rate
        error = float(off @ off)
        if error < best_error:
            parts = zip(solved[1:].tolist(), taus[list(pair)].tolist(), strict=True)
            decays = tuple(Decay(per_s, tau_s) for per_s, tau_s in parts if per_s > 0)
            rmse = (error / len(rate)) ** 0.5
            best_error = error
            best = Decline(float(rate.max()), float(solved[0]), decays, rmse)
    return best
