"""What a search finds."""

from __future__ import annotations

from typing import NamedTuple

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
