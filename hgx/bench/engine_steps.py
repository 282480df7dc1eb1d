"""What is run to learn how fast the engine is on a device: invented models of a few shapes.

One of hardly any weights, with few and with many blocks, tells what a block and a run cost besides;
a narrow one without and with much context, what attention costs; a wide one per quantisation type,
what weights of that type cost. Behind an rpc server the engine may work in another way (weights are
not repacked for the CPU there), so that the first and the last are run there too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.engine.synthetic import Shape, block_bytes
from hgx.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKENS: Final = 512
"""Tokens of the prompts: a micro-batch, as the planner takes it."""

BASE: Final = "Q8_0"
"""Type of the narrow model; among all types the one that backends treat least differently."""

_BARE: Final = "Q4_0"
_FEW, _MANY = 2, 34
_GENERATED, _GENERATED_BARE = 8, 64

_WIDE: Final = Shape(n_block=1, n_embd=2048, n_ff=5632, n_head=16, n_head_kv=4)
_READ_S, _LEAST_BYTES, _MOST_BYTES = 0.01, 192 * MIB, 2048 * MIB
"""A wide model is read in about so long, and is larger than what processors have of caches."""

_PROMPT_S = 1.5
"""Longest time that a prompt should take, in seconds, going by what the device computes."""


class Target(NamedTuple):
    """A device to measure.

    Attributes:
        subject: Its id in the registry.
        device: llama.cpp's name of it; the CPU where null.
        threads: Threads on the CPU.
        bytes_per_s: What it reads from memory, as far as that is known.
        flops_per_s: What it computes, likewise.
        room_bytes: Memory that may be taken.
    """

    subject: str
    device: str | None
    threads: int
    bytes_per_s: float
    flops_per_s: float
    room_bytes: int


class Step(NamedTuple):
    """One model, run in one way.

    Attributes:
        name: What it tells: ``few``, ``many``, ``narrow``, ``deep``, or a type.
        worker: Whether it is run behind an rpc server on loopback.
        shape: Of the model.
        kind: Type of its matrices.
        prompt: Tokens of the prompt; 0 for none.
        generate: Tokens to make.
        depth: Tokens of context that are there before.
    """

    name: str
    worker: bool
    shape: Shape
    kind: str
    prompt: int = 0
    generate: int = _GENERATED
    depth: int = 0

    @property
    def block_flops(self) -> float:
        """Operations of a block's matrices for all tokens of the prompt."""
        weights = block_bytes(self.shape, "F16") / 2
        return 2.0 * weights * self.prompt

    @property
    def attention_flops(self) -> float:
        """Operations of a block's attention per token and per token of context."""
        return 4.0 * self.shape.n_embd


def plan_steps(target: Target, types: Sequence[str], *, worker: bool) -> tuple[Step, ...]:
    """List what has to be run.

    Args:
        target: The device.
        types: Quantisation types; ``BASE`` is among them.
        worker: Whether there is an rpc server to run it behind.
    """
    bare = Shape(n_block=1, n_embd=256, n_ff=256, n_head=2, n_head_kv=1)
    narrow, depth = _narrow(target)
    steps: list[Step] = []
    for behind in (False, True) if worker else (False,):
        steps += [
            *(
                Step(name, behind, bare._replace(n_block=count), _BARE, generate=_GENERATED_BARE)
                for name, count in (("few", _FEW), ("many", _MANY))
            ),
            *(Step(kind, behind, _wide(target, kind), kind, TOKENS) for kind in types),
        ]
    return (
        *steps,
        Step("narrow", False, narrow, BASE, TOKENS),
        Step("deep", False, narrow, BASE, TOKENS, depth=depth),
    )


def _narrow(target: Target) -> tuple[Shape, int]:
    """Return a narrow model, and a context that takes notable time to look back on."""
    if target.device is None:
        return Shape(n_block=4, n_embd=512, n_ff=512, n_head=4, n_head_kv=1), 2048
    return Shape(n_block=8, n_embd=1024, n_ff=1024, n_head=8, n_head_kv=2), 16384


def _wide(target: Target, kind: str) -> Shape:
    wanted = min(max(target.bytes_per_s * _READ_S, _LEAST_BYTES), _MOST_BYTES)
    flops = Step("", False, _WIDE, kind, TOKENS).block_flops
    blocks = min(
        math.ceil(min(wanted, target.room_bytes / 3) / block_bytes(_WIDE, kind)),
        math.ceil(_PROMPT_S * target.flops_per_s / flops),
    )
    return _WIDE._replace(n_block=max(1, blocks))
