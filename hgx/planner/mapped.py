"""Weights that no memory holds: the coordinator's CPU reads them from the disk as it uses them.

llama.cpp maps a model's file into memory, so that the system may drop what it needs room for and
read it again. Where a CPU has more blocks than its memory holds, that happens to nearly all of them
for every token: the system drops what was not used for longest, which is what comes next. So all
its weights are counted as read from the disk each time, at the rate that was measured of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.planner.work import measure_work

if TYPE_CHECKING:
    from hgx.planner.problem import Footprint, Problem, Slot


def with_mapped_weights(problem: Problem, footprint: Footprint, host: float | None) -> Problem:
    """Let the coordinator's CPU have any number of blocks, at the rate of its disk.

    Args:
        problem: Its slots are changed, those of them that are the coordinator's CPU.
        footprint: What blocks take.
        host: Bytes of the coordinator's RAM that may be taken; None where unknown.

    Returns:
        The same problem where the disk was not measured, or where not even the KV cache and the
        buffers of the whole model fit.
    """
    registry, workload, options, _ = problem.question
    node = next(node for node in registry.nodes if node.id == problem.coordinator)
    rate = node.disk_read_bytes_per_s
    kept = float(footprint.kv.sum() + footprint.scratch.max()) + footprint.inputs
    own = footprint.host_weights + footprint.host_compute
    if rate is None or host is None or kept + own > host:
        return problem
    work = measure_work(workload, options)
    decode = work.decode.kinds.weights.sum(axis=0) / rate
    prefill = np.sum(
        [batch.times * batch.kinds.weights.sum(axis=0) / rate for batch in work.prefill], axis=0
    )
    prefill[-1] = work.prefill[-1].kinds.weights.sum(axis=0)[-1] / rate
    whole = float((footprint.weights + footprint.kv).sum() + footprint.scratch.max())

    def mapped(slot: Slot) -> Slot:
        if not slot.on_host or slot.mapped:
            return slot
        return slot._replace(
            decode=slot.decode._replace(blocks=np.maximum(slot.decode.blocks, decode)),
            prefill=slot.prefill._replace(blocks=np.maximum(slot.prefill.blocks, prefill)),
            capacity=whole + footprint.inputs + 1.0,
            mapped=True,
        )

    return problem._replace(slots=tuple(mapped(slot) for slot in problem.slots))
