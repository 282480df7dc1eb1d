"""How the stages of a placement stand to each other, which decides what the engine copies."""

from __future__ import annotations

from enum import Enum, auto


class Arrangement(Enum):
    """The ways in which llama.cpp has stages share a model.

    Attributes:
        ALONE: There is one stage only.
        HOST_FIRST: The first of several is on the coordinator's CPU, in the engine's own process.
        PIPELINE: All of several are devices to the engine: it keeps copies of what they are fed,
            and may have them work at the same time.
        IN_TURN: All of several are devices, and tensors of their blocks are in the host's memory:
            it keeps no copies, and they work one after the other.
    """

    ALONE = auto()
    HOST_FIRST = auto()
    PIPELINE = auto()
    IN_TURN = auto()
