"""Time to plan: exact and greedy, from a home's devices to hundreds, both objectives.

Usage: ``python benchmarks/planner.py [--instances 5] [--timeout 5]``. All devices differ, on nodes
of one or two, with memory for 1.2 to 3 times the model together; blocks are unequal. Where memory
is shared, every node has a CPU and a GPU on one memory, and both may be needed. Seeds are fixed, so
that every run plans the same instances.
"""

from __future__ import annotations

import argparse
import random
import statistics
from typing import TYPE_CHECKING, NamedTuple

from hgx.core.options import PlanOptions
from hgx.core.registry import Registry
from hgx.core.workload import Block, KvShape, Workload
from hgx.planner.solve import solve
from hgx.units import format_seconds

if TYPE_CHECKING:
    from hgx.core.options import Solver
    from hgx.core.plan import Objective, Plan

SIZES = (
    (4, 32, "own"),
    (8, 80, "own"),
    (10, 126, "own"),
    (4, 126, "shared"),
    (10, 126, "shared"),
    (64, 126, "own"),
    (256, 200, "own"),
)
"""Devices, blocks, and whose memory."""

OBJECTIVES: tuple[Objective, ...] = ("latency", "throughput")
SOLVERS: tuple[Solver, ...] = ("exact", "greedy")

MIB = 1024**2
N_EMBD = 8192
N_VOCAB = 128256


class Row(NamedTuple):
    """One line of the table."""

    solver: Solver
    objective: Objective
    devices: int
    blocks: int
    memory: str
    plans: list[Plan]

    def __str__(self) -> str:
        """The line."""
        times = [plan.solver.elapsed_s for plan in self.plans]
        gaps = [plan.bound.gap for plan in self.plans if plan.bound]
        proven = sum(plan.status == "optimal" for plan in self.plans)
        return (
            f"{self.devices:>4} x {self.blocks:<4} {self.memory:<7} {self.objective:<11} "
            f"{self.solver:<7} "
            f"{format_seconds(statistics.median(times)):>9} {format_seconds(max(times)):>9} "
            f"{proven:>3} of {len(self.plans):<3} {max(gaps, default=0.0):>8.2%} "
            f"{max(plan.solver.nodes for plan in self.plans):>8}"
        )


def make_workload(draw: random.Random, n_block: int) -> Workload:
    """A model of blocks between 200 and 600 MiB."""
    weights = [draw.randint(200, 600) * MIB for _ in range(n_block)]
    kv = KvShape(k_width=1024, v_width=1024)
    blocks = tuple(
        Block(
            weight_bytes={"Q4_K": weight},
            flops_per_token=3.5 * weight,
            attention_flops=4.0 * N_EMBD,
            kv=kv,
            scratch=4 * N_EMBD,
        )
        for weight in weights
    )
    head = N_EMBD * N_VOCAB * 210 // 256
    return Workload(
        path="model.gguf",
        files=("model.gguf",),
        architecture="llama",
        name=None,
        parameters=2 * sum(weights),
        file_bytes=sum(weights) + 2 * head,
        n_block=n_block,
        n_embd=N_EMBD,
        n_vocab=N_VOCAB,
        n_ctx_train=None,
        n_head=64,
        head_dim=128,
        n_ff=4 * N_EMBD,
        n_expert_used=0,
        tied_embedding=False,
        embedding_bytes=head,
        chat_template=False,
        blocks=blocks,
        output=Block(weight_bytes={"Q6_K": head}, flops_per_token=2.0 * N_EMBD * N_VOCAB),
    )


def make_registry(draw: random.Random, n_device: int, workload: Workload) -> Registry:
    """Devices on nodes of one or two, around a coordinator ``n0``, with enough memory together."""
    shares = [draw.uniform(0.3, 2.0) for _ in range(n_device)]
    memory = workload.file_bytes * draw.uniform(1.2, 3.0) / sum(shares)
    places: list[tuple[int, int]] = []
    while len(places) < n_device:
        node = places[-1][0] + 1 if places else 0
        places += [(node, index) for index in range(draw.randint(1, 2))]
    devices: list[dict[str, object]] = [
        {
            "id": f"n{node}/cuda:{index}",
            "node": f"n{node}",
            "backend": "cuda",
            "memory_total_bytes": int(memory * share) + 2048 * MIB,
            "memory_bandwidth_bytes_per_s": 10 ** draw.uniform(10.5, 12),
            "compute_flops_per_s": 10 ** draw.uniform(12, 14),
        }
        for (node, index), share in zip(places, shares, strict=False)
    ]
    return connected(draw, devices)


def make_shared_registry(draw: random.Random, n_device: int, workload: Workload) -> Registry:
    """Nodes with a CPU and a GPU on one memory, of which the GPU may take three quarters."""
    shares = [draw.uniform(0.5, 2.0) for _ in range(n_device // 2)]
    memory = workload.file_bytes * draw.uniform(1.1, 2.0) / sum(shares)
    devices: list[dict[str, object]] = []
    for node, share in enumerate(shares):
        size = int(memory * share) + 2048 * MIB
        rate = draw.choice((1e11, 2e11, 4e11, 8e11))
        for backend, part, bandwidth, flops in (
            ("metal", 3 * size // 4, rate, 30 * rate),
            ("cpu", size, min(0.7 * rate, 2e11), draw.uniform(0.5e12, 2e12)),
        ):
            devices.append(
                {
                    "id": f"n{node}/{backend}:0",
                    "node": f"n{node}",
                    "backend": backend,
                    "memory_total_bytes": part,
                    "unified_memory": backend == "metal",
                    "memory_bandwidth_bytes_per_s": bandwidth,
                    "compute_flops_per_s": flops,
                }
            )
    return connected(draw, devices)


def connected(draw: random.Random, devices: list[dict[str, object]]) -> Registry:
    """Put links between the coordinator ``n0`` and the other nodes."""
    nodes = list(dict.fromkeys(str(device["node"]) for device in devices))
    links = [
        {
            "from": "n0",
            "to": node,
            "rtt_s": 10 ** draw.uniform(-4, -2.5),
            "bandwidth_bytes_per_s": 10 ** draw.uniform(7.5, 9),
        }
        for node in nodes[1:]
    ]
    return Registry.model_validate(
        {
            "nodes": tuple({"id": node} for node in nodes),
            "devices": tuple(devices),
            "links": tuple(links),
        }
    )


def main() -> None:
    """Plan and print."""
    parser = argparse.ArgumentParser(description="Time to plan, exact and greedy.")
    parser.add_argument("--instances", type=int, default=5, help="instances per line")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds per plan")
    arguments = parser.parse_args()
    print(
        f"{'size':<11} {'memory':<7} {'objective':<11} {'solver':<7} {'median':>9} {'max':>9} "
        f"{'optimal':>10} {'max gap':>8} {'states':>8}"
    )
    for n_device, n_block, memory in SIZES:
        for objective in OBJECTIVES:
            for solver in SOLVERS:
                plans: list[Plan] = []
                for seed in range(arguments.instances):
                    draw = random.Random(f"{n_device} {n_block} {seed}")  # noqa: S311 - instances, not secrets
                    workload = make_workload(draw, n_block)
                    make = make_registry if memory == "own" else make_shared_registry
                    registry = make(draw, n_device, workload)
                    options = PlanOptions(
                        objective=objective,
                        coordinator="n0",
                        timeout_s=arguments.timeout,
                        solver=solver,
                    )
                    plans.append(solve(registry, workload, options))
                print(Row(solver, objective, n_device, n_block, memory, plans), flush=True)


if __name__ == "__main__":
    main()
