"""What llama.cpp would take for a plan: asked of llama-fit-params, which allocates nothing.

It reads the model's header, asks the devices that it is told of for their limits, and prints whole
MiB, rounded down, for each device and for the host. Which layer goes where is in its log, the end
of which it may lose when it exits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hgx.engine.log import reason
from hgx.engine.placement import HOST
from hgx.engine.readback import Allocated, Loaded
from hgx.engine.server_arguments import placing_arguments
from hgx.errors import EngineError
from hgx.process.program import Program, how_it_ended
from hgx.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hgx.engine.server_arguments import ServerSpec

ROUNDING_BYTES = MIB
"""What each of its figures may be short, at most."""

_LONGEST_S = 120.0
"""Longest time that it may take, in seconds: it takes less than one, on a slow disk some more."""

_TRIES = 3
"""How often it is asked where layers go, should its log lack some."""

# Repacked weights take as much as others, but they are no part of the host's figures.
_ARGUMENTS = ("--no-repack",)

_ENVIRONMENT = {
    "GGML_RPC_NO_RDMA": "1",
    "LLAMA_ARG_FLASH_ATTN": "on",  # as hgx starts llama-server
    "LLAMA_ARG_FIT_ESTIMATE": "on",  # print what is needed, and look for no better placement
}
_THEIR_HOST = "Host"


class Fitted(NamedTuple):
    """What llama.cpp would do with a plan.

    Attributes:
        layers: Device by layer number, as llama.cpp calls it; empty where it does not say.
        needs: What it would take, by device, in whole MiB.
    """

    layers: dict[int, str]
    needs: dict[str, Allocated]


def fit_params(program: Path, spec: ServerSpec, layers: int, log: Path) -> Fitted:
    """Ask llama.cpp what it would take.

    Args:
        program: llama-fit-params.
        spec: What llama-server would be told. Its rpc servers have to be there; none may have a
            client.
        layers: Layers of the model, the output head counted as one.
        log: File that all it says is appended to.

    Raises:
        Unavailable: The program cannot be started.
        EngineError: It refused, with the reason it gave, or was not done in time.
    """
    fitted = Fitted({}, {})
    for _ in range(_TRIES):
        fitted = _ask(program, spec, log)
        if len(fitted.layers) == layers:
            return fitted
    return fitted._replace(layers={})


def parse(text: str, devices: Sequence[str]) -> Fitted:
    """Read what llama-fit-params prints.

    Args:
        text: All of it, at the verbosity at which it says where layers go.
        devices: llama.cpp's names of what it offloads to.
    """
    loaded = Loaded()
    needs: dict[str, Allocated] = {}
    names = "|".join(map(re.escape, (*devices, _THEIR_HOST)))
    row = re.compile(rf"\b(?P<device>{names}) (?P<sizes>\d+ \d+ \d+) ?$")
    for line in text.splitlines():
        loaded.feed(line)
        if match := row.search(line):
            device = HOST if match["device"] == _THEIR_HOST else match["device"]
            needs[device] = Allocated(*(MIB * int(size) for size in match["sizes"].split()))
    return Fitted(loaded.layers, needs)


def _ask(program: Path, spec: ServerSpec, log: Path) -> Fitted:
    command = (f"{program}", *placing_arguments(spec), *_ARGUMENTS)
    with Program(command, log, _ENVIRONMENT) as process:
        status = process.wait(_LONGEST_S)
    fitted = parse(log.read_text(encoding="utf-8", errors="replace"), spec.devices)
    if status == 0 and fitted.needs:
        return fitted
    if status is None:
        end = f"was not done within {_LONGEST_S:g} s"
    elif status:
        end = how_it_ended(status)
    else:
        end = "is of a build that does not print what it needs: use a newer one"
    why = reason(log) if status else None
    said = f", saying {why!r}" if why else ""
    msg = f"llama-fit-params {end}{said} (model: {spec.model}); its log says more: {log}"
    raise EngineError(msg)
