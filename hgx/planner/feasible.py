"""Whether anything fits at all: the exact search, where every stage takes the same time.

Devices are equal then that have the same room, and the first placement that is found ends the
search. What nothing is found for by a search that was not cut is proven to fit nowhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hgx.errors import ModelError
from hgx.gguf.arrangement import Arrangement
from hgx.planner.constraints import cannot_fit, device_limits
from hgx.planner.cost import Hop
from hgx.planner.greedy import solve_greedily
from hgx.planner.problem import Seconds, Weights
from hgx.planner.search.exact import solve_exactly
from hgx.planner.search.reach import Slowest
from hgx.planner.search.reporter import Silent
from hgx.planner.tables import build_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgx.planner.problem import Problem, Question
    from hgx.planner.timer import Timer

    Decide = Callable[[Question, Callable[[], bool]], bool | None]

SHARE = 2
"""A single decision takes this part of the time that is left for its kind at most."""

STAGE_S = 1.0
"""What every stage takes."""

WIDTH = 16384
"""Sets of devices that a search keeps per number of stages."""

ROUNDS = 100
"""Rounds of looking for a proof without a search."""


def feasible(problems: Iterable[Problem], expired: Callable[[], bool]) -> bool | None:
    """Decide whether any of several problems has a placement.

    Args:
        problems: One per coordinator and arrangement.
        expired: Returns whether to stop.

    Returns:
        True where a placement was found, False where it is proven that there is none, None where
        time ended the search.
    """
    hard: list[Problem] = []
    for problem in problems:
        if cannot_fit(problem):
            continue
        even = _even(problem)
        largest = sorted(even.slots, key=lambda slot: -slot.capacity)
        if solve_greedily(even, [slot.device for slot in largest])[1]:
            return True
        if even.arrangement is not Arrangement.ALONE:  # there the greedy solver tries all
            hard.append(even)
        if expired():
            return None
    proven = True
    for problem in hard:
        found = _search(problem, expired)
        if found:
            return True
        proven &= found is False
    return False if proven else None


class Judge:
    """Says of one changed question after the other whether it is sure to have an answer.

    Args:
        decide: Decides a question, or stops when it is told to.
        timer: Ends with the time for all of them.
    """

    def __init__(self, decide: Decide, timer: Timer) -> None:
        self._decide = decide
        self._timer = timer

    def share(self, parts: int) -> Callable[[Question], bool]:
        """Give the first of so many parts of the work its share of the time.

        Returns:
            What says whether a question is proven to fit; what is not decided in time is not.
        """
        over = self._timer.share(parts)

        def fits(question: Question) -> bool:
            if over():
                return False
            late = self._timer.share(parts * SHARE)
            try:
                return self._decide(question, lambda: over() or late()) is True
            except ModelError:  # its rows are no whole number of the KV type's blocks
                return False

        return fits


def _search(problem: Problem, expired: Callable[[], bool]) -> bool | None:
    """Decide whether a problem has a placement."""
    tables = build_tables(problem, device_limits(problem))
    if not tables.classes:
        return False
    target = 2 * STAGE_S
    found = Slowest(tables, expired, Silent()).run(target, 0.0, (WIDTH,), ROUNDS)
    if not found.runs and found.bound >= target:
        return False  # even if no two devices shared a memory
    if not problem.shared_pools:
        return True if found.runs else None
    outcome = solve_exactly(problem, math.inf, expired)
    if outcome.placement:
        return True
    return False if outcome.bound == math.inf else None


def _even(problem: Problem) -> Problem:
    """The same problem on devices that differ in their room alone."""
    seconds = Seconds(np.zeros(problem.n_block + 1), Hop(turn=STAGE_S))
    apart = problem.question.options.max_nodes is not None
    return problem._replace(
        slots=tuple(
            slot._replace(decode=seconds, prefill=seconds, remote=slot.remote and apart)
            for slot in problem.slots
        ),
        total=Weights(),
        peak=Weights(decode=1.0),
    )
