"""Labels: beginnings of placements, many of them in arrays, and which of them are useless."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

ROUNDS = 3
"""How often labels are compared with their neighbours."""

NEIGHBOURS = 4
"""How many."""


class Labels(NamedTuple):
    """Beginnings of placements with the same number of stages.

    Attributes:
        used: Devices used of each class, shape ``(labels, classes)``.
        key: The same as numbers, shape ``(labels, words)``.
        place: Where they are.
        added: Seconds of their stages together.
        peaked: Seconds of the slowest of them.
        taken: Bytes of each shared memory, shape ``(labels, pools)``.
        slack: Seconds by which whatever they become is above the bound, at least.
        parent: The label each one continues, in the layer before.
        edge: By which edge.
    """

    used: NDArray[np.uint16]
    key: NDArray[np.int64]
    place: Indices
    added: Floats
    peaked: Floats
    taken: Floats
    slack: Floats
    parent: Indices
    edge: Indices

    def pick(self, rows: Indices) -> Labels:
        """Take some of them."""
        used, key, place, added, peaked, taken, slack, parent, edge = self
        return Labels(
            used[rows],
            key[rows],
            place[rows],
            added[rows],
            peaked[rows],
            taken[rows],
            slack[rows],
            parent[rows],
            edge[rows],
        )


def joined(one: Labels, other: Labels) -> Labels:
    """The labels of both."""
    return Labels(
        np.concatenate((one.used, other.used)),
        np.concatenate((one.key, other.key)),
        np.concatenate((one.place, other.place)),
        np.concatenate((one.added, other.added)),
        np.concatenate((one.peaked, other.peaked)),
        np.concatenate((one.taken, other.taken)),
        np.concatenate((one.slack, other.slack)),
        np.concatenate((one.parent, other.parent)),
        np.concatenate((one.edge, other.edge)),
    )


def undominated(kind: NDArray[np.int64], added: Floats, more: Floats) -> Indices:
    """Rows of the labels that no other one with the same devices at the same place makes useless.

    Every label is compared with the cheapest of its kind and with a few that are little cheaper,
    which leaves some that are useless, and drops none that is not.

    Args:
        kind: What says which labels have the same devices at the same place, ``(labels, words)``.
        added: Seconds of their stages together.
        more: What else counts, and is better the less it is, shape ``(labels, things)``.
    """
    rows = np.lexsort((*more.T, added, *kind.T))
    for _ in range(ROUNDS):
        sorted_kind = kind[rows]
        new = np.concatenate(([True], (sorted_kind[1:] != sorted_kind[:-1]).any(axis=1)))
        new = new[: len(rows)]
        if not more.shape[1]:
            return rows[new]
        number = np.cumsum(new) - 1
        worth = more[rows]
        kept = new | (worth < worth[np.flatnonzero(new)[number]]).any(axis=1)
        for step in range(1, min(NEIGHBOURS, len(rows) - 1) + 1):
            same = number[step:] == number[:-step]
            kept[step:] &= ~same | (worth[step:] < worth[:-step]).any(axis=1)
        if kept.all():
            break
        rows = rows[kept]
    return rows
