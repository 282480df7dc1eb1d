"""From a plan to llama.cpp's own words for it: which devices, in which order, how many layers each.

llama.cpp keeps the layers it does not offload on the host's CPU, and those come first; it gives the
rest to the devices that ``--device`` names, in that order, layer i to the first whose normalised
cumulative ``--tensor-split`` exceeds (i - first) / layers. The output head counts as the last
layer, and lands on the last device with a share. Whole layer counts as the split make that exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgx.core.plan import Plan, Stage

HOST = "CPU"
"""What llama.cpp calls the memory of its own process, and the CPU that works on it."""


class Place(NamedTuple):
    """What one device of the engine holds.

    Attributes:
        engine: The engine's name for the device; ``HOST`` for the coordinator's own CPU.
        device: hgx's name for it.
        layers: Numbers of its layers; the output head is the one after the last block.
    """

    engine: str
    device: str
    layers: range


class Placement(NamedTuple):
    """A plan in llama.cpp's words.

    Attributes:
        places: All devices with layers, in the order of the layers.
    """

    places: tuple[Place, ...]

    @property
    def offloaded(self) -> tuple[Place, ...]:
        """The places that are not the host's."""
        return tuple(place for place in self.places if place.engine != HOST)

    @property
    def gpu_layers(self) -> int:
        """What ``-ngl`` has to be: how many of the last layers are not on the host."""
        return sum(len(place.layers) for place in self.offloaded)

    @property
    def tensor_split(self) -> tuple[int, ...]:
        """What ``--tensor-split`` has to be: layers per offloaded place."""
        return tuple(len(place.layers) for place in self.offloaded)


def place_layers(plan: Plan, names: Mapping[str, str]) -> Placement:
    """Say which layers go to which device of the engine.

    Args:
        plan: Its stages follow each other.
        names: The engine's name for each of the plan's devices, ``HOST`` for the coordinator's CPU.

    Raises:
        EngineError: The engine lacks a device, or cannot place layers as the plan wants them.
    """
    places: list[Place] = []
    for stage in plan.stages:
        engine = names.get(stage.device)
        if engine is None:
            raise EngineError(f"the engine has no device for {stage.device}: plan without it")
        if engine in {place.engine for place in places}:
            msg = f"the engine cannot put two runs of layers on {stage.device}: plan another order"
            raise EngineError(msg)
        if engine == HOST and places:
            msg = f"the engine runs the layers of {stage.device} before all others, not behind "
            raise EngineError(f"{msg}{places[-1].device}: plan another order")
        places.append(Place(engine, stage.device, _layers(stage)))
    return Placement(tuple(places))


def _layers(stage: Stage) -> range:
    return range(stage.first_block, stage.last_block + 1 + stage.output_head)
