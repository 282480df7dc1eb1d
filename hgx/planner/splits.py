"""How others would place a model: by rules of thumb, on the devices there are to choose from.

The rules get every chance: each is tried on all devices, and without CPUs of machines that have
something better; of several devices that share one memory the fastest is used; and the better
placement counts. What does not fit is said to be so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.core.explanation import Run, Split
from hgx.errors import Infeasible, OutOfTime
from hgx.planner.anatomy import Answer
from hgx.planner.arrangements import problems_of
from hgx.planner.constraints import device_limits
from hgx.planner.problem import build_problem
from hgx.planner.resolve import MOST_S, evaluated, solve_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgx.core.explanation import Rule
    from hgx.planner.anatomy import Priced
    from hgx.planner.placement import Placement
    from hgx.planner.pools import Pool
    from hgx.planner.problem import Problem
    from hgx.planner.resolve import Solved

RULES: tuple[Rule, ...] = ("memory", "speed", "fastest_first")


class Member(NamedTuple):
    """A device that a rule may use.

    Attributes:
        device: Its id.
        limit: Bytes it may take.
        rate: Bytes per second of its memory.
        on_host: Whether it is the coordinator's CPU, which the engine has do the first blocks.
        spare: Whether it is a CPU beside something better.
    """

    device: str
    limit: float
    rate: float
    on_host: bool
    spare: bool


def compare(priced: Priced, this_node: str | None, *, pinned: bool) -> tuple[Split, ...]:
    """Hold a plan against what the usual rules give.

    Args:
        priced: The plan.
        this_node: Id of the machine that asks.
        pinned: Whether the placement came from the user: then the planner's own is one more.
    """
    problem = build_problem(priced.problem.question, priced.answer.coordinator)
    splits = [_split(priced, problem, rule) for rule in RULES]
    if pinned:
        splits.append(_best(priced, this_node))
    return tuple(splits)


def _best(priced: Priced, this_node: str | None) -> Split:
    try:
        solved = solve_within(priced.problem.question, this_node, MOST_S)
    except OutOfTime as error:
        return _refused("best", (), error.message)
    if solved is None:
        return _refused("best", (), "nothing fits")
    return _compared(priced, "best", solved)


def _split(priced: Priced, problem: Problem, rule: Rule) -> Split:
    """The best that a rule gives, or why it gives nothing."""
    best: Solved | None = None
    refused: Split | None = None
    for placement in _placements(problem, rule):
        try:
            solved = evaluated(problem.question, Answer(problem.coordinator, placement))
        except Infeasible as error:
            refused = refused or _refused(rule, placement, error.message)
            continue
        if solved is not None and (best is None or solved.objective < best.objective):
            best = solved
    if best is not None:
        return _compared(priced, rule, best)
    return refused or _refused(rule, (), "the devices are full before all blocks are placed")


def _compared(priced: Priced, rule: Rule, solved: Solved) -> Split:
    return Split(
        rule=rule,
        runs=_runs(solved.placement),
        predicted=solved.predicted,
        longer=solved.objective / priced.objective - 1.0,
    )


def _refused(rule: Rule, placement: Placement, why: str) -> Split:
    return Split(rule=rule, runs=_runs(placement), predicted=None, longer=None, refused=why)


def _runs(placement: Placement) -> tuple[Run, ...]:
    return tuple(
        Run(device=device, first_block=first, last_block=last) for device, first, last in placement
    )


def _placements(problem: Problem, rule: Rule) -> Iterator[Placement]:
    """All placements that a rule gives, for the devices it may be meant for."""
    everyone = _members(problem)
    better = [one for one in everyone if not one.spare]
    for members in (everyone, *([better] if 0 < len(better) < len(everyone) else [])):
        match rule:
            case "memory":
                yield _proportional(problem, members, [one.limit for one in members])
            case "speed":
                yield _proportional(problem, members, [one.rate for one in members])
            case _:
                yield from _fastest_first(problem, members)


def _members(problem: Problem) -> list[Member]:
    """Devices in reach, of several that share one memory the fastest, in the engine's order.

    The coordinator's CPU comes first, because the engine has it do the first blocks; the others
    are as in the registry.
    """
    registry = problem.question.registry
    limits = device_limits(problem)
    devices = {device.id: device for device in registry.devices}
    rates = {name: device.memory_bandwidth_bytes_per_s for name, device in devices.items()}
    crowded = {name for pool in problem.pools for name in _crowded(pool, limits, rates)}
    accelerated = {device.node for device in registry.devices if device.backend != "cpu"}
    members = [
        Member(
            slot.device,
            limits[slot.device],
            rates[slot.device],
            slot.on_host,
            devices[slot.device].backend == "cpu" and slot.node in accelerated,
        )
        for slot in problem.slots
        if slot.device not in crowded and limits[slot.device] > 0
    ]
    return sorted(members, key=lambda one: not one.on_host)


def _crowded(pool: Pool, limits: Mapping[str, float], rates: Mapping[str, float]) -> Iterator[str]:
    """Devices of a shared memory that is full with what faster ones of it may take."""
    room = pool.capacity
    for name in sorted(pool.devices, key=lambda one: (-rates[one], one)):
        if limits[name] > room:
            yield name
        else:
            room -= limits[name]


def _proportional(
    problem: Problem, members: Sequence[Member], weights: Sequence[float]
) -> Placement:
    """Blocks in proportion to weights; the largest remainders get what is left over."""
    total = sum(weights)
    exact = [problem.n_block * weight / total for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: counts[at] - exact[at])
    for at in by_remainder[: problem.n_block - sum(counts)]:
        counts[at] += 1
    return _laid_out([(one.device, count) for one, count in zip(members, counts, strict=True)])


def _fastest_first(problem: Problem, members: Sequence[Member]) -> Iterator[Placement]:
    """The fastest device has as many of the last blocks as it holds, the next those before them.

    How much a device holds depends on the arrangement, so each is tried.
    """
    ranked = sorted(members, key=lambda one: -one.rate)
    for tried in problems_of(problem.question, problem.coordinator):
        counts: dict[str, int] = {}
        left = problem.n_block
        for one in ranked:
            counts[one.device] = _holds(tried, one, left)
            left -= counts[one.device]
        if not left:
            order = sorted(ranked, key=lambda one: (not one.on_host, one.rate))
            yield _laid_out([(one.device, counts[one.device]) for one in order])


def _holds(problem: Problem, member: Member, end: int) -> int:
    """How many of the blocks before ``end`` a device holds; the output head goes with the last."""
    footprint = problem.footprint
    taken = footprint.weights + footprint.kv
    head = end == problem.n_block
    held = footprint.inputs + (float(taken[-1]) if head else 0.0)
    scratch = float(footprint.scratch[-1]) if head else 0.0
    count = 0
    while count < end:
        at = end - count - 1
        held += float(taken[at])
        scratch = max(scratch, float(footprint.scratch[at]))
        if held + scratch > member.limit:
            break
        count += 1
    return count


def _laid_out(counts: Sequence[tuple[str, int]]) -> Placement:
    """One run after the other, without those that have no blocks."""
    placement: list[tuple[str, int, int]] = []
    following = 0
    for device, count in counts:
        if count:
            placement.append((device, following, following + count - 1))
            following += count
    return tuple(placement)
