"""Made-up fleets and models to plan for; the same seed makes the same one.

All devices differ, on nodes of one or two around a coordinator, with memory for 1.2 to 3 times the
model together; blocks are unequal. *own* means that every device is a card with a memory of its
own, *host* that one of them is the coordinator's CPU, *shared* that every node has a CPU and a GPU
on one memory, and both may be needed.
"""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

from hgx.core.registry import Registry
from hgx.core.workload import Block, KvShape, Workload

Memory = Literal["own", "host", "shared"]

COORDINATOR = "n0"

MIB = 1024**2
N_EMBD = 8192
N_VOCAB = 128256


class Instance(NamedTuple):
    """What there is, and what is to be placed on it."""

    registry: Registry
    workload: Workload


def make_instance(n_device: int, n_block: int, memory: Memory, seed: int) -> Instance:
    """Make a fleet and a model."""
    draw = random.Random(f"{n_device} {n_block} {seed}")  # noqa: S311 - instances, not secrets
    workload = make_workload(draw, n_block)
    if memory == "shared":
        return Instance(make_shared_registry(draw, n_device, workload), workload)
    host = memory == "host"
    return Instance(make_registry(draw, n_device, workload, host=host), workload)


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


def make_registry(
    draw: random.Random, n_device: int, workload: Workload, *, host: bool = False
) -> Registry:
    """Devices on nodes of one or two around the coordinator, with enough memory together."""
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
    if host:
        slow = {"memory_bandwidth_bytes_per_s": 8e10, "compute_flops_per_s": 1.5e12}
        devices[0] |= {"id": f"{COORDINATOR}/cpu:0", "backend": "cpu"} | slow
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
    """Put links between the coordinator and the other nodes."""
    nodes = list(dict.fromkeys(str(device["node"]) for device in devices))
    links = [
        {
            "from": COORDINATOR,
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
