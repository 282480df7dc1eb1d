"""The planner's problem for HiGHS: one path through the model, whose steps are stages.

A node of the graph is a boundary between blocks, with the hidden states at the coordinator or on
one of the far nodes that have several devices. An arc is a stage that fits into memory, with what
it pays for its way in and out. One unit of flow goes from the first boundary to the last; every
device has one arc at most. The slowest stage is a variable that no device's arc may exceed. It is
the formulation with the tightest linear relaxation that we know of.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

import highspy
import numpy as np

from hgx.gguf.arrangement import Arrangement
from tests.planner.oracles.reading import Verdict, hopeless, limit_of, opens, spent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem
    from tests.planner.oracles.reading import Spent

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

EXACT = 1e-9
"""By how much a constraint may be broken, as HiGHS takes it."""


def solve(
    problem: Problem, timeout_s: float, workers: int = 1, *, relaxed: bool = False
) -> Verdict:
    """Find the best placement, or prove that there is none.

    Args:
        problem: The problem, of one arrangement.
        timeout_s: Longest time to search, in seconds.
        workers: Threads that search.
        relaxed: Whether devices may be divided; then there is a bound and no placement.
    """
    if hopeless(problem):
        return Verdict((), math.inf, 0.0, 0.0)
    stages = list(_arcs(problem))
    if not stages:
        return Verdict((), math.inf, 0.0, 0.0)
    arcs = _columns(stages)
    highs = highspy.Highs()
    highs.resetGlobalScheduler(True)  # or it keeps the threads of the problem before
    for name, value in (
        ("output_flag", False),
        ("time_limit", timeout_s),
        ("threads", workers),
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", 0.0),
        ("mip_feasibility_tolerance", EXACT),
        ("primal_feasibility_tolerance", EXACT),
        ("dual_feasibility_tolerance", EXACT),
    ):
        highs.setOptionValue(name, value)
    highs.passModel(_model(problem, arcs, relaxed=relaxed))
    begin = time.perf_counter()
    assert highs.run() != highspy.HighsStatus.kError
    elapsed = time.perf_counter() - begin
    if highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
        return Verdict((), math.inf, 0.0, elapsed)
    info = highs.getInfo()
    if relaxed:
        return Verdict((), info.objective_function_value, 0.0, elapsed)
    placement: Placement = ()
    if info.primal_solution_status == highspy.kSolutionStatusFeasible:
        used = np.array(highs.getSolution().col_value)[: len(arcs.begin)]
        placement = _placement(problem, arcs, np.flatnonzero(used > 0.5))
    return Verdict(placement, max(0.0, info.mip_dual_bound), 0.0, elapsed)


class _Arc(NamedTuple):
    """A stage.

    Attributes:
        slot: Index of the device.
        begin: First block.
        end: Boundary behind the last.
        tail: Where the hidden states are before: 0 at the coordinator, or 1 and a far node.
        head: Where they are afterwards.
        size: Bytes that it takes.
        total: Seconds that add up.
        peak: Seconds of which the largest counts.
    """

    slot: int
    begin: int
    end: int
    tail: int
    head: int
    size: float
    total: float
    peak: float


class _Arcs(NamedTuple):
    """The same of all stages, one entry each."""

    slot: Indices
    begin: Indices
    end: Indices
    tail: Indices
    head: Indices
    size: Floats
    total: Floats
    peak: Floats


def _columns(arcs: Sequence[_Arc]) -> _Arcs:
    slot, begin, end, tail, head, size, total, peak = np.array(arcs).T
    numbers = (slot.astype(np.intp), begin.astype(np.intp), end.astype(np.intp))
    return _Arcs(*numbers, tail.astype(np.intp), head.astype(np.intp), size, total, peak)


def _crowded(problem: Problem) -> list[str]:
    """Far nodes with several devices."""
    nodes = [slot.node for slot in problem.slots if slot.remote]
    return sorted({node for node in nodes if nodes.count(node) > 1})


def _arcs(problem: Problem) -> Iterator[_Arc]:
    """All stages, in all ways to come to them and to leave them."""
    crowded = _crowded(problem)
    for at, slot in enumerate(problem.slots):
        inside = (0, crowded.index(slot.node) + 1) if slot.node in crowded else (0,)
        for head in inside:
            if opens(problem, slot):
                yield from _stages(problem, at, 0, (0, head))
            for tail in inside:
                for begin in range(1, problem.n_block):
                    yield from _stages(problem, at, begin, (tail, head))


def _stages(problem: Problem, at: int, begin: int, ways: tuple[int, int]) -> Iterator[_Arc]:
    """The stages of a device from a boundary on that fit, in one way to come and to leave."""
    slot, n = problem.slots[at], problem.n_block
    single = {Arrangement.ALONE: True, Arrangement.HOST_FIRST: False}.get(problem.arrangement)
    limit, free = limit_of(problem, slot), begin == 0 and slot.on_host
    sizes = _bytes(problem, begin, free=free).tolist()
    total, peak = (
        _seconds(spent(slot, weights), begin, ways, free=free).tolist()
        for weights in (problem.total, problem.peak)
    )
    for end in range(begin + 1, n + 1):
        which = end - begin - 1
        whole = begin == 0 and end == n
        if sizes[which] > limit or (ways[1] and end == n):
            continue  # the stage with the output head ends at the coordinator
        if (whole and single is False) or (single and not whole):
            continue
        yield _Arc(at, begin, end, *ways, sizes[which], total[which], peak[which])


def _bytes(problem: Problem, begin: int, *, free: bool) -> Floats:
    """Bytes of the blocks from one on, by the boundary they end at; the last has the head."""
    footprint = problem.footprint
    load = footprint.weights + footprint.kv
    taken = np.cumsum(load[begin:-1])
    taken[:-1] += footprint.left[begin:-1]
    scratch = np.maximum.accumulate(footprint.scratch[begin:-1])
    taken[-1] += load[-1] - (footprint.shared_head if free else 0.0)
    scratch[-1] = max(scratch[-1], footprint.scratch[-1])
    counted = footprint.shared_compute if free else 0.0
    return taken + scratch + footprint.inputs + footprint.entered[begin] - counted


def _seconds(cost: Spent, begin: int, ways: tuple[int, int], *, free: bool) -> Floats:
    """Seconds of the same stages; the engine's own process has no wire."""
    tail, head = ways
    seconds = np.cumsum(cost.blocks[begin:])
    seconds[-1] += cost.head
    if not free:
        seconds += cost.turn + (0.0 if tail else cost.enter)
        seconds[:-1] += 0.0 if head else cost.leave
        seconds[-1] += cost.finish
    return seconds


class _Matrix:
    """Constraints, collected entry by entry."""

    def __init__(self) -> None:
        self.lower: list[float] = []
        self.upper: list[float] = []
        self._rows: list[Indices] = []
        self._columns: list[Indices] = []
        self._values: list[Floats] = []

    def rows(self, lower: Sequence[float], upper: Sequence[float]) -> int:
        """Add empty rows; returns the index of the first."""
        first = len(self.lower)
        self.lower += lower
        self.upper += upper
        return first

    def put(self, rows: Indices, columns: Indices, values: Floats | float) -> None:
        """Add entries."""
        self._rows.append(rows)
        self._columns.append(columns)
        self._values.append(np.broadcast_to(values, rows.shape))

    def by_column(self, count: int) -> tuple[Indices, Indices, Floats]:
        """Give beginnings of columns, rows and values."""
        rows, columns = np.concatenate(self._rows), np.concatenate(self._columns)
        values, order = np.concatenate(self._values), np.argsort(columns, kind="stable")
        starts = np.concatenate(([0], np.cumsum(np.bincount(columns, minlength=count))))
        return starts, rows[order], values[order]


def _model(problem: Problem, arcs: _Arcs, *, relaxed: bool) -> highspy.HighsLp:
    """Columns: the arcs, the slowest stage, then the far nodes that take part."""
    far = sorted({slot.node for slot in problem.slots if slot.remote})
    count = len(arcs.begin)
    columns = count + 1 + len(far)
    matrix = _Matrix()
    _flow(problem, arcs, matrix)
    _devices(problem, arcs, matrix, far)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = columns, len(matrix.lower)
    lp.col_cost_ = np.concatenate((arcs.total, [1.0], np.zeros(len(far))))
    lp.col_lower_ = np.zeros(columns)
    lp.col_upper_ = np.concatenate((np.ones(count), [highspy.kHighsInf], np.ones(len(far))))
    lp.row_lower_, lp.row_upper_ = np.array(matrix.lower), np.array(matrix.upper)
    starts, rows, values = matrix.by_column(columns)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = starts, rows, values
    if not relaxed:
        whole, real = highspy.HighsVarType.kInteger, highspy.HighsVarType.kContinuous
        lp.integrality_ = [whole] * count + [real] * (1 + len(far))
    return lp


def _flow(problem: Problem, arcs: _Arcs, matrix: _Matrix) -> None:
    """What comes to a boundary goes on from there, but for the first and the last."""
    width, modes = problem.n_block + 1, len(_crowded(problem)) + 1
    given = np.zeros(modes * width)
    given[0], given[problem.n_block] = 1.0, -1.0
    row = matrix.rows(given.tolist(), given.tolist())
    every = np.arange(len(arcs.begin))
    matrix.put(row + arcs.tail * width + arcs.begin, every, 1.0)
    matrix.put(row + arcs.head * width + arcs.end, every, -1.0)


def _devices(problem: Problem, arcs: _Arcs, matrix: _Matrix, far: Sequence[str]) -> None:
    """Devices are used once, within their memories, as was wished for, below the slowest."""
    slots, count, free = problem.slots, len(arcs.begin), -highspy.kHighsInf
    every, slowest = np.arange(count), np.array([count])
    once = matrix.rows([free] * len(slots), [1.0] * len(slots))
    matrix.put(once + arcs.slot, every, 1.0)
    if any(problem.peak):
        below = matrix.rows([free] * len(slots), [0.0] * len(slots))
        matrix.put(below + arcs.slot, every, arcs.peak)
        matrix.put(below + np.arange(len(slots)), np.repeat(slowest, len(slots)), -1.0)

    def of(devices: frozenset[str]) -> Indices:
        member = np.array([slot.device in devices for slot in slots])
        return np.flatnonzero(member[arcs.slot])

    for pool in problem.pools:
        some = of(pool.devices)
        room = matrix.rows([free], [1.0])
        matrix.put(np.full(len(some), room), some, arcs.size[some] / max(1.0, pool.capacity))
    for wanted in problem.required:
        some = of(wanted)
        needed = matrix.rows([1.0], [-free])
        matrix.put(np.full(len(some), needed), some, 1.0)
    most = problem.question.options.max_nodes
    if most is None:
        return
    away = matrix.rows([free], [float(most - 1)])
    matrix.put(np.full(len(far), away), count + 1 + np.arange(len(far)), 1.0)
    for at, slot in enumerate(slots):
        if slot.remote:
            here = np.flatnonzero(arcs.slot == at)
            row = matrix.rows([free], [0.0])
            matrix.put(np.full(len(here), row), here, 1.0)
            matrix.put(np.array([row]), np.array([count + 1 + far.index(slot.node)]), -1.0)


def _placement(problem: Problem, arcs: _Arcs, chosen: Indices) -> Placement:
    stages = sorted((int(arcs.begin[at]), int(arcs.end[at]), int(arcs.slot[at])) for at in chosen)
    return tuple((problem.slots[slot].device, begin, end - 1) for begin, end, slot in stages)
