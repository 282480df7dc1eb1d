"""Why nothing fits: by how much, what would make it fit, and what else stands in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.planner.constraints import (
    bytes_short,
    host_shortage,
    host_too_small,
    out_of_reach,
)
from hgx.planner.cures import find_cures
from hgx.units import format_bytes

if TYPE_CHECKING:
    from hgx.core.plan import Cure
    from hgx.planner.feasible import Judge
    from hgx.planner.problem import Problem


class Shortage(NamedTuple):
    """What there is to say of a model that fits nowhere.

    Attributes:
        sentences: By how much first, then cures, then causes.
        cures: Changes, each of which makes it fit.
    """

    sentences: tuple[str, ...]
    cures: tuple[Cure, ...]


def explain_shortage(problem: Problem, judge: Judge) -> Shortage:
    """Say what a model lacks that fits nowhere.

    Args:
        problem: With the coordinator and the arrangement that lack the least.
        judge: Says whether changed questions are sure to have an answer.
    """
    cures = tuple(find_cures(problem, judge.share))
    causes = (out_of_reach(problem, device) for device in problem.unreachable)
    return Shortage((_headline(problem), *(cure.text for cure in cures), *causes), cures)


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
    apart = f"{count} devices have that much together, but not in parts that hold blocks"
    return f"{what}: {apart}{_wishes(problem)}"


def _wishes(problem: Problem) -> str:
    """What the user asked of a placement beside that."""
    options = problem.question.options
    most = "" if options.max_nodes is None else f", on {options.max_nodes} machines at most"
    return most + (f", with {' and '.join(options.require)}" if options.require else "")
