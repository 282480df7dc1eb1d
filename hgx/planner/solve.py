"""The planner's front: choose a coordinator, answer greedily, then search for proof.

Nothing here prints, and the clock is passed in.
"""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from hgx.core.options import PlanOptions
from hgx.core.plan import SolverReport
from hgx.errors import OutOfTime
from hgx.gguf.arrangement import Arrangement
from hgx.planner.answer import infeasible_plan, make_plan
from hgx.planner.arrangements import mapped_problem, problems_of
from hgx.planner.calibrate import NO_CORRECTIONS
from hgx.planner.candidate import Candidate
from hgx.planner.constraints import bytes_short, cannot_fit, host_shortage
from hgx.planner.coordinators import rank_coordinators
from hgx.planner.experts import mixture
from hgx.planner.feasible import Judge
from hgx.planner.fewest import fewest
from hgx.planner.fits import fits
from hgx.planner.greedy import solve_greedily
from hgx.planner.problem import Problem, Question, rearranged
from hgx.planner.quick import quick_bound
from hgx.planner.scores import score_devices
from hgx.planner.search.exact import solve_exactly
from hgx.planner.search.experts import search_numbers
from hgx.planner.search.found import WORTHWHILE
from hgx.planner.shortage import explain_shortage
from hgx.planner.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.planner.calibrate import Correction
    from hgx.planner.experts import Mixture
    from hgx.planner.search.reporter import Reporter
    from hgx.planner.timer import Clock

SEARCH_SHARE = 0.93
MERGING_S = 0.06
"""The search ends when this share of the time limit less these seconds have passed (but not before
half of it): its last layer may still have to be merged, and the answer written."""

SHORT = 3
"""A first search has this part of its share of the time, where there are several problems."""

GREEDY_BUDGET_S = 0.04
"""After this time the greedy solver tries no further node as coordinator."""

CURES_S = 2.0
"""Longest time to look for what would make a model fit that fits nowhere."""

_ALONE = Arrangement.ALONE
_LARGER = (Arrangement.HOST_FIRST, Arrangement.PIPELINE)


def solve(
    registry: Registry,
    workload: Workload,
    options: PlanOptions | None = None,
    *,
    this_node: str | None = None,
    corrections: Mapping[str, Correction] = NO_CORRECTIONS,
    clock: Clock = time.perf_counter,
    reporter: Reporter | None = None,
) -> Plan:
    """Find the best placement of a workload on the devices of a registry.

    Args:
        registry: Nodes, devices and links.
        workload: The model, as ``read_workload`` returns it.
        options: How it will be run, and how long to search.
        this_node: Id of the machine that asks; it becomes the coordinator when the options name
            none and the registry knows it.
        corrections: What served requests taught, by id of device.
        clock: Seconds, from any origin.
        reporter: Watches the search.

    Returns:
        A plan; its status is ``infeasible`` when it is proven that nothing fits.

    Raises:
        RegistryError: The options name a coordinator that the registry does not have.
        OutOfTime: The time limit came before any placement was found.
    """
    options = options or PlanOptions()
    question = Question(registry, workload, options, corrections)
    start = clock()
    limit = options.timeout_s
    timer = Timer(clock, start + max(limit / 2, SEARCH_SHARE * limit - MERGING_S))
    known, untried = _known(question, this_node, timer)
    best, bound, name, states = _searched(known, untried, timer, reporter)
    note = ""
    if best.placement and options.node_tolerance is not None:
        best, note = fewest(best, options.node_tolerance, timer)
    report = SolverReport(name=name, elapsed_s=max(0.0, clock() - start), nodes=states)
    if best.placement:
        if len(best.placement) == 1 and best.problem.arrangement in _LARGER:
            # It was found among pipelines, where the engine would keep more buffers.
            best = best._replace(problem=rearranged(best.problem, _ALONE))
        plan = make_plan(best.problem, best.placement, bound, report)
        return plan.model_copy(update={"why": (*plan.why, note)}) if note else plan
    if bound < np.inf:
        raise OutOfTime(
            f"no placement was found within {options.timeout_s:g} s, nor proof that there is "
            "none: allow more time with --timeout, or less context with --ctx"
        )
    least = min(
        (one.problem for one in known), key=lambda one: (host_shortage(one), bytes_short(one))
    )
    judge = Judge(
        lambda changed, expired: fits(changed, this_node, expired),
        Timer(clock, clock() + min(CURES_S, limit)),
    )
    return infeasible_plan(least, explain_shortage(least, judge), report)


def _searched(
    known: Sequence[Candidate], untried: Sequence[str], timer: Timer, reporter: Reporter | None
) -> tuple[Candidate, float, str, int]:
    """Look for the best, first in memory, then with experts in RAM, at last from the disk.

    Args:
        known: What greedy answers there are.
        untried: Nodes that may coordinate and have none.
        timer: Ends the search.
        reporter: Watches it.

    Returns:
        The best placement, a bound in seconds, the name of the solver, and the states it opened.
    """
    best = min(known, key=lambda candidate: candidate.objective)
    question = best.problem.question
    options = question.options
    name, bound, states = "exact", np.inf, 0
    mixtures = [] if options.cpu_experts == 0 else _mixtures(question, known, untried)
    if options.cpu_experts:
        best = best._replace(objective=np.inf, placement=())
    elif options.solver == "greedy" and best.placement:
        name = "greedy"
        bound = min(_bound(c, best.objective) for c in known) if not untried else 0.0
    else:
        share = timer.first(timer.left() / 2) if mixtures else timer
        best, bound, states = _prove(best, known, untried, share, reporter)
    if mixtures:
        late = timer.first(GREEDY_BUDGET_S) if name == "greedy" else timer
        best, reached, opened = _apart(mixtures, best, late, reporter)
        bound, states = min(bound, reached), states + opened
    if not best.placement and bound == np.inf and not options.cpu_experts:
        mapped = [one for c in known if (one := mapped_problem(c.problem))]
        if mapped:
            from_disk = [_greedy(one, timer.expired) for one in mapped]
            best = min(from_disk, key=lambda candidate: candidate.objective)
            best, bound, states = _prove(best, from_disk, (), timer, reporter)
    return best, bound, name, states


def _known(
    question: Question, this_node: str | None, timer: Timer
) -> tuple[list[Candidate], list[str]]:
    """Answer greedily for the most promising coordinators; return also the nodes left untried."""
    nodes = rank_coordinators(question, this_node)
    expired = timer.within(GREEDY_BUDGET_S)
    known: list[Candidate] = []
    for tried, node in enumerate(nodes, 1):
        known += [_greedy(one, expired) for one in problems_of(question, node)]
        if expired():
            return known, nodes[tried:]
    return known, []


def _mixtures(
    question: Question, known: Sequence[Candidate], untried: Sequence[str]
) -> list[Mixture]:
    """The problems in which experts may be in a coordinator's RAM, models on one device first."""
    if not any(block.expert_bytes for block in question.workload.blocks):
        return []
    rest = (one for node in untried for one in problems_of(question, node))
    mixed = (mixture(one) for one in chain((c.problem for c in known), rest))
    order = (Arrangement.ALONE, Arrangement.IN_TURN)
    return sorted(filter(None, mixed), key=lambda one: order.index(one.problem.arrangement))


def _apart(
    mixtures: Sequence[Mixture], best: Candidate, timer: Timer, reporter: Reporter | None
) -> tuple[Candidate, float, int]:
    """Search all problems with experts in a coordinator's RAM, each with its share of the time."""
    bound, states = np.inf, 0
    for at, mixed in enumerate(mixtures):
        expired = timer.share(len(mixtures) - at)
        best, reached, opened = search_numbers(mixed, best, expired, reporter)
        bound, states = min(bound, reached), states + opened
    return best, bound, states


def _bound(answered: Candidate, objective: float) -> float:
    """A bound beside a greedy answer; where there is one stage only, that is the best itself."""
    if answered.problem.arrangement is _ALONE:
        return answered.objective
    return quick_bound(answered.problem, objective)


def _greedy(problem: Problem, expired: Callable[[], bool]) -> Candidate:
    registry, workload, *_ = problem.question
    scores = score_devices(registry, problem.coordinator, workload.n_embd)
    order = [score.device for score in scores]
    return Candidate(problem, *solve_greedily(problem, order, expired))


def _prove(
    best: Candidate,
    known: Sequence[Candidate],
    untried: Sequence[str],
    timer: Timer,
    reporter: Reporter | None,
) -> tuple[Candidate, float, int]:
    """Search every problem for something better, or for proof; each has its share of the time.

    Where there are several, the first searches are short; what they leave open has the rest.
    """
    question = best.problem.question
    # What takes no time comes first, so that the rest may take all of it.
    order = sorted(known, key=lambda c: (c.problem.arrangement is not _ALONE, c.objective))
    rest = (one for node in untried for one in problems_of(question, node))
    # A model on one device is decided at once, and what cannot fit is not looked at.
    left = sum(_takes_time(one.problem) for one in order) + 2 * len(untried)
    short = 1 if left <= 1 else SHORT
    bound, states = np.inf, 0
    unproven: list[tuple[float, int, Problem]] = []

    def searched(problem: Problem, expired: Callable[[], bool]) -> float:
        """Search a problem; return what is proven of it."""
        nonlocal best, states
        given = best.placement if problem is best.problem else ()
        outcome = solve_exactly(problem, best.objective, expired, reporter, given)
        states += outcome.states
        if outcome.objective < best.objective:
            best = Candidate(problem, outcome.objective, outcome.placement)
        return outcome.bound

    for at, problem in enumerate(chain((one.problem for one in order), rest)):
        if timer.expired():
            if at >= len(order):
                return best, 0.0, states
            bound = min(bound, quick_bound(problem, best.objective))
        elif not cannot_fit(problem):
            reached = searched(problem, timer.share(short * max(1, left)))
            left -= _takes_time(problem)
            if reached < best.objective * (1 - WORTHWHILE):
                reached = max(reached, quick_bound(problem, best.objective))
                unproven.append((reached, at, problem))
            else:
                bound = min(bound, reached)
    for at, (reached, _, problem) in enumerate(sorted(unproven)):
        more = reached
        if short > 1 and reached < best.objective and not timer.expired():
            more = searched(problem, timer.share(len(unproven) - at))
        bound = min(bound, max(reached, more))
    return best, min(bound, best.objective), states


def _takes_time(problem: Problem) -> bool:
    return problem.arrangement is not _ALONE and not cannot_fit(problem)
