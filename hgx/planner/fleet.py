"""Answers for fleets with too many sets of devices to try them all: local search.

Where stages add up, that is ``hgx.planner.polish``. Where the slowest stage counts besides, sums
are polished under a limit for every stage that becomes ever smaller, and what is best with both is
kept.
"""

from __future__ import annotations

import random
from itertools import cycle, product
from typing import TYPE_CHECKING

import numpy as np

from hgx.planner.polish import polish
from hgx.planner.search import WORTHWHILE, Found, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from hgx.planner.arcs import Arcs

    Floats = NDArray[np.float64]

LOWER = 0.85
"""Each limit, as part of what the slowest stage took under the one before."""

FUTILE = 2
"""Limits in a row without a better answer that end the descent."""

AROUND = (1.0, 1.05, 0.95, 0.9)
"""Limits for every stage, as parts of what the best answer's slowest one takes."""

KICKS = 4
"""How often a local search starts anew under one of them."""


def descend(arcs: Arcs, runs: Sequence[Run], expired: Callable[[], bool]) -> Found:
    """Make a placement better as long as exchanging devices helps.

    Args:
        arcs: All stages.
        runs: The placement.
        expired: Returns whether to stop.
    """
    best, limit, futile = Found(np.inf, (), 0.0, 0), np.inf, 0
    while futile < FUTILE and not expired():
        found = polish(arcs, arcs.within(limit), runs, expired)
        if not found.runs:
            break
        runs = tuple(Run(*run) for run in found.runs)
        added, peaked = arcs.seconds(runs)
        futile += 1
        if added + peaked < best.objective:
            best, futile = Found(added + peaked, runs, 0.0, 0), 0
        if arcs.peaked is None:
            break
        limit = LOWER * peaked
    return best


def search_around(
    arcs: Arcs,
    runs: Sequence[Run],
    slow: Floats,
    good_enough: float,
    expired: Callable[[], bool],
) -> Iterator[Found]:
    """Start anew from changed placements, again and again, and give what is better.

    Args:
        arcs: All stages.
        runs: The placement to begin with.
        slow: Share of every class in the slowest stage's seconds, as a bound has them: with these,
            sums mean more than without.
        good_enough: Objective in seconds at which to stop.
        expired: Returns whether to stop.

    Yields:
        The best so far, after every local search.
    """
    best = Found(sum(arcs.seconds(runs)), tuple(runs), 0.0, 0)
    draw = random.Random(0)  # noqa: S311 - the same question shall have the same answer
    for part, priced in cycle(product(AROUND, (True, False))):
        if expired() or best.objective <= good_enough * (1 + WORTHWHILE):
            break
        cost = arcs.added
        if arcs.finite_peaked is not None:
            limit = part * arcs.seconds(best.runs)[1]
            cost = arcs.within(limit * (1 + WORTHWHILE))
            cost = cost.plus(arcs.finite_peaked, slow) if priced else cost
        found = polish(arcs, cost, best.runs, expired, kicks=KICKS, draw=draw)
        if found.runs:
            objective = sum(arcs.seconds(found.runs))
            if objective < best.objective * (1 - WORTHWHILE):
                best = Found(objective, tuple(Run(*run) for run in found.runs), 0.0, 0)
        yield best
