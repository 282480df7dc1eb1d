"""Scores: every device judged in 0..1, for people to read and for the greedy solver to order by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.plan import DeviceScore
from hgx.planner.cost import wires_from

if TYPE_CHECKING:
    from hgx.core.registry import Device, Registry
    from hgx.planner.cost import Wire

WEIGHTS = {
    "compute": 0.40,
    "memory": 0.30,
    "bandwidth": 0.05,
    "network": 0.15,
    "thermal": 0.10,
}
"""Weights of the sum; they add up to 1."""

NEAR_S = 1e-3
"""A wire that costs this much per hidden state scores one half: a good home network's."""

UNKNOWN_THERMAL = 0.5
"""Neither cool nor hot: nothing is known."""

IDLE_C = 40.0
"""Temperature of a device at rest, from which its reserve is counted."""


def score_devices(registry: Registry, coordinator: str, n_embd: int) -> tuple[DeviceScore, ...]:
    """Score all devices as seen from a coordinator, best first.

    Compute, memory and bandwidth are relative to the largest in the registry. Network is 1 on the
    coordinator itself, 0 out of reach, and falls with the time one hidden state takes there and
    back. Thermal is the share of the way from rest to the limit that is left.

    Args:
        registry: The devices.
        coordinator: Node id.
        n_embd: Width of a hidden state, in elements of 4 bytes.
    """
    if not registry.devices:
        return ()
    most_flops = max(device.compute_flops_per_s for device in registry.devices)
    most_bytes = max(device.usable_bytes for device in registry.devices) or 1
    most_rate = max(device.memory_bandwidth_bytes_per_s for device in registry.devices)
    wires = wires_from(registry, coordinator)
    network = {
        node.id: 1.0 if node.id == coordinator else _network_score(wires.get(node.id), n_embd)
        for node in registry.nodes
    }
    scored: list[DeviceScore] = []
    for device in registry.devices:
        parts = {
            "compute": device.compute_flops_per_s / most_flops,
            "memory": device.usable_bytes / most_bytes,
            "bandwidth": device.memory_bandwidth_bytes_per_s / most_rate,
            "network": network[device.node],
            "thermal": _thermal_score(device),
        }
        total = sum(WEIGHTS[name] * part for name, part in parts.items())
        scored.append(DeviceScore(device=device.id, total=total, **parts))
    return tuple(sorted(scored, key=lambda score: (-score.total, score.device)))


def _network_score(wire: Wire | None, n_embd: int) -> float:
    if wire is None:
        return 0.0
    hidden = 4.0 * n_embd
    seconds = wire.rtt_s + hidden / wire.there_bytes_per_s + hidden / wire.back_bytes_per_s
    return NEAR_S / (NEAR_S + seconds)


def _thermal_score(device: Device) -> float:
    now, limit = device.temperature_c, device.temperature_limit_c
    if now is None or limit is None or limit <= IDLE_C:
        return UNKNOWN_THERMAL
    return min(1.0, max(0.0, (limit - now) / (limit - IDLE_C)))
