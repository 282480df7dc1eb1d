"""What a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hgx.planner.placement import Placement

WORTHWHILE = 1e-9
"""Relative improvement below which two objectives are the same."""


class Run(NamedTuple):
    """A stage of a found placement: blocks ``begin .. end-1`` on a device of a class."""

    class_index: int
    begin: int
    end: int


class Found(NamedTuple):
    """What a search found.

    Attributes:
        objective: Seconds of the best placement; infinite when there is none below the target.
        runs: Its stages in order, or nothing.
        bound: No placement has an objective below this and below ``objective``.
        states: States that were opened.
    """

    objective: float
    runs: tuple[Run, ...]
    bound: float
    states: int


class Outcome(NamedTuple):
    """What is known at the end.

    Attributes:
        objective: Seconds of the best placement found; infinite when none beats the target.
        placement: That placement, or nothing.
        bound: No placement has an objective below ``min(bound, objective, target)``.
        states: Search states opened.
    """

    objective: float
    placement: Placement
    bound: float
    states: int
