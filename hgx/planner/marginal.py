"""What more of something would bring: the changed problem is really solved.

The old placement stays possible with more of anything, so that the better of the two counts: a gain
is never below 0, even where there was too little time to search.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hgx.core.explanation import Marginal
from hgx.errors import OutOfTime
from hgx.planner.resolve import evaluated, solve_within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgx.planner.anatomy import Priced
    from hgx.planner.changes import Change
    from hgx.planner.resolve import Allowance, Solved


def marginals(
    priced: Priced,
    changes: Iterable[Change],
    this_node: str | None,
    allowance: Allowance,
    *,
    search: bool,
) -> tuple[list[Marginal], int]:
    """Find out what changes bring.

    Args:
        priced: What they are compared with.
        changes: The most promising first.
        this_node: Id of the machine that asks.
        allowance: How long it may take.
        search: Whether blocks may be placed anew; else the placement stays.

    Returns:
        What they bring, the most first, and how many there was no time for.
    """
    found: list[Marginal] = []
    unasked = 0
    for change in changes:
        seconds = allowance.each_s if search else None
        solved = None if allowance.expired() else _best(priced, change, this_node, seconds)
        if solved is None:
            unasked += 1
            continue
        found.append(
            Marginal(
                kind=change.kind,
                subject=change.subject,
                extra_bytes=change.extra_bytes,
                gain=max(0.0, priced.objective / solved.objective - 1.0),
                proven=solved.proven,
                predicted=solved.predicted,
            )
        )
    return sorted(found, key=lambda one: -one.gain), unasked


def _best(
    priced: Priced, change: Change, this_node: str | None, seconds: float | None
) -> Solved | None:
    """The better of the best placement found in so many seconds, if any, and of the old one."""
    question = priced.problem.question._replace(registry=change.registry)
    found: Solved | None = None
    if seconds is not None:
        with suppress(OutOfTime):
            found = solve_within(question, this_node, seconds)
    if found is not None and found.proven:
        return found
    kept = evaluated(question, priced.answer)
    known = [one for one in (kept, found) if one is not None]
    return min(known, key=lambda one: one.objective, default=None)
