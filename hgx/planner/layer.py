"""A layer of the search: states with the same number of stages, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.uint16]

MOST_IN_WORD = 1 << 62
"""Sets that one number can tell apart."""

CLOSED = -1
"""Mode of a state whose hidden states are back at the coordinator; others name a group."""


class Layer(NamedTuple):
    """States with the same number of stages.

    Attributes:
        used: Devices used of each class, shape ``(states, classes)``.
        level: What is taken of each shared memory, in levels, shape ``(states, pools)``.
        mode: CLOSED or the group whose node holds the hidden states, shape ``(states,)``.
        cost: Least cost of the first ``b`` blocks, shape ``(states, n + 1)``.
    """

    used: Counts
    level: Counts
    mode: NDArray[np.int16]
    cost: Floats


def pick(layer: Layer, rows: NDArray[np.intp]) -> Layer:
    """Take some states of a layer."""
    return Layer(layer.used[rows], layer.level[rows], layer.mode[rows], layer.cost[rows])


def merged(parts: Sequence[Layer]) -> Layer:
    """Join states that are the same, entry by entry the cheaper."""
    whole = Layer(
        used=np.concatenate([part.used for part in parts]),
        level=np.concatenate([part.level for part in parts]),
        mode=np.concatenate([part.mode for part in parts]),
        cost=np.concatenate([part.cost for part in parts]),
    )
    if not len(whole.mode):
        return whole
    columns = np.column_stack((whole.used, whole.level, whole.mode - CLOSED)).astype(np.int64)
    names = (columns @ key_weights(columns.max(axis=0))).T
    order = np.lexsort(names)
    sorted_names = names[:, order]
    new = (sorted_names[:, 1:] != sorted_names[:, :-1]).any(axis=0)
    begins = np.flatnonzero(np.concatenate(([True], new)))
    least = np.minimum.reduceat(whole.cost[order], begins, axis=0)
    return pick(whole, order[begins])._replace(cost=least)


def key_weights(most: NDArray[np.integer]) -> NDArray[np.int64]:
    """What one of each thing adds to a key, so that no two sets have the same.

    Args:
        most: How many there can be of each.

    Returns:
        Shape ``(things, words)``.
    """
    words, size = [[0] * len(most)], 1
    for at, count in enumerate(most.tolist()):
        if size * (count + 1) > MOST_IN_WORD:
            words.append([0] * len(most))
            size = 1
        words[-1][at] = size
        size *= count + 1
    return np.array(words, dtype=np.int64).T
