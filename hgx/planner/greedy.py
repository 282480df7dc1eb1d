"""The greedy solver: devices in the order of their scores, and the best split for that order.

With the order given, what is left is to choose how many blocks each device gets, none included.
One pass over the devices finds the best answer: for every device, the least cost of the first
``b`` blocks on it and those before it. That takes milliseconds for hundreds of devices, and where
the sum or the slowest stage counts alone, it can never be worse than filling one device after the
other in the same order. Where both do, it is the sum that is made small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.gguf.arrangement import Arrangement
from hgx.planner.alone import best_alone
from hgx.planner.constraints import cannot_fit, device_limits
from hgx.planner.keys import CLOSED
from hgx.planner.placement import price, total_objective
from hgx.planner.semiring import append, combine
from hgx.planner.tables import build_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from hgx.planner.placement import Placement
    from hgx.planner.problem import Problem
    from hgx.planner.tables import DeviceClass, Tables

    Floats = NDArray[np.float64]

START = -2
"""Mode before the first stage; the other modes are those of the exact search."""


AT_LEAST = 16
"""Devices the greedy solver always looks at."""

AMPLE = 1.5
"""It looks at no more devices once they hold this many times the model."""


def solve_greedily(
    problem: Problem, order: Sequence[str], expired: Callable[[], bool] = lambda: False
) -> tuple[float, Placement]:
    """Answer at once: the best split for an order, or for the same order from the back.

    Of a memory that several devices share, each takes what it can in the same order.

    Args:
        problem: The problem.
        order: Device ids, best first.
        expired: Returns whether to be content with the first order.

    Returns:
        The objective in seconds, infinite where nothing was found, and the placement.
    """
    if problem.arrangement is Arrangement.ALONE:
        return best_alone(problem)
    if cannot_fit(problem):
        return np.inf, ()
    forced = _forced(problem, order)
    order = _wished(problem, order)
    limits = device_limits(problem)
    for pool in problem.pools:
        left = pool.capacity
        for device in sorted(pool.devices & set(order), key=order.index):
            limits[device] = min(limits[device], left)
            left -= limits[device]
    tables = build_tables(problem, limits)
    short_list = _enough(tables, order, forced)
    best = best_split(tables, short_list, forced)
    if not best[1]:
        best = best_split(tables, order, forced)
    elif not expired():
        best = min(best, best_split(tables, short_list[::-1], forced))
    if not best[1] or not any(problem.total) or not any(problem.peak):
        return best
    return total_objective(problem, price(problem, best[1], device_limits(problem))), best[1]


def _wished(problem: Problem, order: Sequence[str]) -> Sequence[str]:
    """The devices of no more nodes than may take part: those of required ones, then the best."""
    most = problem.question.options.max_nodes
    if most is None:
        return order
    node_of = {slot.device: slot.node for slot in problem.slots}
    first = [*_forced(problem, order), *order]
    nodes = dict.fromkeys(node_of[device] for device in first if device in node_of)
    nodes.pop(problem.coordinator, None)
    kept = {problem.coordinator, *list(nodes)[: most - 1]}
    return [device for device in order if node_of.get(device) in kept]


def _forced(problem: Problem, order: Sequence[str]) -> frozenset[str]:
    """For each requirement its first device in an order."""
    firsts = (next((d for d in order if d in some), None) for some in problem.required)
    return frozenset(device for device in firsts if device)


def _enough(tables: Tables, order: Sequence[str], forced: frozenset[str]) -> Sequence[str]:
    """The first devices of an order that hold the model amply; hundreds would only cost time."""
    room = {device: c.room for c in tables.classes for device in c.devices}
    held, wanted = 0.0, AMPLE * float(tables.load.sum())
    for at, device in enumerate(order):
        held += room.get(device, 0.0)
        if at + 1 >= AT_LEAST and held >= wanted:
            return [*order[: at + 1], *(one for one in order[at + 1 :] if one in forced)]
    return order


def best_split(
    tables: Tables, order: Sequence[str], forced: frozenset[str] = frozenset()
) -> tuple[float, Placement]:
    """Find the best placement that uses devices in a given order.

    Args:
        tables: Stage tables.
        order: Device ids; those that are in no class are passed over.
        forced: Those of them that must be used.

    Returns:
        The objective in seconds, infinite where nothing fits, and the placement.
    """
    of_device = {device: c for c in tables.classes for device in c.devices}
    known = [(device, of_device[device]) for device in order if device in of_device]
    if not forced <= {device for device, _ in known}:
        return np.inf, ()
    known.sort(key=lambda one: not one[1].free_first)  # who may be nothing but first comes first
    walk = _Walk(tables, known, forced)
    return walk.best, tuple(walk.placement())


class _Walk:
    """One pass over the devices.

    ``_fronts[t]`` holds, per mode, the least cost of the first ``b`` blocks on the first ``t``
    devices, shape ``(n + 1,)``.
    """

    def __init__(
        self,
        tables: Tables,
        devices: Sequence[tuple[str, DeviceClass]],
        forced: frozenset[str],
    ) -> None:
        self._tables = tables
        self._devices = devices
        self._forced = forced
        self._openers = [tables.classes[at] for at in tables.opening] or tables.classes
        last_forced = max((at for at, (name, _) in enumerate(devices) if name in forced), default=0)
        start = np.full(tables.n_block + 1, np.inf)
        start[0] = 0.0
        self._fronts: list[dict[int, Floats]] = [{START: start}]
        self._end = (-1, START)
        self.best = np.inf
        for at, (name, device_class) in enumerate(devices):
            if at >= last_forced:
                self._finish(at, device_class)
            self._fronts.append(self._extended(name, device_class))

    def _sources(self, at: int, device_class: DeviceClass) -> Iterator[tuple[int, Floats]]:
        """Modes a device can follow, with their costs."""
        opens = any(device_class is one for one in self._openers)
        for mode in (START, *sorted({CLOSED, device_class.group})):
            if mode in self._fronts[at] and (opens or mode != START):
                yield mode, self._fronts[at][mode]

    def _extended(self, name: str, device_class: DeviceClass) -> dict[int, Floats]:
        """Offer the next device to every state as an inner stage."""
        fronts = {} if name in self._forced else dict(self._fronts[-1])
        for mode, cost in self._sources(-1, device_class):
            for after in sorted({CLOSED, device_class.group}):
                stages = device_class.inner + _wire(device_class, mode, after)
                longer = append(cost[None, :], stages, bottleneck=self._tables.bottleneck)[0]
                fronts[after] = np.minimum(fronts[after], longer) if after in fronts else longer
        return fronts

    def _finish(self, at: int, device_class: DeviceClass) -> None:
        """Offer a device to every state as the last stage."""
        for mode, cost in self._sources(at, device_class):
            least = float(self._last(cost, device_class, mode).min())
            if least < self.best:
                self.best, self._end = least, (at, mode)

    def _last(self, cost: Floats, device_class: DeviceClass, mode: int) -> Floats:
        wire = device_class.wire_last(first=mode == START, entered=mode in (START, CLOSED))
        return combine(cost, device_class.last + wire, bottleneck=self._tables.bottleneck)

    def placement(self) -> list[tuple[str, int, int]]:
        """Walk back from the best end; empty where nothing fits."""
        at, mode = self._end
        if at < 0:
            return []
        device, device_class = self._devices[at]
        begin = int(self._last(self._fronts[at][mode], device_class, mode).argmin())
        stages = [(device, begin, self._tables.n_block - 1)]
        while mode != START:
            at, mode, (device, first, last) = self._step_back(at, mode, begin)
            stages.append((device, first, last))
            begin = first
        return stages[::-1]

    def _step_back(self, at: int, mode: int, end: int) -> tuple[int, int, tuple[str, int, int]]:
        """Find the device that made an entry, and the state before it."""
        value = self._fronts[at][mode][end]
        while (
            self._devices[at - 1][0] not in self._forced
            and mode in self._fronts[at - 1]
            and self._fronts[at - 1][mode][end] == value
        ):
            at -= 1
        at -= 1
        device, device_class = self._devices[at]
        best = (np.inf, START, 0)
        for source, cost in self._sources(at, device_class):
            stages = device_class.inner[:, end] + _wire(device_class, source, mode)
            total = combine(cost, stages, bottleneck=self._tables.bottleneck)
            begin = int(total.argmin())
            best = min(best, (float(total[begin]), source, begin))
        return at, best[1], (device, best[2], end - 1)


def _wire(device_class: DeviceClass, before: int, after: int) -> float:
    return device_class.wire(
        first=before == START, entered=before in (START, CLOSED), left=after == CLOSED
    )
