"""Limits that Linux control groups, and so containers, put on this process.

Both versions are read, from the process's own group up to the root, because any group on the way
may be the tightest. Interface files: the kernel's cgroup-v2 and cgroup-v1/memory documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hgx.sensors.source import MACHINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgx.sensors.source import Source


class _MemoryFiles(NamedTuple):
    limit: str
    used: str
    reclaimable: str  # the line of memory.stat that counts file pages nobody uses now


_MEMORY_FILES = (
    _MemoryFiles("memory.max", "memory.current", "inactive_file"),
    _MemoryFiles("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_MOUNT = PurePosixPath("sys/fs/cgroup")
_UNLIMITED = 1 << 60  # version 1 writes the largest number of pages where there is no limit


@dataclass(frozen=True)
class Limits:
    """What this process may use; null where no group limits it.

    Attributes:
        memory_bytes: Memory that all processes of the tightest group may use together.
        memory_left_bytes: How much of its limit the fullest group has left.
        cpus: Processors' worth of time, 1.5 for one and a half.
    """

    memory_bytes: int | None = None
    memory_left_bytes: int | None = None
    cpus: float | None = None


def read_limits(source: Source = MACHINE) -> Limits:
    """Read the limits of this process.

    Args:
        source: The machine, or a recording.

    Returns:
        All null on systems without control groups.
    """
    groups = list(_groups(source))
    memory = [found for group in groups for found in _memory(source, group)]
    return Limits(
        memory_bytes=min((limit for limit, _ in memory), default=None),
        memory_left_bytes=min((left for _, left in memory), default=None),
        cpus=min((cpus for group in groups if (cpus := _cpus(source, group))), default=None),
    )


def _groups(source: Source) -> Iterator[PurePosixPath]:
    """Yield the directory of each group that this process is in, and those above it."""
    for line in (source.read("proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            # Version 2 names no controller: its single tree is the mount itself.
            tree = _MOUNT / controller.lstrip("/")
            group = tree / path.lstrip("/")
            yield from (place for place in (group, *group.parents) if place.is_relative_to(tree))


def _memory(source: Source, group: PurePosixPath) -> Iterator[tuple[int, int]]:
    for files in _MEMORY_FILES:
        limit = _whole(source.read(f"{group}/{files.limit}"))
        if limit is None or limit >= _UNLIMITED:
            continue
        used = _whole(source.read(f"{group}/{files.used}")) or 0
        lines = (source.read(f"{group}/memory.stat") or "").splitlines()
        statistics = {name: count for name, _, count in (line.partition(" ") for line in lines)}
        reclaimable = _whole(statistics.get(files.reclaimable)) or 0
        yield limit, max(0, limit - max(0, used - reclaimable))


def _cpus(source: Source, group: PurePosixPath) -> float | None:
    quota, _, period = (source.read(f"{group}/cpu.max") or "").partition(" ")
    if not quota:
        quota = source.read(f"{group}/cpu.cfs_quota_us") or ""
        period = source.read(f"{group}/cpu.cfs_period_us") or ""
    time_us, every_us = _whole(quota), _whole(period)
    return time_us / every_us if time_us and every_us else None


def _whole(text: str | None) -> int | None:
    digits = (text or "").strip()
    # The kernel's numbers have 64 bits; and int() takes other digits than ours.
    return int(digits) if digits.isdecimal() and digits.isascii() and len(digits) < 21 else None
