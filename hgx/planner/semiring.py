"""How stages add up: (min, +) for latency, (min, max) for the slowest stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CHUNK = 1 << 16
"""Elements of a temporary product: small enough for a second-level cache."""


def combine(done: Floats, more: Floats, *, bottleneck: bool) -> Floats:
    """Cost of what is done and of one more stage together: the larger, or the sum."""
    return np.maximum(done, more) if bottleneck else done + more


def append(cost: Floats, stages: Floats, *, bottleneck: bool) -> Floats:
    """Append one stage to many states: a matrix product in the semiring.

    Args:
        cost: Least cost of the first ``b`` blocks, shape ``(states, n + 1)``.
        stages: Cost of a stage of blocks ``b .. e-1`` at ``[b, e]``, infinite where ``e <= b``;
            shape ``(n + 1, n + 1)``.
        bottleneck: Which semiring.

    Returns:
        Least cost of the first ``e`` blocks with one more stage, shape ``(states, n + 1)``.
    """
    out = np.full(cost.shape, np.inf)
    reached = np.flatnonzero(np.isfinite(cost).any(axis=0))
    if not len(reached):
        return out
    low, high = int(reached[0]), int(reached[-1]) + 1
    table = stages[low:high, low + 1 :]
    step = max(1, CHUNK // max(1, table.size))
    for at in range(0, len(cost), step):
        done = cost[at : at + step, low:high, None]
        joined = combine(done, table[None], bottleneck=bottleneck)
        out[at : at + step, low + 1 :] = joined.min(axis=1)
    return out


def band_of(stages: Floats) -> Floats:
    """Leave out of a table what is infinite for every stage: those that are too long.

    Args:
        stages: Cost of a stage of blocks ``b .. e-1`` at ``[b, e]``, shape ``(n + 1, n + 1)``.

    Returns:
        Cost of the stage that ends at ``e`` and begins ``L - j`` blocks before at ``[j, e]``, ``L``
        being the length of the longest; shape ``(L, n + 1)``.
    """
    begins, ends = np.nonzero(np.isfinite(stages))
    longest = int((ends - begins).max(initial=1))
    begin = np.arange(len(stages))[None, :] - np.arange(longest, 0, -1)[:, None]
    end = np.broadcast_to(np.arange(len(stages)), begin.shape)
    return np.where(begin >= 0, stages[np.maximum(begin, 0), end], np.inf)


def append_band(cost: Floats, band: Floats) -> Floats:
    """Append one stage to many states, where costs add up and no stage is long.

    Args:
        cost: Least cost of the first ``b`` blocks, shape ``(states, n + 1)``.
        band: See ``band_of``.

    Returns:
        The same as ``append``.
    """
    width, longest = cost.shape[1], len(band)
    out = np.full(cost.shape, np.inf)
    padded = np.concatenate((np.full((len(cost), longest), np.inf), cost), axis=1)
    longer = np.empty(cost.shape)
    for at, stages in enumerate(band):  # rows are long and lengths few: each step is over rows
        np.add(padded[:, at : at + width], stages, out=longer)
        np.minimum(out, longer, out=out)
    return out
