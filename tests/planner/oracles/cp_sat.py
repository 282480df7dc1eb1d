"""The planner's problem for CP-SAT: who has which block, and who follows whom.

Every block is on one device, and a device has one run of blocks or none. Who follows whom comes
out of that: wherever one device's run ends and another's begins. CP-SAT knows whole numbers only,
so seconds are counted in units (see ``RESOLUTION``), and what is said in the end holds but for the
rounding, which is half a unit per number.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
from ortools.sat.python import cp_model

from hgx.gguf.arrangement import Arrangement
from tests.planner.oracles.reading import Verdict, beside, hopeless, limit_of, opens, spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem
    from tests.planner.oracles.reading import Spent

    Expr = cp_model.LinearExpr

RESOLUTION = 1e-8
"""The unit, as a share of what all blocks take if each is where it is quickest."""


def solve(problem: Problem, timeout_s: float, workers: int = 1) -> Verdict:
    """Find the best placement, or prove that there is none.

    Args:
        problem: The problem, of one arrangement.
        timeout_s: Longest time to search, in seconds.
        workers: Threads that search.
    """
    if hopeless(problem):
        return Verdict((), math.inf, 0.0, 0.0)
    model = _Model(problem)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = timeout_s
    solver.parameters.num_workers = workers
    begin = time.perf_counter()
    status = solver.solve(model.model)
    elapsed = time.perf_counter() - begin
    if status == cp_model.INFEASIBLE:
        return Verdict((), math.inf, 0.0, elapsed)
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    placement = model.placement(solver) if found else ()
    bound = max(0.0, solver.best_objective_bound * model.unit - model.error_s)
    return Verdict(placement, bound, model.error_s, elapsed)


class _Model:
    """Variables and constraints.

    Attributes:
        model: The model.
        unit: Seconds that count as one.
        error_s: The most that rounding may change of an objective, in seconds.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.model = cp_model.CpModel()
        n, count = problem.n_block, len(problem.slots)
        self._total = [spent(slot, problem.total) for slot in problem.slots]
        self._peak = [spent(slot, problem.peak) for slot in problem.slots]
        quickest = [
            np.min([one.blocks for one in costs], axis=0).sum()
            for costs in (self._total, self._peak)
        ]
        self.unit = RESOLUTION * float(sum(quickest))
        self.error_s = self.unit / 2 * ((n + 1 + 4 * count) + (n + 1 + 4))
        self._on = [[self._bool() for _ in range(n)] for _ in range(count)]
        self._begins = [[self._bool() for _ in range(n)] for _ in range(count)]
        self._used = [self._bool() for _ in range(count)]
        # The engine's own process: first of all and without a wire, and with the head besides.
        self._whole = [self._bool() for _ in range(count)]
        self._after = {
            (one, other): self._bool()
            for one in range(count)
            for other in range(count)
            if one != other
        }
        self._runs()
        self._order()
        self._memory()
        self._wishes()
        self._objective()

    def placement(self, solver: cp_model.CpSolver) -> Placement:
        """Read the stages off a solution."""
        stages: list[tuple[int, int, str]] = []
        for slot, on in zip(self._problem.slots, self._on, strict=True):
            blocks = [at for at, one in enumerate(on) if solver.boolean_value(one)]
            if blocks:
                stages.append((blocks[0], blocks[-1], slot.device))
        return tuple((device, first, last) for first, last, device in sorted(stages))

    def _bool(self) -> cp_model.IntVar:
        return self.model.new_bool_var("")

    def _runs(self) -> None:
        """Each block is on one device, and each device has one run at most."""
        for of_block in zip(*self._on, strict=True):
            self.model.add_exactly_one(of_block)
        for on, begins, used in zip(self._on, self._begins, self._used, strict=True):
            self.model.add(begins[0] == on[0])
            for before, here, begin in zip(on, on[1:], begins[1:], strict=False):
                self.model.add_bool_or(~here, before, begin)
                self.model.add_implication(begin, here)
                self.model.add_implication(begin, ~before)
            self.model.add(sum(begins) == used)

    def _order(self) -> None:
        """Who follows whom, who may be first, and who is alone."""
        slots, n = self._problem.slots, self._problem.n_block
        for (one, other), after in self._after.items():
            for at in range(1, n):
                self.model.add_bool_or(~self._on[one][at - 1], ~self._begins[other][at], after)
        for at, slot in enumerate(slots):
            following = [after for (one, _), after in self._after.items() if one == at]
            leading = [after for (_, other), after in self._after.items() if other == at]
            first, last = self._on[at][0], self._on[at][-1]
            self.model.add(sum(following) + last == self._used[at])
            self.model.add(sum(leading) + first == self._used[at])
            self.model.add_implication(self._whole[at], first)
            self.model.add_implication(self._whole[at], last)
            self.model.add_bool_or(~first, ~last, self._whole[at])
            if not opens(self._problem, slot):
                self.model.add(first == 0)
        if self._problem.arrangement is Arrangement.ALONE:
            self.model.add_exactly_one(self._used)
        if self._problem.arrangement is Arrangement.HOST_FIRST:
            self.model.add(sum(self._used) > 1)

    def _memory(self) -> None:
        """Every device has room for what it has, and so has every memory that several share."""
        taken = [self._bytes(at) for at in range(len(self._used))]
        for slot, size in zip(self._problem.slots, taken, strict=True):
            self.model.add(size <= limit_of(self._problem, slot))
        for pool in self._problem.pools:
            shared = [
                size
                for slot, size in zip(self._problem.slots, taken, strict=True)
                if slot.device in pool.devices
            ]
            self.model.add(sum(shared) <= math.floor(pool.capacity))

    def _bytes(self, at: int) -> Expr:
        footprint = self._problem.footprint
        load = [round(size) for size in footprint.weights + footprint.kv]
        scratch = [round(size) for size in footprint.scratch]
        parts = [*self._on[at], self._on[at][-1]]  # the head goes with the last block
        needed = self.model.new_int_var(0, max(scratch), "")
        self.model.add(needed >= min(scratch) * self._used[at])
        for part, size in zip(parts, scratch, strict=True):
            if size > min(scratch):
                self.model.add(needed >= size * part)
        total = _weighted(parts, load)
        total += needed + round(footprint.inputs) * self._used[at]
        total += sum(
            round(size) * begins
            for size, begins in zip(footprint.entered, self._begins[at], strict=True)
        )
        total += sum(
            round(size) * (before - here + begins)  # it ends with the block before
            for size, before, here, begins in zip(
                footprint.left, self._on[at], self._on[at][1:], self._begins[at][1:], strict=False
            )
        )
        if self._problem.slots[at].on_host:
            total -= round(footprint.shared_compute) * self._on[at][0]
            total -= round(footprint.shared_head) * self._whole[at]
        return total

    def _wishes(self) -> None:
        """What is required is used, and no more nodes take part than may."""
        slots = self._problem.slots
        for some in self._problem.required:
            wanted = [
                used for slot, used in zip(slots, self._used, strict=True) if slot.device in some
            ]
            self.model.add(sum(wanted) >= 1)
        most = self._problem.question.options.max_nodes
        if most is None:
            return
        away = {slot.node: self._bool() for slot in slots if slot.remote}
        for slot, used in zip(slots, self._used, strict=True):
            if slot.remote:
                self.model.add_implication(used, away[slot.node])
        self.model.add(sum(away.values()) <= most - 1)

    def _objective(self) -> None:
        """The sum of all stages, and the slowest."""
        stages = range(len(self._used))
        total = sum(self._seconds(at, self._total[at]) for at in stages)
        peaks = [self._seconds(at, self._peak[at]) for at in stages]
        slowest = self.model.new_int_var(0, 1 << 50, "")
        for one in peaks:
            self.model.add(slowest >= one)
        self.model.minimize(total + slowest)

    def _seconds(self, at: int, cost: Spent) -> Expr:
        """What a device's stage takes, in units; 0 where it has none."""
        slots, used = self._problem.slots, self._used[at]
        first, last, whole = self._on[at][0], self._on[at][-1], self._whole[at]
        blocks = [self._units(one) for one in (*cost.blocks, cost.head)]
        total = _weighted([*self._on[at], last], blocks)
        near = [other for other, slot in enumerate(slots) if beside(slots[at], slot)]
        turn, enter, leave, finish = (self._units(one) for one in cost[2:])
        entered = used - sum(self._after[other, at] for other in near if other != at)
        left = used - last - sum(self._after[at, other] for other in near if other != at)
        total += turn * used + enter * entered + leave * left + finish * last
        if slots[at].on_host:
            total -= (turn + enter + leave) * first + (finish - leave) * whole
        return total

    def _units(self, seconds: float) -> int:
        return round(seconds / self.unit)


def _weighted(parts: Sequence[cp_model.IntVar], amounts: Sequence[int]) -> Expr:
    return cp_model.LinearExpr.weighted_sum(parts, amounts)  # pyright: ignore[reportUnknownMemberType] - its stub names no types
