"""The devices that llama.cpp's programs can use on this machine, by its own names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgx.engine.base import EngineDevice
from hgx.engine.placement import HOST
from hgx.errors import EngineError
from hgx.process.brief import run_briefly
from hgx.process.program import how_it_ended
from hgx.units import MIB

if TYPE_CHECKING:
    from hgx.engine.binaries import Toolkit

_LIMIT_S = 60.0
"""Longest time to list them, in seconds: libraries for GPUs are loaded first."""

_DEVICE = re.compile(
    r"^  (?P<name>\S+): (?P<text>.*) \((?P<total>\d+) MiB, \d+ MiB free\)$", re.MULTILINE
)
_HEADING = "Available devices:"


def list_devices(toolkit: Toolkit) -> tuple[EngineDevice, ...]:
    """List the CPU, which llama.cpp always has, and what else it can use.

    Args:
        toolkit: llama.cpp's programs.

    Raises:
        Unavailable: llama-server cannot be started.
        EngineError: It does not say, with how it ended.
    """
    status, text = run_briefly([f"{toolkit.server}", "--list-devices"], timeout_s=_LIMIT_S)
    if status != 0 or _HEADING not in text:
        end = f"was not done within {_LIMIT_S:g} s" if status is None else how_it_ended(status)
        msg = f"{toolkit.server} --list-devices {end}: use another build of llama.cpp, named with "
        raise EngineError(f"{msg}--engine-dir or HGX_LLAMA_CPP")
    return (
        EngineDevice(name=HOST, description="the processor", kind="cpu"),
        *(
            EngineDevice(
                name=line["name"],
                description=line["text"],
                kind="gpu",
                memory_total_bytes=int(line["total"]) * MIB,
            )
            for line in _DEVICE.finditer(text)
        ),
    )
