"""Why nothing fits: by how much, and what would make it fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.errors import ModelError
from hgx.planner.constraints import (
    bytes_short,
    host_shortage,
    host_too_small,
    out_of_reach,
)
from hgx.planner.greedy import solve_greedily
from hgx.planner.problem import build_problem
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgx.core.options import PlanOptions
    from hgx.planner.problem import Problem

SMALLEST_CTX = 256
"""No shorter context is worth proposing."""

PRECISION = 0.01
"""To which the memory that is missing is found out."""


def explain_shortage(problem: Problem) -> list[str]:
    """Sentences for a model that fits nowhere: by how much first, then cures, then causes."""
    return [
        _headline(problem),
        *_cures(problem),
        *(out_of_reach(problem, device) for device in problem.unreachable),
    ]


def _headline(problem: Problem) -> str:
    _, workload, options, _ = problem.question
    if host_shortage(problem):
        return host_too_small(problem)
    if not problem.slots:
        return f"the coordinator {problem.coordinator} reaches no device"
    needed = float((problem.footprint.weights + problem.footprint.kv).sum())
    short = bytes_short(problem)
    buffers = problem.footprint.inputs + float(problem.footprint.scratch.min())
    count = len(problem.slots)
    what = (
        f"{workload.path} needs {format_bytes(needed)} for weights and KV at context "
        f"{options.ctx}, and {format_bytes(buffers)} of buffers per device"
    )
    if short:
        devices = "the one device has" if count == 1 else f"{count} devices have together"
        return f"{what}: {format_bytes(short)} more than {devices}"
    return f"{what}: {count} devices have that much together, but not in parts that hold blocks"


def _cures(problem: Problem) -> Iterator[str]:
    options = problem.question.options

    def fits(changed: PlanOptions) -> bool:
        question = problem.question._replace(options=changed)
        try:
            return _fits(build_problem(question, problem.coordinator))
        except ModelError:  # its rows are no whole number of the KV type's blocks
            return False

    ctx = _longest_context(options, fits)
    if ctx is not None:
        yield f"it fits with --ctx {ctx}"
    for kv_type in ("q8_0", "q4_0"):
        if kv_type != options.kv_type and fits(options.model_copy(update={"kv_type": kv_type})):
            yield f"it fits with --kv-type {kv_type}"
            break
    if options.parallel > 1 and fits(options.model_copy(update={"parallel": 1})):
        yield "it fits with --parallel 1"
    short = bytes_short(problem)
    weights = float(problem.footprint.weights.sum())
    if ctx is None:
        yield from _more_memory(problem)
    if ctx is None and 0.2 * weights < weights - short < weights:
        yield (
            "or with a smaller quantisation of the same model: at most "
            f"{format_bytes(weights - short)} instead of {format_bytes(weights)}"
        )
    if options.headroom_bytes and fits(options.model_copy(update={"headroom_bytes": 0})):
        yield "it fits with --headroom 0, at the risk of running out of memory"


def _more_memory(problem: Problem) -> Iterator[str]:
    """Say how much more memory on the largest device would do, where any would."""
    largest = max(problem.slots, key=lambda slot: slot.capacity, default=None)
    if largest is None or not largest.capacity:
        return

    def larger(extra: float) -> Problem:
        own = largest._replace(capacity=largest.capacity + extra)
        return problem._replace(
            slots=tuple(own if slot is largest else slot for slot in problem.slots),
            pools=tuple(
                pool._replace(capacity=pool.capacity + extra)
                if largest.device in pool.devices
                else pool
                for pool in problem.pools
            ),
        )

    footprint = problem.footprint
    whole = (footprint.weights + footprint.kv).sum() + footprint.scratch.max() + footprint.inputs
    low, high = bytes_short(problem), float(whole)
    if not _fits(larger(high)):
        return
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _fits(larger(middle)) else (middle, high)
    yield f"it would fit with {format_bytes(high)} more memory on {largest.device}"


def _fits(problem: Problem) -> bool:
    order = [slot.device for slot in sorted(problem.slots, key=lambda s: -s.capacity)]
    return bool(solve_greedily(problem, order)[1])


def _longest_context(options: PlanOptions, fits: Callable[[PlanOptions], bool]) -> int | None:
    """The longest context that fits, in steps of 256 tokens, or None."""
    low, high = 0, options.ctx // SMALLEST_CTX
    while low < high:
        middle = (low + high + 1) // 2
        if fits(options.model_copy(update={"ctx": middle * SMALLEST_CTX})):
            low = middle
        else:
            high = middle - 1
    return low * SMALLEST_CTX if 0 < low * SMALLEST_CTX < options.ctx else None
