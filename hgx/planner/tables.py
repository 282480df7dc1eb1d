"""Stage tables: for every class of equal devices, what each run of blocks costs on it.

Written out once per problem, they make the search independent of where numbers come from: a
stage of blocks ``b`` to ``e - 1`` is the entry ``[b, e]`` of a matrix, infinite where it does
not fit into memory.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.gguf.arrangement import Arrangement
from hgx.planner.cost import Hop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hgx.planner.problem import Footprint, Pool, Problem, Slot, Weights

    Floats = NDArray[np.float64]


class StageBytes(NamedTuple):
    """Bytes of every possible stage.

    Attributes:
        inner: Of blocks ``b .. e-1`` at ``[b, e]``, infinite where ``e <= b``; shape
            ``(n + 1, n + 1)``.
        last: Of blocks ``b .. n-1`` with the output head at ``[b]``, infinite at ``n``, because a
            stage has at least one block; shape ``(n + 1,)``.
    """

    inner: Floats
    last: Floats


@dataclass(frozen=True, eq=False)
class DeviceClass:
    """Devices that are equal in every number, so that only how many are used matters.

    With ``n`` blocks:

    Attributes:
        devices: Their ids, in alphabetical order.
        group: Index of the remote node they share with other devices, or -1.
        unit: Objective seconds per block, head last, shape ``(n + 1,)``, without wire.
        hop: Objective seconds on the wire.
        peak_unit: Seconds per block of which the slowest stage's count, likewise.
        peak_hop: The same on the wire.
        free_first: Whether a first stage has no wire (the coordinator's CPU).
        limit: Bytes one device may take.
        room: Bytes of them for weights and KV, the smallest possible scratch taken off.
        stage_bytes: Bytes of every possible stage.
        away: Whether they are on other nodes than the coordinator.
        wanted: Indices of the requirements that one of them fulfils.
    """

    devices: tuple[str, ...]
    group: int
    unit: Floats
    hop: Hop
    peak_unit: Floats
    peak_hop: Hop
    free_first: bool
    limit: float
    room: float
    stage_bytes: StageBytes
    away: bool
    wanted: tuple[int, ...]

    @cached_property
    def inner(self) -> Floats:
        """Objective seconds of blocks ``b .. e-1``, shape ``(n + 1, n + 1)``, without wire."""
        fits = self.stage_bytes.inner <= self.limit
        return np.where(fits, self.upto[None, :] - self.upto[:, None], np.inf)

    @cached_property
    def last(self) -> Floats:
        """The same of blocks ``b .. n-1`` and the output head, shape ``(n + 1,)``."""
        fits = self.last_bytes <= self.limit
        if self.free_first:
            fits[0] = False  # with all blocks it is alone, and the engine keeps other buffers
        return np.where(fits, self.upto[-1] - self.upto + self.unit[-1], np.inf)

    @cached_property
    def last_bytes(self) -> Floats:
        """Bytes of blocks ``b .. n-1`` and the output head, shape ``(n + 1,)``."""
        return self.stage_bytes.last

    @cached_property
    def upto(self) -> Floats:
        """Objective seconds of the blocks before each boundary, shape ``(n + 1,)``."""
        return np.concatenate(([0.0], np.cumsum(self.unit[:-1])))

    def wire(self, *, first: bool, entered: bool, left: bool) -> float:
        """Seconds on the wire for an inner stage.

        Args:
            first: Whether it is the first stage.
            entered: Whether hidden states come over the wire.
            left: Whether they go back over it.
        """
        if first and self.free_first:
            return 0.0
        return self.hop.turn + entered * self.hop.enter + left * self.hop.leave

    def wire_last(self, *, first: bool, entered: bool) -> float:
        """Seconds on the wire for the stage with the output head."""
        if first and self.free_first:
            return 0.0
        return self.hop.turn + entered * self.hop.enter + self.hop.finish

    @cached_property
    def peak_upto(self) -> Floats:
        """Seconds of the slowest stage's for the blocks before each boundary, ``(n + 1,)``."""
        return np.concatenate(([0.0], np.cumsum(self.peak_unit[:-1])))

    @property
    def least_wire(self) -> float:
        """The least that using one of these devices costs on the wire."""
        if self.free_first:
            return 0.0
        crossing = 0.0 if self.group >= 0 else self.hop.enter + min(self.hop.leave, self.hop.finish)
        return self.hop.turn + crossing


class Tables(NamedTuple):
    """The problem as the search sees it.

    Attributes:
        n_block: Number of blocks.
        classes: Device classes that can hold at least one block.
        bottleneck: Whether nothing but the slowest stage counts (throughput).
        peaked: Whether it counts at all.
        pools: Memories that several devices share: which classes are in them, shape
            ``(pools, classes)``, 0 or 1.
        pool_capacity: Bytes of each of them, shape ``(pools,)``.
        pool_room: Bytes of them for weights and KV, shape ``(pools,)``.
        load: Bytes of weights and KV per block, head last, shape ``(n + 1,)``.
        head_floor: Bytes the head takes at least, wherever it stands.
        opening: Indices of the classes that may have the first stage; none where all may.
        most_away: Nodes beside the coordinator that may take part; None where all may.
        required: Which classes fulfil each requirement, shape ``(requirements, classes)``.
    """

    n_block: int
    classes: tuple[DeviceClass, ...]
    bottleneck: bool
    peaked: bool
    pools: Floats
    pool_capacity: Floats
    pool_room: Floats
    load: Floats
    head_floor: float
    opening: tuple[int, ...]
    most_away: int | None
    required: NDArray[np.bool_]

    @property
    def constrained(self) -> bool:
        """Whether it matters which devices are used, and not only what they hold."""
        return bool(len(self.required)) or self.most_away is not None

    @property
    def sets(self) -> int:
        """How many sets of devices there are, equal devices not told apart."""
        return math.prod(len(one.devices) + 1 for one in self.classes)

    def allowed(self, used: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """Whether no more nodes take part than may, shape ``(states,)``."""
        if self.most_away is None:
            return np.ones(len(used), dtype=np.bool_)
        away = np.array([one.away for one in self.classes])
        groups = np.array([one.group for one in self.classes])
        nodes = used[:, away & (groups < 0)].sum(axis=1, dtype=np.int64)
        for group in range(int(groups.max()) + 1):
            nodes = nodes + used[:, groups == group].any(axis=1)
        return nodes <= self.most_away

    def fulfilled(self, used: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """Whether all that must be used is used, shape ``(states,)``."""
        found = (used.astype(np.int64) @ self.required.T.astype(np.int64)) > 0
        return found.sum(axis=1) == len(self.required)


def build_tables(
    problem: Problem,
    limits: Mapping[str, float],
    pools: Sequence[Pool] = (),
) -> Tables:
    """Write out the stage tables.

    Args:
        problem: The problem.
        limits: Bytes each device may take, by id; a device that is not named is left out.
        pools: Memories that several devices share, each device in one of them at most.
    """
    footprint, wished = problem.footprint, problem.question.options.max_nodes
    slots = [slot for slot in problem.slots if slot.device in limits]
    crowded = [n for n, count in Counter(s.node for s in slots if s.remote).items() if count > 1]
    groups = {node: index for index, node in enumerate(sorted(crowded))}
    classes: dict[tuple[object, ...], list[Slot]] = {}
    for slot in sorted(slots, key=lambda slot: slot.device):
        group = groups.get(slot.node, -1) if slot.remote else -1
        pool = next((i for i, pool in enumerate(pools) if slot.device in pool.devices), -1)
        wanted = _wanted(problem, slot.device)
        key = (*_class_key(slot, group, pool, limits[slot.device]), wanted)
        classes.setdefault(key, []).append(slot)
    sizes = stage_bytes(footprint)
    if problem.arrangement is Arrangement.IN_TURN:
        sizes.last[0] = np.inf  # with all blocks it is alone, and the engine keeps other buffers
    smallest = min(sizes.inner.min(), sizes.last.min() - footprint.shared_head)
    usable = tuple(
        _device_class(
            problem,
            members,
            group=groups.get(members[0].node, -1) if members[0].remote else -1,
            limit=limits[members[0].device],
            sizes=sizes,
        )
        for members in classes.values()
        if limits[members[0].device] >= smallest
    )
    hosts = {slot.device for slot in slots if slot.on_host}
    opening = _opening(problem.arrangement, [one.devices[0] in hosts for one in usable])
    if opening is None:
        usable, opening = (), ()
    load = footprint.weights + footprint.kv
    free = any(one.free_first for one in usable)
    floor = float(load[-1]) - (footprint.shared_head if free else 0.0)
    shares = [[float(c.devices[0] in pool.devices) for c in usable] for pool in pools]
    return Tables(
        n_block=problem.n_block,
        classes=usable,
        bottleneck=problem.bottleneck,
        peaked=any(problem.peak),
        pools=np.array(shares).reshape(len(pools), len(usable)),
        pool_capacity=np.array([pool.capacity for pool in pools]),
        pool_room=np.array([_room(footprint, pool.capacity) for pool in pools]),
        load=load,
        head_floor=floor,
        opening=opening,
        most_away=None if wished is None else wished - 1,
        required=np.array(
            [[at in one.wanted for one in usable] for at in range(len(problem.required))],
            dtype=np.bool_,
        ).reshape(len(problem.required), len(usable)),
    )


def _wanted(problem: Problem, device: str) -> tuple[int, ...]:
    """Indices of the requirements that a device fulfils."""
    return tuple(at for at, some in enumerate(problem.required) if device in some)


def _opening(arrangement: Arrangement, on_host: Sequence[bool]) -> tuple[int, ...] | None:
    """Which classes may have the first stage: none where all may, None where nobody may."""
    if arrangement is Arrangement.ALONE or (
        arrangement is not Arrangement.HOST_FIRST and not any(on_host)
    ):
        return ()
    wanted = arrangement is Arrangement.HOST_FIRST
    return tuple(at for at, host in enumerate(on_host) if host == wanted) or None


def stage_bytes(footprint: Footprint) -> StageBytes:
    """Add up the bytes of every possible stage."""
    n = len(footprint.weights) - 1
    upto = np.concatenate(([0.0], np.cumsum((footprint.weights + footprint.kv)[:n])))
    inner = np.full((n + 1, n + 1), np.inf)
    begin, block = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    scratch = np.where(block >= begin, footprint.scratch[None, :n], -np.inf)
    peak = np.maximum.accumulate(scratch, axis=1)
    taken = upto[None, 1:] - upto[:n, None] + peak + footprint.inputs + footprint.entered[:, None]
    inner[:n, 1:] = np.where(block >= begin, taken + footprint.left, np.inf)
    head = footprint.weights[n] + footprint.kv[n]
    last = np.full(n + 1, np.inf)
    rise = np.maximum(0.0, footprint.scratch[n] - peak[:, -1])
    last[:n] = taken[:, -1] + head + rise
    return StageBytes(inner, last)


def _room(footprint: Footprint, limit: float) -> float:
    """Bytes for weights and KV where ``limit`` may be taken, with the smallest scratch."""
    return max(0.0, limit - footprint.inputs - float(footprint.scratch.min()))


def weighted_seconds(slot: Slot, weights: Weights) -> tuple[Floats, Hop]:
    """Seconds of a slot by weights, per block (head last) and on the wire."""
    if not any(weights):
        return np.zeros(len(slot.decode.blocks)), Hop()
    unit = weights.prefill * slot.prefill.blocks + weights.decode * slot.decode.blocks
    hops = zip(slot.prefill.hop, slot.decode.hop, strict=True)
    return unit, Hop(*(weights.prefill * one + weights.decode * other for one, other in hops))


def _class_key(slot: Slot, group: int, pool: int, limit: float) -> tuple[object, ...]:
    return (
        slot.decode.blocks.tobytes(),
        slot.prefill.blocks.tobytes(),
        slot.decode.hop,
        slot.prefill.hop,
        slot.on_host,
        group,
        pool,
        limit,
    )


def _device_class(
    problem: Problem,
    members: list[Slot],
    *,
    group: int,
    limit: float,
    sizes: StageBytes,
) -> DeviceClass:
    slot = members[0]
    unit, hop = weighted_seconds(slot, problem.peak if problem.bottleneck else problem.total)
    peak_unit, peak_hop = weighted_seconds(slot, problem.peak)
    free = slot.on_host and problem.arrangement is not Arrangement.PIPELINE
    return DeviceClass(
        devices=tuple(member.device for member in members),
        group=group,
        unit=unit,
        hop=hop,
        peak_unit=peak_unit,
        peak_hop=peak_hop,
        free_first=free,
        limit=limit,
        room=_room(problem.footprint, limit),
        stage_bytes=sizes,
        away=slot.remote,
        wanted=_wanted(problem, slot.device),
    )
