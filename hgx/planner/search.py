"""The exact search: branch and bound over which device comes next, with dominance.

A state says which devices are used, how many of each class, and whether the last stage left its
hidden states on its own node (then the next stage stands there too and takes them over without
the wire). For every state the search knows the least cost of having placed the first ``b``
blocks, for all ``b`` at once: a vector. Appending a stage is then one product of that vector
with the stage table of a class, in the semiring (min, +) for latency or (min, max) for the
slowest stage. Two ways to the same state merge by minimum, which is what makes the search small:
ten different devices have 1024 states however many blocks there are. Entries that cannot beat
the incumbent, by the bound on what is left to pay, are dropped.

Layers, one per number of stages, may be cut to a width. Then the least bound among the states
that were cut is what remains proven, and a wider search may prove more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.planner.layer import CLOSED, Layer, merged, pick
from hgx.planner.levels import OPEN_END
from hgx.planner.reporter import Silent
from hgx.planner.semiring import append, append_band, band_of, combine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hgx.planner.bound import Bound
    from hgx.planner.levels import Levels, Take
    from hgx.planner.paths import PathBound
    from hgx.planner.reporter import Reporter
    from hgx.planner.tables import DeviceClass, Tables

    Floats = NDArray[np.float64]
    Counts = NDArray[np.uint16]

SLAB = 256
"""States that are handled together."""

ELEMENTS = 1 << 23
"""Most entries that one layer may produce before it is merged: 64 MiB of them."""

WORTHWHILE = 1e-9
"""Relative improvement below which two objectives are the same."""


class Run(NamedTuple):
    """A stage of a found placement: blocks ``begin .. end-1`` on a device of a class."""

    class_index: int
    begin: int
    end: int


class Found(NamedTuple):
    """What a search found.

    Attributes:
        objective: Seconds of the best placement; infinite when there is none below the target.
        runs: Its stages in order, or nothing.
        bound: No placement has an objective below this and below ``objective``.
        states: States that were opened.
    """

    objective: float
    runs: tuple[Run, ...]
    bound: float
    states: int


class _Entry(NamedTuple):
    """States that a class can follow in the same way.

    Attributes:
        rows: Their indices in the layer.
        entered: Whether hidden states come over the wire.
        level: Level of the shared memory the class is in; 0 where it is in none.
        closing: Whether it is the last device of that memory.
    """

    rows: NDArray[np.intp]
    entered: bool
    level: int
    closing: bool


class _Goal(NamedTuple):
    """A complete placement: the last stage, and the state before it."""

    depth: int
    row: int
    class_index: int


class Search:
    """One search over one set of tables.

    Args:
        tables: Stage tables.
        bound: Bound on what is left to pay.
        levels: How account is kept of shared memories.
        expired: Returns whether to stop; asked once per class and slab of states.
        reporter: Watches.
    """

    def __init__(
        self,
        tables: Tables,
        bound: Bound | PathBound,
        levels: Levels,
        expired: Callable[[], bool],
        reporter: Reporter | None = None,
    ) -> None:
        self._tables = tables
        self._bound = bound
        self._levels = levels
        self._expired = expired
        self._reporter = reporter or Silent()
        self._counts = np.array([len(c.devices) for c in tables.classes], dtype=np.uint16)
        self._layers: list[Layer] = []
        self._capped: dict[tuple[int, int, int, bool, bool, bool], Floats] = {}
        self._goal: _Goal | None = None

    def run(self, target: float, width: int) -> Found:
        """Look for the best placement below a known objective.

        Args:
            target: Objective to beat, in seconds; infinite when none is known.
            width: Most states to keep per layer; fewer are kept where memory asks for it.
        """
        tables = self._tables
        offspring = max(1, len(tables.classes)) * (tables.n_block + 1)
        width = max(1, min(width, ELEMENTS // offspring))
        start = np.full((1, tables.n_block + 1), np.inf)
        start[0, 0] = 0.0
        layer = Layer(
            np.zeros((1, len(tables.classes)), dtype=np.uint16),
            np.zeros((1, len(tables.pool_room)), dtype=np.uint16),
            np.full(1, CLOSED, dtype=np.int16),
            start,
        )
        self._layers, self._goal = [], None
        best, cut, states = target, np.inf, 0
        while len(layer.mode):
            self._reporter.layer(len(self._layers), len(layer.mode))
            self._layers.append(layer)
            states += len(layer.mode)
            floor = self._floor(layer)
            best = self._finish(layer, best)
            following = None if self._expired() else self._expand(layer, best)
            if following is None:
                cut = min(cut, float(floor.min()))
                break
            layer, lost = self._narrow(following, width)
            cut = min(cut, lost)
        runs = () if self._goal is None else tuple(self._walk_back(self._goal))
        objective = best if runs else np.inf
        return Found(objective, runs, min(cut, best), states)

    def _floor(self, layer: Layer) -> Floats:
        """Least objective each state can still lead to, shape ``(states,)``."""
        rest = self._bound.rest(layer.used.astype(np.float64), layer.mode)
        return self._combine(layer.cost, rest).min(axis=1)

    def _combine(self, done: Floats, more: Floats) -> Floats:
        return combine(done, more, bottleneck=self._tables.bottleneck)

    def _finish(self, layer: Layer, best: float) -> float:
        """Try every class as the last stage."""
        first = len(self._layers) == 1
        for index, device_class in enumerate(self._tables.classes):
            for entry in self._entries(layer, index, device_class):
                rows = self._completing(layer, entry.rows, index)
                if not len(rows):
                    continue
                toll = device_class.toll_last(first=first, entered=entry.entered)
                last = self._levels.last(index, entry.level) + toll
                total = self._combine(layer.cost[rows], last[None, :])
                value = float(total.min())
                if value < best * (1 - WORTHWHILE):
                    best = value
                    row = int(rows[int(total.min(axis=1).argmin())])
                    self._goal = _Goal(len(self._layers) - 1, row, index)
                    self._reporter.improved(best)
        return best

    def _completing(self, layer: Layer, rows: NDArray[np.intp], index: int) -> NDArray[np.intp]:
        """Those states that a last stage of a class makes what was wished for."""
        tables = self._tables
        if not tables.constrained:
            return rows
        used = layer.used[rows]
        used[:, index] += 1
        return rows[tables.allowed(used) & tables.fulfilled(used)]

    def _entries(self, layer: Layer, index: int, device_class: DeviceClass) -> Iterator[_Entry]:
        """States that a class can follow, in slabs, so that the clock is looked at often."""
        if len(self._layers) == 1 and self._tables.opening and index not in self._tables.opening:
            return
        free = layer.used[:, index] < self._counts[index]
        pool = self._levels.pool_of[index]
        for mode in sorted({CLOSED, device_class.group}):
            rows = np.flatnonzero(free & (layer.mode == mode))
            for part, level, closing in self._by_level(layer, rows, pool):
                for at in range(0, len(part), SLAB):
                    yield _Entry(part[at : at + SLAB], mode == CLOSED, level, closing)

    def _by_level(
        self, layer: Layer, rows: NDArray[np.intp], pool: int
    ) -> Iterator[tuple[NDArray[np.intp], int, bool]]:
        """Part states by what is taken of a shared memory, and whether its last device comes."""
        if pool < 0 or not len(rows):
            yield rows, 0, False
            return
        closes = self._levels.closes(layer.used[rows], pool)
        level = layer.level[rows, pool]
        for closing in (False, True):
            for value in np.unique(level[closes == closing]):
                yield rows[(closes == closing) & (level == value)], int(value), closing

    def _expand(self, layer: Layer, best: float) -> Layer | None:
        """Append every class to every state; None when time ran out before all was done."""
        parts: list[Layer] = []
        for index, device_class in enumerate(self._tables.classes):
            for entry in self._entries(layer, index, device_class):
                if self._expired():
                    return None
                for take in self._levels.takes(index, entry.level, closing=entry.closing):
                    for mode in sorted({CLOSED, device_class.group}):
                        part = self._appended(layer, entry, index, take, mode)
                        parts.append(self._pruned(part, best))
        return merged(parts) if parts else pick(layer, np.array([], dtype=np.intp))

    def _appended(self, layer: Layer, entry: _Entry, index: int, take: Take, mode: int) -> Layer:
        """Append one stage of a class, in one way to take memory and to leave hidden states."""
        device_class = self._tables.classes[index]
        first = len(self._layers) == 1
        toll = device_class.toll(first=first, entered=entry.entered, left=mode == CLOSED)
        used, level = layer.used[entry.rows], layer.level[entry.rows]
        used[:, index] += 1
        pool = self._levels.pool_of[index]
        if pool >= 0:
            level[:, pool] = max(take.target, 0)
        modes = np.full(len(entry.rows), mode, dtype=np.int16)
        cost, bottleneck = layer.cost[entry.rows], self._tables.bottleneck
        if bottleneck:
            longer = append(cost, take.stages + toll, bottleneck=True)
        elif isinstance(toll, np.ndarray):
            key = (index, entry.level, take.target, first, entry.entered, mode == CLOSED)
            if key not in self._capped:
                self._capped[key] = band_of(take.stages + toll)
            longer = append_band(cost, self._capped[key])
        else:
            longer = append_band(cost, take.band) + toll
        return Layer(used, level, modes, longer)

    def _pruned(self, layer: Layer, best: float) -> Layer:
        """Drop entries that cannot lead below the incumbent, and states without entries."""
        rest = self._bound.rest(layer.used.astype(np.float64), layer.mode)
        hopeless = self._combine(layer.cost, rest) >= best * (1 - WORTHWHILE)
        cost = np.where(hopeless, np.inf, layer.cost)
        cost[:, -1] = np.inf  # the output head needs a block beside it
        kept = np.isfinite(cost).any(axis=1) & self._tables.allowed(layer.used)
        return pick(layer._replace(cost=cost), np.flatnonzero(kept))

    def _narrow(self, layer: Layer, width: int) -> tuple[Layer, float]:
        """Keep the most promising states; return also the least bound of those cut."""
        if len(layer.mode) <= width:
            return layer, np.inf
        floor = self._floor(layer)
        order = np.argsort(floor, kind="stable")
        kept, lost = order[:width], order[width:]
        return pick(layer, kept), float(floor[lost[0]])

    def _walk_back(self, goal: _Goal) -> list[Run]:
        """Recover the stages of the incumbent from the layers."""
        classes = self._tables.classes
        layer = self._layers[goal.depth]
        entered = layer.mode[goal.row] == CLOSED
        last = classes[goal.class_index]
        toll = last.toll_last(first=goal.depth == 0, entered=bool(entered))
        pool = self._levels.pool_of[goal.class_index]
        level = int(layer.level[goal.row, pool]) if pool >= 0 else 0
        stages = self._levels.last(goal.class_index, level)
        total = self._combine(layer.cost[goal.row], stages + toll)
        end = int(total.argmin())
        runs = [Run(goal.class_index, end, self._tables.n_block)]
        row = goal.row
        for depth in range(goal.depth, 0, -1):
            run, row = self._step_back(depth, row, end)
            runs.append(run)
            end = run.begin
        return runs[::-1]

    def _step_back(self, depth: int, row: int, end: int) -> tuple[Run, int]:
        """Find the state and the stage that led to an entry of a layer."""
        layer, before = self._layers[depth], self._layers[depth - 1]
        mode = int(layer.mode[row])
        best = (np.inf, Run(-1, 0, 0), -1)
        opening = self._tables.opening
        for index in map(int, np.flatnonzero(layer.used[row])):
            device_class = self._tables.classes[index]
            if depth == 1 and opening and index not in opening:
                continue
            if mode not in (CLOSED, device_class.group):
                continue
            for source, stages in self._sources(layer, before, row, index):
                entered = bool(before.mode[source] == CLOSED)
                toll = device_class.toll(first=depth == 1, entered=entered, left=mode == CLOSED)
                steps = self._combine(before.cost[source], (stages + toll)[:, end])
                begin = int(steps.argmin())
                if steps[begin] < best[0]:
                    best = (float(steps[begin]), Run(index, begin, end), source)
        return best[1], best[2]

    def _sources(
        self, layer: Layer, before: Layer, row: int, index: int
    ) -> Iterator[tuple[int, Floats]]:
        """States that one stage of a class turns into a given one, and the stages that do."""
        previous = layer.used[row].copy()
        previous[index] -= 1
        pool = self._levels.pool_of[index]
        others = [other for other in range(layer.level.shape[1]) if other != pool]
        same = (before.used == previous).all(axis=1)
        same &= (before.level[:, others] == layer.level[row, others]).all(axis=1)
        same &= np.isin(before.mode, (CLOSED, self._tables.classes[index].group))
        open_end = pool < 0 or bool(self._levels.closes(previous[None, :], pool)[0])
        target = OPEN_END if open_end else int(layer.level[row, pool])
        for source in map(int, np.flatnonzero(same)):
            level = int(before.level[source, pool]) if pool >= 0 else 0
            yield source, self._levels.stages(index, level, target)
