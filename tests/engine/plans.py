"""Small plans and workloads for tests that do not plan."""

from __future__ import annotations

from itertools import accumulate

from hgx.core.plan import ModelSummary, Plan, Predicted, SolverReport, Stage, StageMemory
from hgx.core.registry import Device, Node, Registry
from hgx.core.workload import Block, Workload

_MEMORY = StageMemory(weights_bytes=0, kv_bytes=0, compute_bytes=0, total_bytes=0, capacity_bytes=0)


def plan_of(*blocks_on: tuple[str, int]) -> Plan:
    """A plan of one stage per (device, number of blocks), the output head on the last."""
    ends = list(accumulate(count for _, count in blocks_on))
    return Plan(
        model=ModelSummary(
            path="m.gguf",
            architecture="llama",
            name=None,
            parameters=1,
            file_bytes=1,
            n_block=ends[-1],
            n_embd=1,
            n_vocab=1,
        ),
        objective="latency",
        status="optimal",
        predicted=Predicted(ttft_s=0.21, tpot_s=0.0138, tokens_per_s=72.4),
        bound=None,
        solver=SolverReport(name="x", elapsed_s=0.0, nodes=0),
        stages=tuple(
            Stage(
                device=f"n/{device}",
                first_block=end - count,
                last_block=end - 1,
                output_head=end == ends[-1],
                memory=_MEMORY,
                seconds_per_token=0.0,
            )
            for (device, count), end in zip(blocks_on, ends, strict=True)
        ),
        host=None,
        scores=(),
        why=(),
    )


def workload_of(*, chat_template: bool) -> Workload:
    """A model of two blocks."""
    return Workload(
        path="m.gguf",
        files=("m.gguf",),
        architecture="llama",
        name=None,
        parameters=1,
        file_bytes=1,
        n_block=2,
        n_embd=1,
        n_vocab=1,
        n_ctx_train=None,
        n_head=1,
        head_dim=1,
        n_ff=1,
        n_expert_used=0,
        tied_embedding=True,
        embedding_bytes=1,
        chat_template=chat_template,
        blocks=(Block(weight_bytes={}),) * 2,
        output=Block(weight_bytes={}),
    )


def registry_of(*names: str) -> Registry:
    """A registry of the node ``n`` with small devices, named BACKEND:INDEX."""
    return Registry(
        nodes=(Node(id="n"),),
        devices=tuple(
            Device(
                id=f"n/{name}",
                node="n",
                backend=name.partition(":")[0],
                memory_total_bytes=8,
                memory_bandwidth_bytes_per_s=1.0,
                compute_flops_per_s=1.0,
            )
            for name in names
        ),
    )
