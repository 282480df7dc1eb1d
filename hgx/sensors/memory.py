"""Memory of this machine, as far as this process may use it."""

from __future__ import annotations

from typing import NamedTuple

import psutil

from hgx.sensors.cgroup import Limits, read_limits


class HostMemory(NamedTuple):
    """Bytes of main memory: all of it, and what could be had now without swapping."""

    total_bytes: int
    free_bytes: int


def read_memory(limits: Limits | None = None) -> HostMemory:
    """Read main memory, cut to what a container may use.

    Args:
        limits: Limits of this process; read from its control groups when absent.
    """
    limits = limits or read_limits()
    system = psutil.virtual_memory()
    total = _cut(system.total, limits.memory_bytes)
    return HostMemory(total, min(total, _cut(system.available, limits.memory_left_bytes)))


def _cut(size: int, limit: int | None) -> int:
    return size if limit is None else min(size, limit)
