"""The objective of one arrangement made as small as possible, with proof where time allows.

Where nothing but the slowest stage counts, ``hgx.planner.search.reach`` is quickest, with memories
that devices share divided among them (``hgx.planner.search.sharing``). Everything else is searched
among labels (``hgx.planner.search.cheapest``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.planner.arcs import Arcs
from hgx.planner.bound import lower_bound
from hgx.planner.constraints import device_limits
from hgx.planner.search.cheapest import Cheapest
from hgx.planner.search.found import Outcome, Run
from hgx.planner.search.paths import path_bound
from hgx.planner.search.reach import FEW_ROUNDS, MANY_ROUNDS, Slowest
from hgx.planner.search.reporter import Silent
from hgx.planner.search.sharing import named, share_memories
from hgx.planner.search.standing import Standing
from hgx.planner.tables import build_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem
    from hgx.planner.search.found import Found
    from hgx.planner.search.reporter import Reporter
    from hgx.planner.tables import Tables

SETS_WIDTH = 16384
"""Sets of devices kept per layer of the search for the slowest stage."""

BEAMS = (16, 128, 1024)
"""The same where a proof is out of reach."""

MOST_SETS = 1 << 14
"""Sets of devices up to which a search may try them all."""

CLOSE = 0.01
"""Gap up to which it pays to search everything before spans of the slowest stage's seconds."""

FLOOR_STEPS = 20
"""Steps towards a first bound on the slowest stage."""


def minimise(
    problem: Problem,
    target: float,
    expired: Callable[[], bool],
    reporter: Reporter | None = None,
    known: Placement = (),
) -> Outcome:
    """Find the placement with the least objective.

    Args:
        problem: The problem; more than one device may take part.
        target: Objective to beat, in seconds; infinite when none is known.
        expired: Returns whether to stop.
        reporter: Watches the searches.
        known: A placement with the target as its objective, where there is one.
    """
    tables = build_tables(problem, device_limits(problem), problem.shared_pools)
    if not tables.classes:
        return Outcome(np.inf, (), np.inf, 0)
    if expired():
        return Outcome(np.inf, (), 0.0, 0)
    if tables.bottleneck and _shrinks(tables):
        return _slowest(problem, tables, target, expired, reporter)
    standing = Standing(target, _runs(tables, known))
    _cheapest(tables, standing, expired, reporter)
    return _outcome(tables, standing)


def _slowest(
    problem: Problem,
    tables: Tables,
    target: float,
    expired: Callable[[], bool],
    reporter: Reporter | None,
) -> Outcome:
    """Make the slowest stage as fast as possible."""

    def quickest(tables: Tables, target: float, floor: float) -> Found:
        floor = max(floor, lower_bound(tables, target, FLOOR_STEPS).root())
        search = Slowest(tables, expired, reporter or Silent())
        if tables.sets > MOST_SETS:
            return search.run(target, floor, BEAMS, MANY_ROUNDS)
        return search.run(target, floor, (SETS_WIDTH,), FEW_ROUNDS)

    def among_labels() -> Outcome:
        standing, arcs = Standing(target), Arcs(tables)
        bound = path_bound(arcs, target, expired)
        standing.prove(bound.root())
        Cheapest(arcs, standing, expired, reporter).begin(bound)
        return _outcome(tables, standing)

    if len(tables.pools):
        return share_memories(problem, target, quickest, among_labels, expired)
    found = quickest(tables, target, 0.0)
    return Outcome(found.objective, named(tables, found.runs), found.bound, found.states)


def _cheapest(
    tables: Tables, standing: Standing, expired: Callable[[], bool], reporter: Reporter | None
) -> None:
    """Make sum and slowest stage together as small as possible."""
    arcs = Arcs(tables)
    bound = path_bound(arcs, standing.objective, expired)
    standing.prove(bound.root())
    search = Cheapest(arcs, standing, expired, reporter)
    search.start(bound)
    if not tables.peaked or standing.objective - standing.bound < CLOSE * standing.objective:
        search.begin(bound)
    search.finish(bound)


def _outcome(tables: Tables, standing: Standing) -> Outcome:
    objective = standing.objective if standing.runs else np.inf
    return Outcome(objective, named(tables, standing.runs), standing.bound, standing.states)


def _runs(tables: Tables, placement: Placement) -> tuple[Run, ...]:
    """A placement as runs of classes."""
    of_device = {name: at for at, one in enumerate(tables.classes) for name in one.devices}
    return tuple(Run(of_device[name], begin, end + 1) for name, begin, end in placement)


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
