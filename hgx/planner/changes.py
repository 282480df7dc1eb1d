"""Registries with more of one thing: memory, bandwidth, arithmetic, or a faster link."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.planner.constraints import device_limits
from hgx.planner.problem import build_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hgx.core.engine_rates import TypeRates
    from hgx.core.explanation import Binding, Improvable
    from hgx.core.registry import Device, Node, Registry
    from hgx.planner.anatomy import Priced

TWICE = 2.0

LEAST_SHARE = 0.005
"""Part of the objective below which doubling something is not worth a search."""


class Change(NamedTuple):
    """A registry with more of one thing.

    Attributes:
        kind: Of what.
        subject: Id of the device, or of the node at a link's other end.
        extra_bytes: How much more memory; null for all else, of which there is twice as much.
        registry: With it.
    """

    kind: Improvable
    subject: str
    extra_bytes: int | None
    registry: Registry


def promising(priced: Priced, binds: Sequence[Binding], *, search: bool) -> Iterator[Change]:
    """Propose changes, the most promising first.

    These are more of a memory that is full, twice of what takes notable time, and more of any
    memory that could not hold everything.

    Args:
        priced: The plan.
        binds: What limits it, the most first.
        search: Whether blocks may be placed anew; else more memory is no use.
    """
    registry = priced.problem.question.registry
    full = [bound.subject for bound in binds if bound.kind == "memory"]
    small = sorted(_small(priced), key=lambda name: name not in full) if search else []
    memory = [_more_memory(registry, name) for name in small]
    at = sum(name in full for name in small)
    yield from memory[:at]
    for bound in binds:
        if bound.share is not None and bound.share >= LEAST_SHARE:
            yield from _twice(priced, bound)
    yield from memory[at:]


def _twice(priced: Priced, bound: Binding) -> Iterator[Change]:
    """Twice of what takes time, where that can be had."""
    registry, coordinator = priced.problem.question.registry, priced.answer.coordinator
    match bound.kind:
        case "link" if bound.subject != coordinator:
            faster = _faster_link(registry, coordinator, bound.subject)
            yield Change("link", bound.subject, None, faster)
        case "bandwidth":
            changed = with_device(
                registry, bound.subject, lambda one: _twice_as_fast(one, _BANDWIDTH)
            )
            yield Change("bandwidth", bound.subject, None, changed)
        case "arithmetic":
            changed = with_device(
                registry, bound.subject, lambda one: _twice_as_fast(one, _ARITHMETIC)
            )
            yield Change("arithmetic", bound.subject, None, changed)
        case _:  # nothing that can be bought
            pass


def _small(priced: Priced) -> list[str]:
    """Devices that could not hold everything; those in use come first."""
    problem = build_problem(priced.problem.question, priced.answer.coordinator)
    footprint, limits = problem.footprint, device_limits(problem)
    everything = float((footprint.weights + footprint.kv).sum() + footprint.scratch.max())
    used = {device for device, *_ in priced.answer.placement}
    small = [name for name, limit in limits.items() if limit < everything + footprint.inputs]
    return sorted(small, key=lambda name: name not in used)


def _more_memory(registry: Registry, name: str) -> Change:
    size = next(one.memory_total_bytes for one in registry.devices if one.id == name)
    extra = more_memory(size)
    return Change("memory", name, extra, _larger(registry, name, extra))


def more_memory(size: int) -> int:
    """How much more memory to propose: a quarter of what there is, to the next power of two."""
    return 1 << (max(1, size // 4) - 1).bit_length()


def with_device(registry: Registry, name: str, change: Callable[[Device], Device]) -> Registry:
    """Change one device of a registry."""
    devices = (change(one) if one.id == name else one for one in registry.devices)
    return registry.model_copy(update={"devices": tuple(devices)})


def _larger(registry: Registry, name: str, extra: int) -> Registry:
    """A registry in which a device has so many bytes more; RAM is there for all that is in it."""
    device = next(one for one in registry.devices if one.id == name)

    def in_ram(one: Device) -> bool:
        return one.backend == "cpu" or bool(one.unified_memory)

    def grows(one: Device) -> bool:
        return one.id == name or (one.node == device.node and in_ram(one) and in_ram(device))

    def larger(one: Device) -> Device:
        free = one.memory_free_bytes
        return one.model_copy(
            update={
                "memory_total_bytes": one.memory_total_bytes + extra,
                "memory_free_bytes": None if free is None else free + extra,
            }
        )

    def roomier(node: Node) -> Node:
        sizes = {
            "ram_total_bytes": node.ram_total_bytes,
            "ram_free_bytes": node.ram_free_bytes,
        }
        return node.model_copy(
            update={key: None if size is None else size + extra for key, size in sizes.items()}
        )

    grown = tuple(larger(one) if grows(one) else one for one in registry.devices)
    nodes = registry.nodes
    if in_ram(device):
        nodes = tuple(roomier(node) if node.id == device.node else node for node in nodes)
    return registry.model_copy(update={"devices": grown, "nodes": nodes})


def _faster_link(registry: Registry, one: str, other: str) -> Registry:
    """A registry in which the link between two nodes is twice as fast in every respect."""
    links = tuple(
        link.model_copy(
            update={
                "rtt_s": link.rtt_s / TWICE,
                "bandwidth_bytes_per_s": link.bandwidth_bytes_per_s * TWICE,
            }
        )
        if {link.source, link.target} == {one, other}
        else link
        for link in registry.links
    )
    return registry.model_copy(update={"links": links})


class _Rates(NamedTuple):
    """Where a device's speed of one kind stands: its own rate, and the engine's seconds."""

    own: str
    by_type: str
    attention: str


_BANDWIDTH = _Rates(
    "memory_bandwidth_bytes_per_s", "decode_s_per_byte", "decode_attention_s_per_flop"
)
_ARITHMETIC = _Rates("compute_flops_per_s", "prefill_s_per_flop", "prefill_attention_s_per_flop")


def _twice_as_fast(device: Device, rates: _Rates) -> Device:
    """A device with twice the rate, and half of what the engine takes for it."""
    engine = device.engine
    if engine is not None:
        attention: float | None = getattr(engine, rates.attention)
        engine = engine.model_copy(
            update={
                "types": _halved(engine.types, rates.by_type),
                "worker_types": _halved(engine.worker_types, rates.by_type),
                rates.attention: None if attention is None else attention / TWICE,
            }
        )
    faster = getattr(device, rates.own) * TWICE
    return device.model_copy(update={rates.own: faster, "engine": engine})


def _halved(types: Mapping[str, TypeRates], field: str) -> dict[str, TypeRates]:
    return {
        name: rates.model_copy(update={field: getattr(rates, field) / TWICE})
        for name, rates in types.items()
    }
