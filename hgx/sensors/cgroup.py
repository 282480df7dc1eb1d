"""Limits that Linux control groups, and so containers, put on this process.

Both versions are read, from the process's own group up to the root, because any group on the way
may be the tightest. Interface files: the kernel's cgroup-v2 and cgroup-v1/memory documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class _MemoryFiles(NamedTuple):
    limit: str
    used: str
    reclaimable: str  # the line of memory.stat that counts file pages nobody uses now


_MEMORY_FILES = (
    _MemoryFiles("memory.max", "memory.current", "inactive_file"),
    _MemoryFiles("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
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


def read_limits(root: Path = Path("/")) -> Limits:
    """Read the limits of this process.

    Args:
        root: Where ``proc`` and ``sys`` are; another place in tests.

    Returns:
        All null on systems without control groups.
    """
    groups = list(_groups(root))
    memory = [found for group in groups for found in _memory(group)]
    return Limits(
        memory_bytes=min((limit for limit, _ in memory), default=None),
        memory_left_bytes=min((left for _, left in memory), default=None),
        cpus=min((cpus for group in groups if (cpus := _cpus(group))), default=None),
    )


def _groups(root: Path) -> Iterator[Path]:
    """Yield the directory of each group that this process is in, and those above it."""
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            # Version 2 names no controller: its single tree is the mount itself.
            tree = mount / controller
            group = tree / path.lstrip("/")
            yield from (place for place in (group, *group.parents) if place.is_relative_to(tree))


def _memory(group: Path) -> Iterator[tuple[int, int]]:
    for files in _MEMORY_FILES:
        limit = _whole(_read(group / files.limit))
        if limit is None or limit >= _UNLIMITED:
            continue
        used = _whole(_read(group / files.used)) or 0
        statistics = dict(
            line.split(maxsplit=1) for line in _read(group / "memory.stat").splitlines() if line
        )
        reclaimable = _whole(statistics.get(files.reclaimable, "")) or 0
        yield limit, max(0, limit - max(0, used - reclaimable))


def _cpus(group: Path) -> float | None:
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    time_us, every_us = _whole(quota), _whole(period)
    return time_us / every_us if time_us and every_us else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # this version, controller or system does not have it: no limit from here


def _whole(text: str) -> int | None:
    digits = text.strip()
    return int(digits) if digits.isdecimal() else None
