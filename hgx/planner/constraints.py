"""Constraints on memory: what each device may take, and what a placement breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.errors import Infeasible
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgx.planner.placement import Placement, PricedStage
    from hgx.planner.problem import Problem


def device_limits(problem: Problem) -> dict[str, float]:
    """Bytes each reachable device may take by itself: its own capacity and its pool's."""
    limits = {slot.device: slot.capacity for slot in problem.slots}
    for pool in problem.pools:
        for device in pool.devices:
            limits[device] = min(limits[device], pool.capacity)
    return limits


def host_shortage(problem: Problem) -> float:
    """Bytes the coordinator's RAM is too small for its own buffers; 0 where they fit."""
    needed = problem.footprint.host_weights + problem.footprint.host_compute
    return 0.0 if problem.host_capacity is None else max(0.0, needed - problem.host_capacity)


def bytes_short(problem: Problem) -> float:
    """Bytes that all devices together are too small, at least; 0 where they might suffice."""
    footprint = problem.footprint
    scratch = footprint.inputs + float(footprint.scratch.min())
    room = {device: max(0.0, size - scratch) for device, size in device_limits(problem).items()}
    total = sum(room.values())
    for pool in problem.pools:
        together = sum(room[device] for device in pool.devices)
        total -= max(0.0, together - max(0.0, pool.capacity - scratch))
    shared = footprint.shared_head if any(slot.on_host for slot in problem.slots) else 0.0
    needed = float((footprint.weights + footprint.kv).sum()) - shared
    return max(0.0, needed - total)


def cannot_fit(problem: Problem) -> bool:
    """Whether adding up shows already that there is no room."""
    return host_shortage(problem) > 0 or bytes_short(problem) > 0


def broken_limits(problem: Problem, stages: Sequence[PricedStage]) -> Iterator[str]:
    """Describe every memory limit that stages break, one sentence each."""
    for stage in stages:
        memory = stage.memory
        if memory.total_bytes > memory.capacity_bytes:
            yield (
                f"{stage.slot.device} needs {format_bytes(memory.total_bytes)} for blocks "
                f"{stage.first_block} to {stage.last_block}"
                f"{' and the output head' if stage.output_head else ''}, "
                f"but only {format_bytes(memory.capacity_bytes)} may be taken: "
                f"{format_bytes(memory.total_bytes - memory.capacity_bytes)} too much"
            )
    taken = {stage.slot.device: stage.memory.total_bytes for stage in stages}
    for pool in problem.pools:
        total = sum(taken.get(device, 0) for device in pool.devices)
        if total > pool.capacity and sum(device in taken for device in pool.devices) > 1:
            yield (
                f"{' and '.join(sorted(pool.devices))} share one memory and need "
                f"{format_bytes(total)} together, but only {format_bytes(pool.capacity)} "
                f"may be taken: {format_bytes(total - pool.capacity)} too much"
            )


def check_reach(problem: Problem, placement: Placement) -> None:
    """Check that devices may be used and are in reach, and that the coordinator is large enough.

    Raises:
        Infeasible: It does not, or it cannot.
    """
    for device, _, _ in placement:
        if device in problem.refused:
            raise Infeasible(
                f"{device} is not to be used: leave it out of --exclude, or add it to --only"
            )
        if device in problem.unreachable:
            raise Infeasible(out_of_reach(problem, device))
    if broken := wish_broken(problem, placement):
        raise Infeasible(broken)
    if host_shortage(problem):
        raise Infeasible(host_too_small(problem))


def wish_broken(problem: Problem, placement: Placement) -> str | None:
    """Say what of the user's wishes a placement breaks; null where nothing."""
    used = {device for device, _, _ in placement}
    for some in problem.required:
        if not used & some:
            return f"{' or '.join(sorted(some))} is required, and has no stage"
    most = problem.question.options.max_nodes
    if most is None:
        return None
    away = {slot.node for slot in problem.slots if slot.remote and slot.device in used}
    if len(away) + 1 > most:
        return (
            f"{len(away) + 1} machines take part, the coordinator included, "
            f"where {most} may: allow more with --max-nodes"
        )
    return None


def out_of_reach(problem: Problem, device: str) -> str:
    """Say why a device cannot be used."""
    return (
        f"{device} is out of reach: the registry has no link between its node and the "
        f"coordinator {problem.coordinator}"
    )


def host_too_small(problem: Problem) -> str:
    """Say by how much the coordinator's RAM is too small."""
    return (
        f"the token embedding and host buffers need {format_bytes(host_shortage(problem))} more "
        f"memory than the coordinator {problem.coordinator} may use"
    )
