"""Memory of this machine, as far as this process may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psutil

from hgx.errors import Unavailable
from hgx.sensors.cgroup import Limits, read_limits
from hgx.sensors.source import MACHINE
from hgx.sensors.values import mapping, plausible

if TYPE_CHECKING:
    from pydantic import JsonValue

    from hgx.sensors.source import Source


class HostMemory(NamedTuple):
    """Bytes of main memory: all of it, and what could be had now without swapping."""

    total_bytes: int
    free_bytes: int


def read_memory(limits: Limits | None = None, source: Source = MACHINE) -> HostMemory:
    """Read main memory, cut to what a container may use.

    Args:
        limits: Limits of this process; read from its control groups when absent.
        source: The machine, or a recording.

    Raises:
        Unavailable: The recording does not hold it; a live machine always tells.
    """
    found = find_memory(limits, source)
    if found is None:
        raise Unavailable("nothing tells how much memory this machine has", "record it again")
    return found


def find_memory(limits: Limits | None = None, source: Source = MACHINE) -> HostMemory | None:
    """Read main memory as ``read_memory`` does; null where nothing tells it."""
    answer = mapping(source.ask("memory", _ask))
    total = plausible("memory_total_bytes", answer.get("total_bytes"))
    available = plausible("memory_free_bytes", answer.get("available_bytes"))
    if total is None or available is None:
        return None
    limits = limits or read_limits(source)
    cut_total = _cut(int(total), limits.memory_bytes)
    return HostMemory(cut_total, min(cut_total, _cut(int(available), limits.memory_left_bytes)))


def _ask() -> JsonValue:
    system = psutil.virtual_memory()
    return {"total_bytes": system.total, "available_bytes": system.available}


def _cut(size: int, limit: int | None) -> int:
    return size if limit is None else min(size, limit)
