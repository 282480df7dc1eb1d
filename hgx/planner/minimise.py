"""A sum over stages or the slowest stage, made as small as possible, with proof where time allows.

Searches have a growing width and, where memory is shared, a growing accuracy. The search keeps
account of a memory that several devices share in levels, rounded down, so that it never overlooks a
placement but may return one that takes too much (``hgx.planner.levels``). Then what it claims is
still a bound. The levels that were too coarse are refined, and it runs again, until what it returns
keeps all limits. Where there are too many sets of devices to try them all, a local search improves
the answer, and the bound is that of the rosters.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.arcs import Arcs
from hgx.planner.bound import Bound, lower_bound
from hgx.planner.constraints import device_limits
from hgx.planner.levels import Levels, add_marks, no_marks
from hgx.planner.paths import PathBound, Prices, path_bound
from hgx.planner.placement import price
from hgx.planner.polish import polish
from hgx.planner.reach import FEW_ROUNDS, MANY_ROUNDS, Slowest
from hgx.planner.reporter import Silent
from hgx.planner.roster import roster_bound
from hgx.planner.search import WORTHWHILE, Found, Run, Search
from hgx.planner.tables import build_tables, stage_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hgx.planner.levels import Marks
    from hgx.planner.placement import Placement, PricedStage
    from hgx.planner.problem import Pool, Problem
    from hgx.planner.reporter import Reporter
    from hgx.planner.tables import Tables

WIDTHS = (32, 1024, 16384)
"""States kept per layer: a narrow search finds a good answer, a wide one proves it."""

BEAMS = (16, 128, 1024)
"""The same where a proof is out of reach."""

LEAST_WIDTH, FEW_CLASSES = 4, 64
"""Where devices are more than so many, the narrow search is narrower, but not below that."""

MOST_SETS = 1 << 14
"""Sets of devices up to which a search may try them all."""

FEW_STEPS, MANY_STEPS = 25, 300
"""Steps towards good prices where a search proves the answer, and where they must."""

MOST_WORK = MANY_STEPS * 64 * 128
"""Steps times classes times blocks that may be spent on prices: they are the means, not the end."""

FEW_KICKS, MANY_KICKS = 0, 100_000
"""How often a local search starts anew, before the bound is known and after."""


class Outcome(NamedTuple):
    """What is known at the end.

    Attributes:
        objective: Seconds of the best placement found; infinite when none beats the target.
        placement: That placement, or nothing.
        bound: No placement has an objective below ``min(bound, objective, target)``.
        states: Search states opened.
    """

    objective: float
    placement: Placement
    bound: float
    states: int


class Minimiser:
    """The loop over accuracies.

    Args:
        problem: Either its sum or its slowest stage counts.
        target: Objective to beat, in seconds; infinite when none is known.
        expired: Returns whether to stop.
        reporter: Watches the searches.
        cap: Most seconds of one stage by the weights of the problem's peak.
        known: A placement with the target as its objective, where there is one.
    """

    def __init__(
        self,
        problem: Problem,
        target: float,
        expired: Callable[[], bool],
        reporter: Reporter | None,
        *,
        cap: float = np.inf,
        known: Placement = (),
    ) -> None:
        self._problem = problem
        self._known = known
        self._cap = cap
        self._limits = device_limits(problem)
        self._shared = tuple(pool for pool in problem.pools if len(pool.devices) > 1)
        self._expired = expired
        self._reporter = reporter
        self._best = target
        self._placement: Placement = ()
        self._states = 0

    def run(self) -> Outcome:
        """Search, refine, and search again."""
        tables = build_tables(self._problem, self._limits, self._shared, cap=self._cap)
        if not tables.classes:
            return Outcome(np.inf, (), np.inf, 0)
        if self._expired():
            return Outcome(np.inf, (), 0.0, 0)
        if tables.bottleneck and not self._shared and _shrinks(tables):
            return self._slowest(tables)
        bound, marks = 0.0, no_marks(tables)
        while bound < self._best * (1 - WORTHWHILE) and not self._expired():
            reached, stages = self._search(tables, marks, WIDTHS)
            bound = max(bound, reached)
            if not stages:
                break
            finer = self._refined(marks, stages)
            if finer == marks:
                break
            marks = finer
            self._repair(stages)
        objective = self._best if self._placement else np.inf
        return Outcome(objective, self._placement, min(bound, self._best), self._states)

    def _slowest(self, tables: Tables) -> Outcome:
        """Make the slowest stage as fast as possible."""
        floor = lower_bound(tables, self._best).root()
        search = Slowest(tables, self._expired, self._reporter or Silent())
        if tables.sets > MOST_SETS:
            found = search.run(self._best, floor, BEAMS, MANY_ROUNDS)
        else:
            found = search.run(self._best, floor, WIDTHS[-1:], FEW_ROUNDS)
        placement = _named(tables, found.runs)
        return Outcome(found.objective, placement, min(found.bound, self._best), found.states)

    def _search(
        self, tables: Tables, marks: Marks, widths: Sequence[int]
    ) -> tuple[float, list[PricedStage]]:
        """Search with growing width, until the best is proven or time is up.

        What is found becomes the incumbent if it keeps the limits of the shared memories.

        Returns:
            A bound, and the placement that was found, or nothing.
        """
        prices, arcs = self._prices(tables)
        levels = Levels(tables, marks)
        best = Found(np.inf, (), prices.root(), 0)
        large = arcs is not None and not self._shared and tables.sets > MOST_SETS
        plain = large and not tables.constrained
        if large:  # the search is there to begin the local one with something
            narrow = widths[0] * FEW_CLASSES // len(tables.classes)
            widths = (max(LEAST_WIDTH, min(widths[0], narrow)),)
        for width in widths:
            if best.bound >= min(self._best, best.objective) * (1 - WORTHWHILE):
                break
            search = Search(tables, prices, levels, self._expired, self._reporter)
            found = search.run(min(self._best, best.objective), width)
            self._states += found.states
            best = _better(best, found)
            if self._expired():
                break
        if plain and arcs is not None and isinstance(prices, PathBound):
            best = self._many(tables, arcs, prices, best)
        if not best.runs:
            return best.bound, []
        placement = _named(tables, best.runs)
        stages = price(self._problem, placement, self._limits)
        if all(sum(_taken(pool, stages)) <= pool.capacity for pool in self._problem.pools):
            self._best, self._placement = best.objective, placement
        return best.bound, stages

    def _prices(self, tables: Tables) -> tuple[Bound | PathBound, Arcs | None]:
        """Find a bound for the states of a search, and the stages it rests on."""
        quick = lower_bound(tables, self._best)
        if tables.bottleneck:
            return quick, None
        arcs = Arcs(tables)
        room = np.array([one.room for one in tables.classes])
        start = Prices(quick.price * room, quick.pool_price)
        steps = FEW_STEPS
        if tables.sets > MOST_SETS:
            steps = min(MANY_STEPS, max(FEW_STEPS, MOST_WORK // (len(room) * tables.n_block)))
        return path_bound(tables, arcs, start, self._best, steps, expired=self._expired), arcs

    def _many(self, tables: Tables, arcs: Arcs, paths: PathBound, best: Found) -> Found:
        """Where there are too many sets of devices: a better bound, and a better answer."""
        runs = best.runs or self._known_runs(tables)
        if not runs:
            return best
        target = min(self._best, best.objective)

        def polished(floor: float, kicks: int) -> None:
            nonlocal best, target, runs
            found = polish(arcs, runs, floor, kicks, self._expired)
            if found.objective < target * (1 - WORTHWHILE):
                target, runs = found.objective, tuple(Run(*run) for run in found.runs)
                best = best._replace(objective=target, runs=runs)

        polished(best.bound, FEW_KICKS)
        bound = max(best.bound, roster_bound(tables, arcs, paths, target, self._expired))
        best = best._replace(bound=min(bound, target))
        if bound < target * (1 - WORTHWHILE):
            polished(bound, MANY_KICKS)
        return best

    def _known_runs(self, tables: Tables) -> tuple[Run, ...]:
        """What was known before as runs of classes."""
        of_device = {name: at for at, one in enumerate(tables.classes) for name in one.devices}
        return tuple(Run(of_device[name], a, b + 1) for name, a, b in self._known)

    def _refined(self, marks: Marks, stages: Sequence[PricedStage]) -> Marks:
        """Forbid what a placement takes too much of shared memories; no change where nothing."""
        finer: list[tuple[float, ...]] = []
        for pool, old in zip(self._shared, marks, strict=True):
            taken = _taken(pool, stages)
            broken = sum(taken) > pool.capacity
            finer.append(add_marks(old, pool.capacity, taken, self._sizes) if broken else old)
        return tuple(finer)

    def _repair(self, stages: Sequence[PricedStage]) -> None:
        """Look for an incumbent that divides shared memories as a broken placement did."""
        taken = {stage.slot.device: stage.memory.total_bytes for stage in stages}
        limits = dict(self._limits)
        for pool in self._shared:
            total = sum(taken.get(device, 0) for device in pool.devices) or 1
            for device in pool.devices:
                share = pool.capacity * taken.get(device, 0) / total
                limits[device] = min(limits[device], share)
        tables = build_tables(self._problem, limits, cap=self._cap)
        if tables.classes:
            self._search(tables, (), WIDTHS[:1])

    @cached_property
    def _sizes(self) -> list[float]:
        """All sizes in bytes that a stage can have, ascending."""
        inner, last = stage_bytes(self._problem.footprint)
        on_host = last - self._problem.footprint.shared_head
        sizes = np.unique(np.concatenate((inner.ravel(), last, on_host)))
        return sizes[np.isfinite(sizes)].tolist()


def _shrinks(tables: Tables) -> bool:
    """Whether no stage needs more room for having fewer blocks, which some models' stages do."""
    (inner, last), n = tables.classes[0].stage_bytes, tables.n_block
    begin, end = np.arange(n)[:, None], np.arange(n)
    shorter = inner[:n, 1:n] <= inner[:n, 2:] if n > 1 else inner[:n, 1:n] <= 0
    later = inner[1:n, :n] <= inner[: n - 1, :n]
    return bool(
        (shorter | (begin >= end[1:])).all()
        and (later | (begin[1:] >= end)).all()
        and (last[1:n] <= last[: n - 1]).all()
    )


def _better(best: Found, found: Found) -> Found:
    """The better answer, and the better bound."""
    return Found(
        min(found.objective, best.objective),
        found.runs or best.runs,
        max(best.bound, found.bound),
        0,
    )


def _named(tables: Tables, runs: tuple[Run, ...]) -> Placement:
    """Give the runs of a class to its devices, one after the other."""
    unused = [iter(c.devices) for c in tables.classes]
    return tuple((next(unused[run.class_index]), run.begin, run.end - 1) for run in runs)


def _taken(pool: Pool, stages: Sequence[PricedStage]) -> list[int]:
    """Bytes that the devices of a memory take, in pipeline order."""
    return [stage.memory.total_bytes for stage in stages if stage.slot.device in pool.devices]
