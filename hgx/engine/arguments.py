"""From a plan to what the engine is told.

llama.cpp keeps the layers it does not offload on the CPU, and those come first; it gives the rest
to its GPUs in its own order, layer i to the first whose normalised cumulative split exceeds
(i - first) / layers, and the output head to the last with a share. Whole layer counts as the split
make that exact. Checked here against a model of that rule; no GPU build has been tried.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import psutil

from hgx.engine.base import EngineSpec
from hgx.engine.chat import PLAIN_STOP, PLAIN_TEMPLATE
from hgx.engine.devices import match_devices, placeable
from hgx.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.engine.base import EngineDevice


class Layers(NamedTuple):
    """Where layers go, in llama.cpp's words: see ``EngineSpec`` for both fields."""

    gpu_layers: int
    tensor_split: tuple[int, ...]


def engine_spec(
    plan: Plan,
    workload: Workload,
    options: PlanOptions,
    registry: Registry,
    engine_devices: Sequence[EngineDevice],
    *,
    alias: str,
    threads: int | None = None,
) -> EngineSpec:
    """Say what the engine must do to carry out a plan.

    Args:
        plan: Its stages are all on this machine.
        workload: The model the plan is for.
        options: What the plan was made for.
        registry: Where the plan's devices are described.
        engine_devices: The engine's own list.
        alias: Name of the model in answers.
        threads: Threads on the CPU; one per physical core where null.

    Raises:
        EngineError: The engine cannot place layers as the plan wants them.
    """
    layers = layer_split(plan, registry, engine_devices)
    return EngineSpec(
        model=workload.path,
        alias=alias,
        ctx=options.ctx,
        parallel=options.parallel,
        kv_type=options.kv_type,
        threads=threads or default_threads(),
        gpu_layers=layers.gpu_layers,
        tensor_split=layers.tensor_split,
        experts_away=plan.experts_away,
        chat_template=None if workload.chat_template else PLAIN_TEMPLATE,
        stop=() if workload.chat_template else PLAIN_STOP,
    )


def layer_split(plan: Plan, registry: Registry, engine_devices: Sequence[EngineDevice]) -> Layers:
    """Turn stages into a number of offloaded layers and a split of them.

    Args:
        plan: The placement.
        registry: Where its devices are described.
        engine_devices: The engine's own list.

    Raises:
        EngineError: A stage is on a device the engine lacks, stages are not in the engine's order
            of devices, or something stands on the CPU behind a GPU.
    """
    twins = match_devices(registry.devices, engine_devices)
    cards = placeable(engine_devices)
    counts = [0] * len(cards)
    last = -1  # the CPU stands before all cards
    for stage in plan.stages:
        twin = twins.get(stage.device)
        if twin is None:
            raise EngineError(f"the engine has no device for {stage.device}: plan without it")
        place = -1 if twin.kind == "cpu" else cards.index(twin)
        if place < last:
            msg = f"the engine cannot place layers on {stage.device} behind {cards[last].name}"
            raise EngineError(f"{msg}: plan with one of them only")
        last = place
        if place >= 0:
            counts[place] += stage.last_block - stage.first_block + 1 + stage.output_head
    total = sum(counts)
    return Layers(total, tuple(counts) if total else ())


def default_threads() -> int:
    """Count the physical cores this process may use.

    More threads than that slow decoding down, since two of one core share its units and its path
    to memory.
    """
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return max(1, min(physical, len(os.sched_getaffinity(0))))
    return max(1, physical)
