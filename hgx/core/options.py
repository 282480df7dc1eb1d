"""What a user wants of a plan."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hgx.core.base import Bytes, Strict
from hgx.core.plan import Objective

Solver = Literal["auto", "exact", "greedy"]
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
        timeout_s: Longest time to search, in seconds.
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
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    solver: Solver = "auto"
