"""What an engine is: it runs one model in a process of its own and answers on a loopback port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple, Protocol

from pydantic import Field

from hgx.core.base import Identifier, Strict
from hgx.core.options import KvType

Progress = Callable[[float], None]
"""Called about twice a second while an engine starts, with the seconds it has taken so far."""


class EngineSpec(Strict):
    """Everything an engine must know to run one model.

    Attributes:
        model: The model file, the first part of a split model.
        alias: Name of the model in answers; never a path.
        ctx: Context length of one conversation, in tokens.
        parallel: Conversations at a time, each with a context of its own.
        kv_type: Type of the KV cache's elements.
        threads: Threads of arithmetic on the CPU.
        gpu_layers: How many of the last layers are not on the CPU, the output head counted as one.
        tensor_split: Layers per GPU, in the engine's own order of GPUs; empty where all is on the
            CPU. Whole numbers, so that the engine's own rounding has nothing to decide.
        experts_away: Blocks, from the first on, whose routed experts are the host CPU's.
        chat_template: Jinja template to use in place of the model's own, or null.
        stop: Texts that end an answer where the request itself names none.
    """

    model: str
    alias: Annotated[str, Field(min_length=1)]
    ctx: Annotated[int, Field(ge=1)] = 4096
    parallel: Annotated[int, Field(ge=1)] = 1
    kv_type: KvType = "f16"
    threads: Annotated[int, Field(ge=1)] = 1
    gpu_layers: Annotated[int, Field(ge=0)] = 0
    tensor_split: tuple[Annotated[int, Field(ge=0)], ...] = ()
    experts_away: Annotated[int, Field(ge=0)] = 0
    chat_template: str | None = None
    stop: tuple[str, ...] = ()


class EngineDevice(Strict):
    """A device as the engine itself lists it.

    Attributes:
        name: The engine's name for it, as ``CUDA0`` or ``CPU``.
        description: The vendor's name, as ``NVIDIA GeForce RTX 4090``.
        kind: ``cpu``, ``gpu`` (memory of its own), ``igpu`` (shares the host's memory), or
            ``accel`` (helps the CPU; holds no layers).
        memory_total_bytes: All its memory, in bytes; 0 where the engine does not know.
    """

    name: Identifier
    description: str
    kind: str
    memory_total_bytes: Annotated[int, Field(ge=0)] = 0


class Endpoint(NamedTuple):
    """Where a running engine listens, and the key it asks for."""

    url: str
    api_key: str


class Engine(Protocol):
    """One model, running. Fakes need no inheritance."""

    def start(self, progress: Progress | None = None) -> Endpoint:
        """Start the process and wait until it answers.

        Args:
            progress: Told how many seconds the start has taken so far.

        Raises:
            Unavailable: The engine is not installed.
            EngineError: It did not start, with the reason it gave.
        """
        raise NotImplementedError

    def alive(self) -> bool:
        """Whether the process runs; O(1), no request is made."""
        raise NotImplementedError

    def obituary(self) -> str:
        """Say in one sentence how the process ended and where its log is."""
        raise NotImplementedError

    def stop(self, grace_s: float = 3.0) -> None:
        """End the process, by force if it does not go by itself; idempotent.

        Args:
            grace_s: Seconds that it has to end by itself.
        """
        raise NotImplementedError
