"""Which of hgx's devices the installed engine can use.

hgx sees a card because its driver is there; the engine uses it only if it was built for it. Tested
against the CPU wheel and invented lists of GPUs; no GPU build of the wheel has been tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.core.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.registry import Device
    from hgx.engine.base import EngineDevice

_MEMORY_TOLERANCE = 0.1
"""Part by which driver and engine may differ on a card's memory: some subtract what is reserved."""


class Usable(NamedTuple):
    """What the engine can use of a registry, and what it cannot.

    Attributes:
        registry: The one node with those of its devices that the engine can use; no links.
        left_out: One sentence per device that was left out, with the reason.
    """

    registry: Registry
    left_out: tuple[str, ...]


def usable_devices(
    registry: Registry, node_id: str, engine_devices: Sequence[EngineDevice]
) -> Usable:
    """Keep of the registry what the engine on this node can use.

    Args:
        registry: All devices that are known.
        node_id: This machine.
        engine_devices: The engine's own list.
    """
    here = [device for device in registry.devices if device.node == node_id]
    matched = match_devices(here, engine_devices)
    return Usable(
        Registry(
            nodes=tuple(node for node in registry.nodes if node.id == node_id),
            devices=tuple(device for device in here if device.id in matched),
        ),
        tuple(
            f"{device.id} ({device.name or device.backend}) is left out: {_why(device)}"
            for device in here
            if device.id not in matched
        ),
    )


def match_devices(
    devices: Sequence[Device], engine_devices: Sequence[EngineDevice]
) -> dict[str, EngineDevice]:
    """Pair each device with the engine's entry for the same hardware, by id; O(n * m).

    Two that cannot be told apart (equal cards) are paired in order. The engine ignores integrated
    GPUs where it has others, and so does this.

    Args:
        devices: Devices of this machine.
        engine_devices: The engine's own list.
    """
    free = [*placeable(engine_devices), *(d for d in engine_devices if d.kind == "cpu")]
    matched: dict[str, EngineDevice] = {}
    for device in devices:
        twin = next((candidate for candidate in free if _same(device, candidate)), None)
        if twin is not None:
            free.remove(twin)
            matched[device.id] = twin
    return matched


def placeable(engine_devices: Sequence[EngineDevice]) -> list[EngineDevice]:
    """List the GPUs that llama.cpp spreads layers over, in its order.

    Args:
        engine_devices: The engine's own list.

    Returns:
        Its GPUs; its integrated GPUs where there are no others.
    """
    cards = [device for device in engine_devices if device.kind == "gpu"]
    return cards or [device for device in engine_devices if device.kind == "igpu"]


def _same(device: Device, candidate: EngineDevice) -> bool:
    """Whether both are one thing: by name or backend, and by memory."""
    if device.backend == "cpu" or candidate.kind == "cpu":
        return device.backend == "cpu" and candidate.kind == "cpu"
    name, description = (device.name or "").casefold(), candidate.description.casefold()
    named = bool(name) and (name in description or description in name)
    family = candidate.name.rstrip("0123456789").casefold() == device.backend
    return (named or family) and _similar(device.memory_total_bytes, candidate.memory_total_bytes)


def _similar(ours: int, theirs: int) -> bool:
    return theirs == 0 or abs(ours - theirs) <= _MEMORY_TOLERANCE * max(ours, theirs)


def _why(device: Device) -> str:
    backend = device.backend.upper()
    return f"the installed engine has no {backend} device like it; an xllamacpp for {backend} has"
