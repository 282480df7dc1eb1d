"""What was measured, put into a registry: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.bench.link import best_bandwidth
from hgx.core.registry import Device, Link, Node, Registry
from hgx.flows.results import accepted, rounded, with_benchmarks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.benchmark import Benchmark

Ends = tuple[str, str]
"""The node a link comes from, and the one it goes to."""


def with_device(registry: Registry, device_id: str, results: Sequence[Benchmark]) -> Registry:
    """Put results of a device into the registry; unchanged where the device is gone from it."""
    return _replaced(
        registry,
        devices=tuple(
            with_benchmarks(device, results) if device.id == device_id else device
            for device in registry.devices
        ),
    )


def with_disk(registry: Registry, node_id: str, result: Benchmark) -> Registry:
    """Put the rate of a node's disk into the registry."""
    return _replaced(
        registry,
        nodes=tuple(
            _node_with_disk(node, result) if node.id == node_id else node for node in registry.nodes
        ),
    )


def with_link(registry: Registry, ends: Ends, results: Sequence[Benchmark]) -> Registry:
    """Put results of one direction of a link into the registry.

    A link that was not there before needs a round trip and a bandwidth to be one.

    Args:
        registry: The registry.
        ends: Source and target.
        results: Of that direction; ``rtt`` too.
    """
    links = {(link.source, link.target): link for link in registry.links}
    link = _link(ends, links.get(ends), results)
    return _replaced(registry, links=tuple((links | {ends: link} if link else links).values()))


def benchmarks_of(registry: Registry) -> dict[tuple[str, str], Benchmark]:
    """Return all benchmarks in a registry by subject, as events call it, and name."""
    held = {
        **{node.id: node.benchmarks for node in registry.nodes},
        **{device.id: device.benchmarks for device in registry.devices},
        **{link_subject((link.source, link.target)): link.benchmarks for link in registry.links},
    }
    return {
        (subject, name): benchmark
        for subject, benchmarks in held.items()
        for name, benchmark in benchmarks.items()
    }


def link_subject(ends: Ends) -> str:
    """Return what events call one direction of a link."""
    return f"{ends[0]}>{ends[1]}"


def _node_with_disk(node: Node, result: Benchmark) -> Node:
    taken = accepted(node.benchmarks, [result])
    rate = {"disk_read_bytes_per_s": rounded(result.median)} if taken else {}
    fields = node.model_dump(exclude_unset=True) | rate
    return Node.model_validate(fields | {"benchmarks": {**node.benchmarks, **taken}})


def _link(ends: Ends, old: Link | None, results: Sequence[Benchmark]) -> Link | None:
    known = old.benchmarks if old else {}
    taken = accepted(known, results)
    benchmarks = {**known, **taken}
    rates: dict[str, float | None] = {}
    if "rtt" in taken:
        rates["rtt_s"] = rounded(taken["rtt"].median)
        tail = taken["rtt"].p95
        rates["rtt_p95_s"] = None if tail is None else rounded(tail)
    if any(name != "rtt" for name in taken):
        best = best_bandwidth([one for name, one in benchmarks.items() if name != "rtt"])
        rates["bandwidth_bytes_per_s"] = rounded(best.median) if best else None
    fields = {"source": ends[0], "target": ends[1]}
    fields |= old.model_dump(exclude_unset=True) if old else {}
    fields |= rates
    if not {"rtt_s", "bandwidth_bytes_per_s"} <= fields.keys():
        return None
    return Link.model_validate(fields | {"benchmarks": benchmarks})


def _replaced(registry: Registry, **parts: tuple[Node | Device | Link, ...]) -> Registry:
    return Registry.model_validate(dict(registry) | parts)
