"""What is known of the least objective at a time: the best placement, and a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.planner.search.found import WORTHWHILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.planner.search.found import Found, Run


class Standing:
    """It only ever gets better.

    Args:
        target: Objective to beat, in seconds; infinite when none is known.
        known: Stages of a placement with the target as its objective, where there is one.

    Attributes:
        objective: Seconds of the best placement, or the target.
        runs: Stages of what beats the target, if anything does.
        bound: No placement has an objective below this and below ``objective``.
        states: Search states opened.
    """

    def __init__(self, target: float, known: Sequence[Run] = ()) -> None:
        self.objective = target
        self.runs: tuple[Run, ...] = ()
        self.bound = 0.0
        self.states = 0
        self._known = tuple(known)

    @property
    def best_runs(self) -> tuple[Run, ...]:
        """Stages of the best placement, whether it beats the target or is it; or nothing."""
        return self.runs or self._known

    @property
    def proven(self) -> bool:
        """Whether nothing better is left to be found."""
        return self.beaten_by(self.bound)

    def beaten_by(self, seconds: float) -> bool:
        """Whether nothing that takes so long is worth while."""
        return seconds >= self.objective * (1 - WORTHWHILE)

    def take(self, found: Found) -> None:
        """Keep a placement if it is better; what the search proved may be for a part only."""
        self.states += found.states
        if found.runs and not self.beaten_by(found.objective):
            self.objective, self.runs = found.objective, found.runs

    def prove(self, bound: float) -> None:
        """Keep a bound if it is better, in seconds."""
        self.bound = max(self.bound, min(bound, self.objective))
