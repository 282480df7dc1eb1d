"""A plan held against what llama.cpp itself says it would do."""

from __future__ import annotations

from hgx.core.base import Bytes, Identifier, Strict
from hgx.core.plan import Plan


class Share(Strict):
    """What one device gets, by the plan or by llama.cpp, whose bytes are whole MiB.

    ``first_layer`` and ``last_layer`` are ends of its run of layers, both included; the output head
    is the layer after the last block. Both are null where it has none, or where nothing was said.
    """

    first_layer: int | None
    last_layer: int | None
    weights_bytes: Bytes
    kv_bytes: Bytes
    compute_bytes: Bytes

    @property
    def total_bytes(self) -> int:
        """All of it, in bytes."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes


class VerifiedDevice(Strict):
    """One device, as planned and as llama.cpp has it.

    Attributes:
        device: Its id; null for a coordinator whose CPU has no layers.
        engine: llama.cpp's name for it.
        stand_in: Whether another device took its place when llama.cpp was asked.
        planned: What the plan says.
        llama_cpp: What llama.cpp says.
        capacity_bytes: What may be taken there; null where unknown.
    """

    device: Identifier | None
    engine: str
    stand_in: bool
    planned: Share
    llama_cpp: Share
    capacity_bytes: Bytes | None


class Verified(Strict):
    """What came of asking llama.cpp.

    Attributes:
        build: llama.cpp's number of the build; null where it has none.
        source: Who said where its programs are, as ``PATH``.
        devices: The coordinator's own process first, with token embedding, host buffers and the
            layers on its CPU; then the other stages in their order.
        warnings: Sentences: what llama.cpp counts otherwise, or more, than the plan.
        notes: Sentences: what it counts less, as is safe, what it does not say, and what may be
            wrong with its programs.
    """

    build: int | None
    source: str
    devices: tuple[VerifiedDevice, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


class VerifiedPlan(Plan):
    """A plan, and what came of asking llama.cpp."""

    verified: Verified
