"""What a plan says beside what llama.cpp says, and whether they differ by more than they may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.verified import Share, VerifiedDevice
from hgx.engine.fit_params import ROUNDING_BYTES
from hgx.engine.placement import HOST
from hgx.engine.readback import Allocated
from hgx.errors import EngineError
from hgx.units import MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hgx.core.plan import HostMemory, Plan, StageMemory
    from hgx.engine.fit_params import Fitted
    from hgx.engine.placement import Placement

_COUNTED = (0.005, ROUNDING_BYTES)
"""What weights and KV may differ by, as a part and in bytes; the larger counts."""

_ESTIMATED = (0.05, 16 * MIB)
"""The same of the compute buffer."""


def side_by_side(plan: Plan, placement: Placement, fitted: Fitted) -> tuple[VerifiedDevice, ...]:
    """Put together what both say of each device, the coordinator's own process first.

    Args:
        plan: The plan.
        placement: The same in llama.cpp's words.
        fitted: What llama.cpp says.
    """
    engines = [place.engine for place in placement.places]
    stages = dict(zip(engines, plan.stages, strict=True))
    rows: list[VerifiedDevice] = []
    for engine in dict.fromkeys((HOST, *engines)):
        stage = stages.get(engine)
        memories: list[StageMemory | HostMemory] = [stage.memory] if stage else []
        if engine == HOST and plan.host:
            memories.append(plan.host.memory)
        there = [layer for layer, device in fitted.layers.items() if device == engine]
        need = fitted.needs.get(engine, Allocated())
        rows.append(
            VerifiedDevice(
                device=stage.device if stage else None,
                engine=engine,
                stand_in=engine != HOST,
                planned=_share(
                    (stage.first_block, stage.last_block + stage.output_head) if stage else (),
                    sum(memory.weights_bytes for memory in memories),
                    sum(memory.kv_bytes for memory in memories),
                    sum(memory.compute_bytes for memory in memories),
                ),
                llama_cpp=_share(there, need.weights, need.kv, need.compute),
                capacity_bytes=memories[-1].capacity_bytes if memories else None,
            )
        )
    return tuple(rows)


def check_capacity(devices: Iterable[VerifiedDevice]) -> None:
    """Check that memory would suffice everywhere.

    Args:
        devices: What ``side_by_side`` returned.

    Raises:
        EngineError: It would not; it says what is needed, what was planned and what there is.
    """
    for device in devices:
        needed, capacity = device.llama_cpp.total_bytes, device.capacity_bytes
        if capacity is not None and needed > capacity:
            msg = (
                f"llama.cpp needs {format_bytes(needed)} on {_named(device)}, where "
                f"{format_bytes(capacity)} may be taken; the plan counts "
                f"{format_bytes(device.planned.total_bytes)}: plan with a larger --headroom"
            )
            raise EngineError(msg)


def differences(devices: Iterable[VerifiedDevice]) -> tuple[str, ...]:
    """Say where plan and llama.cpp differ by more than they may, one sentence each.

    Args:
        devices: What ``side_by_side`` returned.
    """
    return tuple(
        f"llama.cpp needs {format_bytes(abs(off))} {'more' if off > 0 else 'less'} than planned "
        f"for {what} on {_named(device)}"
        for device in devices
        for what, off in _beyond(device.planned, device.llama_cpp)
    )


def _beyond(planned: Share, found: Share) -> Iterator[tuple[str, int]]:
    """What differs by more than it may, and by how many bytes."""
    for what, before, after, (part, least) in (
        ("weights", planned.weights_bytes, found.weights_bytes, _COUNTED),
        ("KV", planned.kv_bytes, found.kv_bytes, _COUNTED),
        ("compute", planned.compute_bytes, found.compute_bytes, _ESTIMATED),
    ):
        if abs(after - before) > max(part * before, least):
            yield what, after - before


def _share(layers: Sequence[int], weights: int, kv: int, compute: int) -> Share:
    return Share(
        first_layer=layers[0] if layers else None,
        last_layer=layers[-1] if layers else None,
        weights_bytes=weights,
        kv_bytes=kv,
        compute_bytes=compute,
    )


def _named(device: VerifiedDevice) -> str:
    return device.device or "the coordinator's host"
