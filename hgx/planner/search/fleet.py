"""Fleets with too many sets of devices to try them all: a good answer, and how good it is.

The answer is that of a local search. Where stages add up, that is ``hgx.planner.search.polish``.
Where the slowest stage counts besides, sums are polished under a limit for every stage that becomes
ever smaller, and what is best with both is kept. The bound is that of the rosters
(``hgx.planner.search.roster``), for spans of the slowest stage's seconds one by one.
"""

from __future__ import annotations

import random
from itertools import cycle, islice, product
from typing import TYPE_CHECKING

import numpy as np

from hgx.planner.search.found import WORTHWHILE, Found, Run
from hgx.planner.search.polish import polish
from hgx.planner.search.roster import roster_bound
from hgx.planner.search.spans import divide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hgx.planner.arcs import Arcs
    from hgx.planner.search.paths import PathBound
    from hgx.planner.search.roster import RosterBound
    from hgx.planner.search.standing import Standing

ROUNDS = 8
"""Local searches for a better answer, where some time is to be left for a better bound."""

LOWER = 0.85
"""Each limit, as part of what the slowest stage took under the one before."""

FUTILE = 2
"""Limits in a row without a better answer that end the descent."""

AROUND = (1.0, 1.05, 0.95, 0.9)
"""Limits for every stage, as parts of what the best answer's slowest one takes."""

KICKS, MANY_KICKS = 4, 40
"""How often a local search starts anew under one of them, and where there is no limit."""


def improve(
    arcs: Arcs,
    standing: Standing,
    bound: PathBound,
    expired: Callable[[], bool],
) -> None:
    """Make an answer better, and prove how good it is, until time is up.

    Args:
        arcs: All stages; no memory is shared, and nothing is wished of the devices.
        standing: What is known; it is made better. Where nothing is, nothing is done.
        bound: Bound for all placements.
        expired: Returns whether to stop.
    """
    if not standing.best_runs or standing.proven:
        return
    standing.take(descend(arcs, standing.best_runs, expired))
    rosters = roster_bound(arcs, bound, standing.objective, expired)
    standing.prove(rosters.seconds)
    answers = search_around(arcs, standing.best_runs, rosters, expired)
    for found in islice(answers, ROUNDS if arcs.tables.peaked else None):
        standing.take(found)
    if arcs.tables.peaked:
        target = standing.objective
        divide(
            arcs,
            standing,
            bound,
            lambda part, _: roster_bound(arcs, part, target, expired).seconds,
            expired,
        )


def descend(arcs: Arcs, runs: Sequence[Run], expired: Callable[[], bool]) -> Found:
    """Make a placement better as long as exchanging devices helps.

    Args:
        arcs: All stages.
        runs: The placement.
        expired: Returns whether to stop.
    """
    best, limit, futile = Found(sum(arcs.seconds(runs)), tuple(runs), 0.0, 0), np.inf, 0
    while futile < FUTILE and not expired():
        found = polish(arcs, arcs.within(limit), runs, expired)
        if not found.runs:
            break
        runs = found.runs
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
    rosters: RosterBound,
    expired: Callable[[], bool],
) -> Iterator[Found]:
    """Start anew from changed placements, again and again, and give what is better.

    Args:
        arcs: All stages.
        runs: The placement to begin with.
        rosters: A bound, at which to stop, and its shares in the slowest stage's seconds: with
            these, sums mean more than without.
        expired: Returns whether to stop.

    Yields:
        The best so far, after every local search.
    """
    best = Found(sum(arcs.seconds(runs)), tuple(runs), 0.0, 0)
    draw = random.Random(0)  # noqa: S311 - the same question shall have the same answer
    for part, priced in cycle(product(AROUND, (True, False))):
        if expired() or best.objective <= rosters.seconds * (1 + WORTHWHILE):
            break
        cost, kicks = arcs.added, MANY_KICKS
        if arcs.finite_peaked is not None:
            kicks = KICKS
            limit = part * arcs.seconds(best.runs)[1]
            cost = arcs.within(limit * (1 + WORTHWHILE))
            cost = cost.plus(arcs.finite_peaked, rosters.slow) if priced else cost
        found = polish(arcs, cost, best.runs, expired, kicks=kicks, draw=draw)
        if found.runs:
            objective = sum(arcs.seconds(found.runs))
            if objective < best.objective * (1 - WORTHWHILE):
                best = Found(objective, found.runs, 0.0, 0)
        yield best
