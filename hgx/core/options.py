"""What a user wants of a plan."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hgx.core.base import Bytes, Strict
from hgx.core.plan import Objective

Solver = Literal["auto", "exact", "greedy"]
RpcMode = Literal["sync", "async"]
"""How the engine speaks with workers: in llama.cpp's protocol before version 6 micro-batches of a
prompt wait for each other, from then on they follow each other through the stages."""
KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]

DEFAULT_HEADROOM_BYTES = 512 * 1024**2
"""Left free on every device: driver contexts and fragmentation take some of it."""


class PlanOptions(Strict):
    """How the model will be run, and how long to look for the best placement.

    Attributes:
        ctx: Context length of one conversation, in tokens.
        parallel: Conversations at a time, each with a context of its own.
        kv_type: Type of the KV cache's elements, as llama.cpp names it.
        prompt_tokens: Length of the prompt that TTFT is predicted for.
        cached_tokens: Those of them that are in the KV cache already.
        output_tokens: Length of the answer.
        objective: What to minimise.
        coordinator: Node where the engine's client runs; null picks this machine when the
            registry knows it, else the node that gives the best plan.
        headroom_bytes: Memory to leave free on every device.
        duration_s: How long the model is to run: devices count with what their heat allows for so
            long, where it is known, and those on a battery that does not last are left out unless
            they are required. Null counts them as they are when cool, with power.
        timeout_s: Longest time to search, in seconds.
        rpc: Whether micro-batches of a prompt follow each other through the stages.
        max_nodes: Machines that may take part, the coordinator included.
        node_tolerance: Part by which a plan may be slower that needs fewer machines; of those
            within it, the one with the fewest is chosen. Null asks for the fastest.
        exclude: Devices or nodes that are left out, by id.
        only: Devices or nodes outside of which none is used; all where it is empty.
        cpu_experts: Blocks, from the first on, whose routed experts stay in the coordinator's RAM
            where a card of it has all blocks. Null tries all numbers; 0 leaves none there.
        require: Devices that must have a stage, or nodes of which one device must.
        solver: ``exact`` proves, ``greedy`` answers at once, ``auto`` does the one after the other.
    """

    ctx: Annotated[int, Field(ge=1)] = 4096
    parallel: Annotated[int, Field(ge=1)] = 1
    kv_type: KvType = "f16"
    prompt_tokens: Annotated[int, Field(ge=1)] = 512
    cached_tokens: Annotated[int, Field(ge=0)] = 0
    output_tokens: Annotated[int, Field(ge=1)] = 128
    objective: Objective = "latency"
    coordinator: str | None = None
    headroom_bytes: Bytes = DEFAULT_HEADROOM_BYTES
    duration_s: Annotated[float, Field(gt=0)] | None = None
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    solver: Solver = "auto"
    rpc: RpcMode = "async"
    max_nodes: Annotated[int, Field(ge=1)] | None = None
    node_tolerance: Annotated[float, Field(ge=0)] | None = None
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    cpu_experts: Annotated[int, Field(ge=0)] | None = None
