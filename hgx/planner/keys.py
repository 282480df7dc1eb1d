"""Sets of devices as numbers, so that equal ones are found by sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_IN_WORD = 1 << 62
"""Sets that one number can tell apart."""

CLOSED = -1
"""Mode of a state whose hidden states are back at the coordinator; others name a group."""


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
