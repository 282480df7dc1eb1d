"""What would make a model fit that fits nowhere: the smallest change of every kind, tried out."""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING, Final, get_args

from hgx.core.options import KvType
from hgx.core.plan import Cure
from hgx.core.registry import Device
from hgx.gguf.quant import by_name
from hgx.planner.tables import stage_bytes
from hgx.units import MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgx.core.plan import CureKind
    from hgx.core.registry import Registry
    from hgx.core.workload import Block, Workload
    from hgx.planner.problem import Problem, Question

    Fits = Callable[[Question], bool]

CTX_STEP: Final = 256
"""llama.cpp rounds a context up to a multiple of this."""

FEWEST_BITS: Final = 1.5
"""Bits per weight below which nobody quantises."""

PARTS: Final = 1000
"""Parts of a file in which a smaller one is looked for."""

AHEAD: Final = 3
"""The time that is left is meant for so many kinds, as most take little of it."""

MOST_DEVICES: Final = 16
"""Devices, the largest first, for which it is found out how much more memory would do."""


def find_cures(problem: Problem, share: Callable[[int], Fits]) -> Iterator[Cure]:
    """Look for the smallest change of every kind, all else as it is.

    Args:
        problem: What fits nowhere, with one node as coordinator.
        share: For the first of so many parts of the time that is left, returns what says whether a
            question is sure to have an answer. Where that cannot tell in time, a cure may be larger
            than it needs to be, or missing.
    """
    kinds = (
        _context,
        _kv_type,
        _parallel,
        _wishes,
        _new_device,
        _quantisation,
        _headroom,
        _more_memory,
    )
    for at, kind in enumerate(kinds):
        yield from kind(problem, share(min(AHEAD, len(kinds) - at)))


def largest(steps: range, fits: Callable[[int], bool]) -> int | None:
    """The last of some ascending numbers that fits, where all smaller ones do too; or None."""
    if not steps or not fits(steps[0]):  # most often there is nothing to look for
        return None
    return steps[bisect_left(steps[1:], True, key=lambda step: not fits(step))]


def smallest(steps: range, fits: Callable[[int], bool]) -> int | None:
    """The first of some ascending numbers that fits, where all larger ones do too; or None."""
    if not steps or not fits(steps[-1]):
        return None
    return steps[bisect_left(steps[:-1], True, key=fits)]


def _asked(question: Question, name: str, value: object) -> Question:
    """The same question with one option changed."""
    return question._replace(options=question.options.model_copy(update={name: value}))


def _option(name: CureKind, value: int | str, words: str) -> Cure:
    return Cure(kind=name, change={name: value}, text=f"it fits with {words}")


def _context(problem: Problem, fits: Fits) -> Iterator[Cure]:
    question = problem.question
    steps = range(CTX_STEP, question.options.ctx, CTX_STEP)
    ctx = largest(steps, lambda ctx: fits(_asked(question, "ctx", ctx)))
    if ctx is not None:
        yield _option("ctx", ctx, f"--ctx {ctx}")


def _kv_type(problem: Problem, fits: Fits) -> Iterator[Cure]:
    def size(name: str) -> int:
        return by_name(name).row_bytes(CTX_STEP)

    question = problem.question
    now = size(question.options.kv_type)
    smaller = [name for name in get_args(KvType) if size(name) < now]
    names = sorted(smaller, key=size, reverse=True)
    at = smallest(range(len(names)), lambda at: fits(_asked(question, "kv_type", names[at])))
    if at is not None:
        yield _option("kv_type", names[at], f"--kv-type {names[at]}")


def _parallel(problem: Problem, fits: Fits) -> Iterator[Cure]:
    question = problem.question
    steps = range(1, question.options.parallel)
    count = largest(steps, lambda count: fits(_asked(question, "parallel", count)))
    if count is not None:
        yield _option("parallel", count, f"--parallel {count}")


def _wishes(problem: Problem, fits: Fits) -> Iterator[Cure]:
    """Fewer wishes: more machines, and any of those that were left out."""
    question, options = problem.question, problem.question.options
    if options.max_nodes is not None:
        steps = range(options.max_nodes + 1, len(question.registry.nodes) + 1)
        most = smallest(steps, lambda most: fits(_asked(question, "max_nodes", most)))
        if most is not None:
            yield _option("max_nodes", most, f"--max-nodes {most}")
    for name in ("exclude", "only", "require"):
        if getattr(options, name) and fits(_asked(question, name, ())):
            yield Cure(kind=name, change={name: ()}, text=f"it fits without --{name}")


def _more_memory(problem: Problem, fits: Fits) -> Iterator[Cure]:
    """Of all devices, the one that needs the least more."""
    question = problem.question

    def enough(device: str, more: int) -> bool:
        return fits(question._replace(registry=_larger(question.registry, device, more * MIB)))

    best, least = "", _everything(problem) + 1
    slots = sorted(problem.slots, key=lambda slot: (-slot.capacity, slot.device))
    for slot in slots[:MOST_DEVICES]:
        # Only less than the best one so far needs is of interest.
        found = smallest(range(1, least), partial(enough, slot.device))
        if found is not None:
            best, least = slot.device, found
    if best:
        yield Cure(
            kind="more_memory",
            change={"device": best, "memory_bytes": least * MIB},
            text=f"it would fit with {_at_least(least * MIB)} more memory on {best}",
        )


def _larger(registry: Registry, device: str, more: int) -> Registry:
    """A registry in which a device has more memory, and its node where that is its RAM."""

    def grown(size: int | None) -> int | None:
        return None if size is None else size + more

    one = next(each for each in registry.devices if each.id == device)
    larger = one.model_copy(
        update={
            "memory_total_bytes": one.memory_total_bytes + more,
            "memory_free_bytes": grown(one.memory_free_bytes),
        }
    )
    nodes = registry.nodes
    if one.backend == "cpu" or one.unified_memory:
        nodes = tuple(
            node.model_copy(
                update={
                    "ram_total_bytes": grown(node.ram_total_bytes),
                    "ram_free_bytes": grown(node.ram_free_bytes),
                }
            )
            if node.id == one.node
            else node
            for node in nodes
        )
    devices = tuple(larger if each is one else each for each in registry.devices)
    return registry.model_copy(update={"nodes": nodes, "devices": devices})


def _new_device(problem: Problem, fits: Fits) -> Iterator[Cure]:
    """One more device where the coordinator is; on another node it needs as much."""
    question, node = problem.question, problem.coordinator
    registry, options = question.registry, question.options
    taken = {device.id for device in registry.devices}
    names = (f"{node}/new:{at}" for at in range(len(taken) + 1))
    name = next(name for name in names if name not in taken)
    only = (*options.only, name) if options.only else ()

    def enough(size: int) -> bool:
        device = Device(
            id=name,
            node=node,
            backend="new",
            memory_total_bytes=size * MIB,
            # How fast it is makes no difference to what fits.
            memory_bandwidth_bytes_per_s=1.0,
            compute_flops_per_s=1.0,
        )
        with_it = registry.model_copy(update={"devices": (*registry.devices, device)})
        return fits(_asked(question._replace(registry=with_it), "only", only))

    size = smallest(range(1, _everything(problem) + 1), enough)
    if size is not None:
        yield Cure(
            kind="new_device",
            change={"node": node, "memory_bytes": size * MIB},
            text=f"it would fit with one more device of {_at_least(size * MIB)} on {node}",
        )


def _quantisation(problem: Problem, fits: Fits) -> Iterator[Cure]:
    question, workload = problem.question, problem.question.workload
    fewest = FEWEST_BITS / 8 * workload.parameters
    steps = range(math.ceil(PARTS * fewest / max(1, workload.file_bytes)), PARTS)
    parts = largest(
        steps, lambda parts: fits(question._replace(workload=_shrunk(workload, parts / PARTS)))
    )
    if parts is not None:
        size = workload.file_bytes * parts // PARTS
        yield Cure(
            kind="quantisation",
            change={"file_bytes": size},
            text="it would fit with a smaller quantisation of the same model: at most "
            f"{_at_most(size)} instead of {format_bytes(workload.file_bytes)}",
        )


def _shrunk(workload: Workload, share: float) -> Workload:
    """A model all of whose tensors are smaller by the same share."""

    def less(block: Block) -> Block:
        sizes = {name: int(size * share) for name, size in block.weight_bytes.items()}
        experts = int(block.expert_bytes * share)
        return block.model_copy(update={"weight_bytes": sizes, "expert_bytes": experts})

    return workload.model_copy(
        update={
            "blocks": tuple(less(block) for block in workload.blocks),
            "output": less(workload.output),
            "embedding_bytes": int(workload.embedding_bytes * share),
        }
    )


def _headroom(problem: Problem, fits: Fits) -> Iterator[Cure]:
    question = problem.question
    steps = range(math.ceil(question.options.headroom_bytes / MIB))
    left = largest(steps, lambda left: fits(_asked(question, "headroom_bytes", left * MIB)))
    if left is not None:
        words = f"--headroom {left}MiB" if left else "--headroom 0"
        yield Cure(
            kind="headroom_bytes",
            change={"headroom_bytes": left * MIB},
            text=f"it fits with {words}, at the risk of running out of memory",
        )


def _everything(problem: Problem) -> int:
    """MiB that are enough for the whole model on any one device, the headroom included."""
    footprint = problem.footprint
    stage = float(stage_bytes(footprint).last[0])
    host = footprint.host_weights + footprint.host_compute
    return math.ceil((stage + host + problem.question.options.headroom_bytes) / MIB)


_NUDGE: Final = 0.006
"""Rounding to three digits changes a number by half a per cent at most."""


def _at_least(size: int) -> str:
    """Write a size that is not below the true one, for all its rounding."""
    return format_bytes(size * (1 + _NUDGE))


def _at_most(size: int) -> str:
    return format_bytes(size * (1 - _NUDGE))
