"""What foreign solvers are told of a problem, and what they answer.

Of the planner they share what a block and a hop take on a slot and what blocks weigh; nothing of
its classes, tables, bounds or searches.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from hgx.gguf.arrangement import Arrangement
from hgx.planner.constraints import broken_limits, device_limits, wish_broken
from hgx.planner.placement import price, total_objective
from hgx.planner.problem import Question, build_problem
from tests.planner.made import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem, Slot, Weights

    Floats = NDArray[np.float64]


class Spent(NamedTuple):
    """Weighted seconds of a slot: per block, for the output head, and on the wire.

    ``turn``, ``enter``, ``leave`` and ``finish`` are as in ``hgx.planner.cost.Hop``.
    """

    blocks: Floats
    head: float
    turn: float
    enter: float
    leave: float
    finish: float


class Verdict(NamedTuple):
    """What a solver says of a problem.

    Attributes:
        placement: The best that it found; nothing where it found none.
        bound: No placement takes fewer seconds, by its account; infinite where there is none.
        error_s: By how much its rounding may make it differ from the truth, in seconds.
        elapsed_s: Seconds that it took, without what Python took to write the model down.
    """

    placement: Placement
    bound: float
    error_s: float
    elapsed_s: float


def spent(slot: Slot, weights: Weights) -> Spent:
    """Weigh a slot's seconds for the prompt and for a token."""
    blocks = weights.prefill * slot.prefill.blocks + weights.decode * slot.decode.blocks
    wires = zip(slot.prefill.hop, slot.decode.hop, strict=True)
    turn, enter, leave, finish = (
        weights.prefill * prefill + weights.decode * decode for prefill, decode in wires
    )
    return Spent(blocks[:-1], float(blocks[-1]), turn, enter, leave, finish)


def limit_of(problem: Problem, slot: Slot) -> int:
    """Bytes that a slot may take by itself."""
    pools = (pool.capacity for pool in problem.pools if slot.device in pool.devices)
    return math.floor(min([slot.capacity, *pools]))


def opens(problem: Problem, slot: Slot) -> bool:
    """Whether a slot may have the first stage."""
    if problem.arrangement is Arrangement.ALONE:
        return True
    return slot.on_host == (problem.arrangement is Arrangement.HOST_FIRST)


def beside(one: Slot, other: Slot) -> bool:
    """Whether hidden states pass between two slots without the wire: one far node has both."""
    return one.remote and one.node == other.node


def hopeless(problem: Problem) -> bool:
    """Whether nothing can be placed: no slot, or no room for the coordinator's own buffers."""
    own = problem.footprint.host_weights + problem.footprint.host_compute
    host = problem.host_capacity
    return not problem.slots or (host is not None and own > host)


def seconds_of(problem: Problem, placement: Placement) -> float:
    """What a placement takes, in seconds, by definition; infinite for none.

    Raises:
        AssertionError: It is not allowed.
    """
    if not placement:
        return math.inf
    stages = price(problem, placement, device_limits(problem))
    assert list(broken_limits(problem, stages)) == []
    assert wish_broken(problem, placement) is None
    return total_objective(problem, stages)


def least(question: Question, coordinator: str, solve: Callable[[Problem], float]) -> float:
    """The least objective over all arrangements of stages.

    Args:
        question: What is asked.
        coordinator: Node id.
        solve: Gives the least objective of one problem.
    """
    return min(solve(build_problem(question, coordinator, one)) for one in WHOLE)
