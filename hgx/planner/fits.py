"""Whether a question has an answer at all, whoever coordinates and however slow it would be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.planner.arrangements import mapped_problem, problems_of
from hgx.planner.coordinators import rank_coordinators
from hgx.planner.experts import roomiest
from hgx.planner.feasible import feasible

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.planner.problem import Question


def fits(
    question: Question,
    this_node: str | None,
    expired: Callable[[], bool],
    *,
    from_disk: bool = False,
) -> bool | None:
    """Decide whether a model fits, however slow it would be.

    Args:
        question: What is asked.
        this_node: Id of the machine that asks, as for ``solve``.
        expired: Returns whether to stop.
        from_disk: Whether weights may stay on the coordinator's disk.

    Returns:
        True where a placement was found, False where it is proven that there is none, None where
        time ended the search.

    Raises:
        RegistryError: The options name a coordinator that the registry does not have.
    """
    nodes, wished = rank_coordinators(question, this_node), question.options.cpu_experts
    problems = [one for node in nodes for one in problems_of(question, node)]
    tried = (mapped for one in problems if (mapped := mapped_problem(one)))
    found = False if wished else feasible(tried if from_disk else problems, expired)
    if found or wished == 0:
        return found
    apart = feasible((one for each in problems if (one := roomiest(each))), expired)
    return apart if apart or found is False else None
