"""Where tokens are drawn: on the coordinator, which logits have to cross to, or where the head is.

Drawing looks at every entry of the vocabulary. The coordinator's own code does it quickly. The
engine's sampling on a device (llama.cpp's ``--backend-sampling``) sorts, which a CPU is slow at; it
spares 4 bytes per entry on the wire. So a quick link is better used, and a slow one better spared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hgx.planner.cost import Wire

COORDINATOR_S: Final = 3e-9
"""Per entry, drawn by the coordinator: 0.8 ms for the 262,144 of Gemma 3, measured on one core."""

CPU_S: Final = 12e-9
"""Per entry, drawn by a CPU as the engine's device: about 3 ms for the same, on one core."""

GPU_S: Final = COORDINATOR_S
"""The same of any other device: a default; none has been measured."""

SAMPLE_BYTES: Final = 226
"""What comes back per token that was drawn on a device, as captured on the wire."""

SAMPLE_TURNS: Final = 3
"""Round trips more than logits take: llama.cpp asks four times for parts of what was drawn."""

LOGIT_BYTES: Final = 4


class Sampling(NamedTuple):
    """How the tokens of an output head on the wire are drawn.

    Attributes:
        on_device: Whether by the device that has the head.
        extra_s: Seconds per token beyond those of drawing on the coordinator.
    """

    on_device: bool
    extra_s: float


def choose_sampling(wire: Wire, backend: str, n_vocab: int) -> Sampling:
    """Choose the quicker way.

    Args:
        wire: Between the coordinator and the device.
        backend: Of the device that has the output head.
        n_vocab: Entries of the vocabulary.
    """
    device_s = CPU_S if backend == "cpu" else GPU_S
    crossing_s = SAMPLE_TURNS * wire.rtt_s + SAMPLE_BYTES / wire.back_bytes_per_s
    ways = (
        Sampling(on_device=False, extra_s=LOGIT_BYTES * n_vocab / wire.back_bytes_per_s),
        Sampling(on_device=True, extra_s=crossing_s + (device_s - COORDINATOR_S) * n_vocab),
    )
    return min(ways, key=lambda way: way.extra_s)
