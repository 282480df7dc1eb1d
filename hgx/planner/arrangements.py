"""A question as problems: one per arrangement of stages, with weights in memory or on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.gguf.arrangement import Arrangement
from hgx.planner.problem import build_problem, rearranged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgx.planner.problem import Problem, Question


def problems_of(question: Question, coordinator: str) -> Iterator[Problem]:
    """Give one problem per arrangement; every placement is in one of them at least.

    Args:
        question: What is asked.
        coordinator: Node id; it must be in the registry.
    """
    alone = build_problem(question, coordinator, Arrangement.ALONE)
    yield alone
    if len(alone.slots) > 1:
        if any(slot.on_host for slot in alone.slots):
            yield rearranged(alone, Arrangement.HOST_FIRST)
        yield rearranged(alone, Arrangement.PIPELINE)


def mapped_problem(problem: Problem) -> Problem | None:
    """Return a problem with weights read from the coordinator's disk; null where they cannot be."""
    changed = rearranged(problem._replace(mapped=True), problem.arrangement)
    return changed if any(slot.mapped for slot in changed.slots) else None
