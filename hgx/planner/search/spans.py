"""Placements proven apart whose slowest stages take differently long.

Prices that are made for one span of seconds have a better bound than those for all, and what is
left to search is so much less that it pays to look for them. The span with the least bound is
divided first: where the slowest stage of the best placement known takes what is in it, or else in
its middle. No price is looked for where those of another span are good enough.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from hgx.planner.search.paths import Span, path_bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.planner.arcs import Arcs
    from hgx.planner.search.paths import PathBound
    from hgx.planner.search.standing import Standing

    Prove = Callable[[PathBound], float]

LIKE = 2
"""Of so many spans before, the prices are tried besides those of the span that is divided."""

FLAT = 0.7
"""No part of a span reaches farther down or up, where that can be avoided."""


def divide(
    arcs: Arcs,
    standing: Standing,
    whole: PathBound,
    prove: Prove,
    expired: Callable[[], bool],
) -> None:
    """Divide spans until all that is left is proven to be no better, or time is up.

    Args:
        arcs: All stages; the slowest one's seconds count.
        standing: What is known; it is made better. Where nothing is, nothing is done.
        whole: Bound for all placements.
        prove: Given the bound of a part, looks for something better there, and returns what is
            proven, in seconds.
        expired: Returns whether to stop.
    """
    number, target = count(), standing.objective
    if not np.isfinite(target):
        return
    # What is better than the target has no slower stage than that.
    left = [(standing.bound, next(number), whole._replace(span=Span(0.0, target)))]
    made = [whole]
    while left and not standing.proven and not expired():
        _, _, divided = heappop(left)
        for span in parts(divided.span, _slowest(arcs, standing)):
            like = (divided, *made)
            part = path_bound(arcs, standing.objective, expired, span=span, like=like)
            made = [*made, part][-LIKE:]
            proven = max(divided.root(), prove(part))
            if not standing.beaten_by(proven):
                heappush(left, (proven, next(number), part))
        standing.prove(min((entry[0] for entry in left), default=standing.objective))


def _slowest(arcs: Arcs, standing: Standing) -> float:
    """What the slowest stage of the best placement takes; infinite where none is known."""
    runs = standing.best_runs
    return arcs.seconds(runs)[1] if runs else np.inf


def parts(span: Span, slowest: float) -> tuple[Span, ...]:
    """Divide a finite span in two, or in three where the lower one would reach far down."""
    middle = slowest
    if not span.low < middle < span.high:
        middle = float(np.sqrt(max(span.low, FLAT * FLAT * span.high) * span.high))
        if span.low > 0:
            middle = min(middle, span.low / FLAT)
    high, low = Span(middle, span.high), FLAT * middle
    if span.low < low < middle:
        return high, Span(low, middle), Span(span.low, low)
    return high, Span(span.low, middle)
