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
