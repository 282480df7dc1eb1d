"""What llama.cpp really did with a plan, read from its log while it loads a model.

Builds from 2025 on say at their most talkative level which layer went where, and at the level below
it how many MiB each buffer takes. What a build does not say is not checked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hgx.engine.placement import HOST
from hgx.errors import EngineError
from hgx.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hgx.engine.placement import Placement

_LAYER = re.compile(r"load_tensors: layer +(?P<layer>\d+) assigned to device (?P<device>\S+?),")
_ENDPOINT = re.compile(
    r"using device (?P<device>RPC\d+) \((?P<endpoint>(?:\d+\.){3}\d+:\d+|\[[^]]+\]:\d+)\)"
)
_BUFFER = re.compile(
    r"(?P<buffer>\S+) +(?P<kind>model|KV|RS|compute|output) buffer size = *(?P<mib>[\d.]+) MiB"
)
_RPC_BUFFER = re.compile(r"RPC(?P<index>\d+)\[(?P<endpoint>.+)\]")
_KINDS = {"model": "weights", "KV": "kv", "RS": "kv", "compute": "compute", "output": "compute"}


class Allocated(NamedTuple):
    """Bytes that llama.cpp took on one device, to a hundredth of a MiB."""

    weights: int = 0
    kv: int = 0
    compute: int = 0


class Loaded:
    """Collects what the log says, line by line; all lines may be fed, in order.

    Attributes:
        layers: Device by layer number, as the engine calls it.
        buffers: Bytes by device; what has no device of its own is the host's.
    """

    def __init__(self) -> None:
        self.layers: dict[int, str] = {}
        self.buffers: dict[str, Allocated] = {}
        self._endpoints: dict[str, list[str]] = {}

    def feed(self, line: str) -> None:
        """Take one line of the log."""
        if match := _LAYER.search(line):
            self.layers[int(match["layer"])] = match["device"]
        elif match := _ENDPOINT.search(line):
            # One server's devices follow each other, and its buffers count from 0.
            self._endpoints.setdefault(match["endpoint"], []).append(match["device"])
        elif match := _BUFFER.search(line):
            device, kind = self._device(match["buffer"]), _KINDS[match["kind"]]
            before = self.buffers.get(device, Allocated())
            size = round(float(match["mib"]) * MIB)
            self.buffers[device] = before._replace(**{kind: getattr(before, kind) + size})

    def _device(self, buffer: str) -> str:
        if match := _RPC_BUFFER.fullmatch(buffer):
            devices = self._endpoints.get(match["endpoint"], [])
            index = int(match["index"])
            return devices[index] if index < len(devices) else buffer
        device = buffer.partition("_")[0]  # CUDA0, MTL0_Mapped, CPU_REPACK, CUDA_Host
        return device if device[-1:].isdigit() else HOST


def check_layers(placement: Placement, layers: dict[int, str]) -> None:
    """Compare where layers are with where they were to be.

    Args:
        placement: What was asked for.
        layers: ``Loaded.layers``; nothing is checked where it is empty.

    Raises:
        EngineError: They differ; it names both.
    """
    for place in placement.places if layers else ():
        there = [layer for layer, device in layers.items() if device == place.engine]
        if there != list(place.layers):
            msg = (
                f"llama.cpp put {_runs(there)} on {place.device} ({place.engine}), the plan has "
                f"{_runs(place.layers)} there: report this with the engine's log"
            )
            raise EngineError(msg)


def _runs(layers: Iterable[int]) -> str:
    """Write layer numbers as runs: ``layers 0-4 and 7``."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    if not runs:
        return "no layers"
    return "layers " + _listed([f"{run[0]}-{run[-1]}" if run[1:] else f"{run[0]}" for run in runs])


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
