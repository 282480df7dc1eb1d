"""What llama-fit-params said of models of real shapes, and the same as hgx plans it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import TypeAdapter

from hgx.core.options import KvType, PlanOptions
from hgx.core.registry import Device, Link, Node, Registry
from hgx.planner.evaluate import evaluate
from hgx.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgx.core.plan import HostMemory, Plan, StageMemory
    from hgx.core.workload import Workload

CASES: Final = Path(__file__).parent / "cases"

HOST_DEVICE: Final = "host/cpu:0"
"""The coordinator's own CPU, in llama.cpp's process."""

_LARGE: Final = 8192 * GIB


class Need(NamedTuple):
    """MiB of model, context and compute, the three columns llama-fit-params prints."""

    model: float
    context: float
    compute: float


class Run(NamedTuple):
    """One way to run a model, and what llama.cpp would take for it.

    Attributes:
        host: Layers on the host's CPU, the output head counted as one; they come first.
        workers: Layers on each worker, likewise.
        ctx: Context length in tokens.
        kv_type: Type of the KV cache.
        parallel: Conversations at a time.
        workers_mib: Whole MiB on each worker, rounded down.
        host_mib: The same on the host.
        experts_away: Blocks, from the first on, whose routed experts are in the host's memory.
    """

    host: int
    workers: tuple[int, ...]
    ctx: int
    kv_type: KvType
    parallel: int
    workers_mib: tuple[Need, ...]
    host_mib: Need
    experts_away: int = 0

    @property
    def theirs(self) -> tuple[Need, ...]:
        """What llama.cpp says, the host first."""
        return self.host_mib, *self.workers_mib

    @property
    def options(self) -> PlanOptions:
        """What a plan is asked for."""
        return PlanOptions(
            ctx=self.ctx,
            kv_type=self.kv_type,
            parallel=self.parallel,
            coordinator="host",
            cpu_experts=self.experts_away,
        )

    @property
    def placement(self) -> list[tuple[str, int, int]]:
        """The same as blocks: the output head is not one of them."""
        names = [device.id for device in registry(self).devices]
        stages: list[tuple[str, int, int]] = []
        first = 0
        for name, count in zip(names, (self.host, *self.workers), strict=True):
            if count:
                stages.append((name, first, first + count - 1))
            first += count
        name, begin, end = stages[-1]
        return [*stages[:-1], (name, begin, end - 1)]


_RUNS: Final = TypeAdapter(list[Run])


def recorded(name: str) -> list[Run]:
    """Read what was recorded of a recipe."""
    return _RUNS.validate_python(_document(name)["runs"])


def excepted(name: str) -> list[dict[str, Any]]:
    """Read what is known to be off, and why, as it was written by hand."""
    return _document(name).get("exceptions", [])


def _document(name: str) -> dict[str, Any]:
    return json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))


def exceptions(name: str) -> dict[tuple[int, tuple[int, ...], int, int, int], float]:
    """Read by how many MiB compute is known to be off, with whichever KV type.

    Returns:
        Negative where llama.cpp takes more, by layers on the host and on the workers, context,
        blocks whose experts are away, and number of the device, the host being 0. The file says
        why.
    """
    found: dict[tuple[int, tuple[int, ...], int, int, int], float] = {}
    for each in excepted(name):
        away = each.get("experts_away", 0)
        split = each["host"], tuple(each["workers"])
        found[*split, each["ctx"], away, each["device"]] = each["off_mib"]
    return found


def registry(run: Run) -> Registry:
    """The host's CPU and a card per worker, all of them large.

    A card is the host's own where experts are away from it, and else on a node of its own.
    """
    numbers = range(len(run.workers))
    apart = not run.experts_away
    cards = [f"worker{number}/cuda:0" if apart else f"host/cuda:{number}" for number in numbers]
    names = ["host", *(f"worker{number}" for number in numbers if apart)]
    return Registry(
        nodes=tuple(Node(id=name) for name in names),
        devices=tuple(
            Device(
                id=name,
                node=name.partition("/")[0],
                backend="cpu" if name == HOST_DEVICE else "cuda",
                memory_total_bytes=_LARGE,
                memory_bandwidth_bytes_per_s=1e11,
                compute_flops_per_s=1e13,
            )
            for name in (HOST_DEVICE, *cards)
        ),
        links=tuple(
            Link.model_validate(
                {"from": "host", "to": name, "rtt_s": 1e-3, "bandwidth_bytes_per_s": 1e8}
            )
            for name in names[1:]
        ),
    )


def planned(workload: Workload, run: Run) -> Plan:
    """Evaluate a run's placement."""
    return evaluate(registry(run), workload, run.placement, run.options)


def needs(plan: Plan, workers: int) -> Iterator[Need]:
    """What a plan counts, the host first: its own buffers, and its stage where it has one."""
    stages = {stage.device: stage.memory for stage in plan.stages}
    on_host: list[StageMemory | HostMemory] = (
        [stages.pop(HOST_DEVICE)] if HOST_DEVICE in stages else []
    )
    if plan.host:
        on_host.append(plan.host.memory)
    yield _need(*on_host)
    assert len(stages) == workers
    for memory in stages.values():
        yield _need(memory)


def _need(*memories: StageMemory | HostMemory) -> Need:
    return Need(
        sum(memory.weights_bytes for memory in memories) / MIB,
        sum(memory.kv_bytes for memory in memories) / MIB,
        sum(memory.compute_bytes for memory in memories) / MIB,
    )
