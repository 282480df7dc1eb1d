"""Whether hgx has the place it needs: disk, memory, open files, and a registry that can be read."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING

from hgx._version import __version__
from hgx.flows.doctor_check import Check, Part
from hgx.sensors.cgroup import read_limits
from hgx.sensors.memory import find_memory
from hgx.store.atomic import is_there, shown_path
from hgx.store.registry_file import known_registry
from hgx.units import GIB, MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hgx.flows.doctor_check import State
    from hgx.sensors.source import Source
    from hgx.store.home import Home

_ROOM_FOR_A_MODEL = 4 * GIB
_ROOM_FOR_LOGS = 100 * MIB
_FREE_MEMORY = GIB
_LEAST_FILES = 256
"""A node takes 64 connections, each with a tunnel behind it."""


def place_parts(home: Home, source: Source) -> list[Part]:
    """List the checks of this area.

    Args:
        home: Where everything is kept.
        source: The machine.
    """
    return [
        Part("place", "software", _software),
        Part("place", "disk", partial(_disk, home)),
        Part("place", "registry", partial(_registry, home)),
        Part("place", "memory", partial(_memory, source)),
        Part("place", "open files", _open_files),
    ]


def nearest_there(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    ways = (path, *path.parents)
    return next((one for one in ways if os.path.exists(one)), path)  # noqa: PTH110 - raises nothing


def _software() -> Sequence[Check]:
    system = f"{platform.system()} on {platform.machine()}"
    found = f"hgx {__version__}, Python {platform.python_version()}, {system}"
    return [Check("place", "software", "ok", found)]


def _disk(home: Home) -> Sequence[Check]:
    """Look at the disks of models and logs, each once."""
    places = [nearest_there(path) for path in (home.models, home.logs)]
    by_disk = {place.stat().st_dev: place for place in reversed(places)}
    return [_disk_at(place) for place in by_disk.values()]


def _disk_at(place: Path) -> Check:
    free = shutil.disk_usage(place).free
    state: State = "ok"
    if free < _ROOM_FOR_A_MODEL:
        state = "fault" if free < _ROOM_FOR_LOGS else "warning"
    remedy = None if state == "ok" else "free some space, or choose another place with --home"
    found = f"{format_bytes(free)} free for models and logs at {shown_path(place)}"
    return Check("place", "disk", state, found, remedy)


def _registry(home: Home) -> Sequence[Check]:
    if not is_there(home.registry):
        found, remedy = "there is none yet", "run `hgx discover`"
        return [Check("place", "registry", "note", found, remedy)]
    registry = known_registry(home.registry)
    counts = f"{_count(len(registry.nodes), 'node')}, {_count(len(registry.devices), 'device')}"
    return [Check("place", "registry", "ok", f"{shown_path(home.registry)} has {counts}")]


def _memory(source: Source) -> Sequence[Check]:
    limits = read_limits(source)
    memory = find_memory(limits, source)
    if memory is None:
        return []
    found = f"{format_bytes(memory.free_bytes)} of {format_bytes(memory.total_bytes)} free"
    state: State = "ok"
    if limits.memory_bytes == memory.total_bytes:
        state, found = "note", f"{found}; a control group allows no more than that"
    if limits.cpus:
        state, found = "note", f"{found}; a control group allows {limits.cpus:g} processors' time"
    if memory.free_bytes >= _FREE_MEMORY:
        return [Check("place", "memory", state, found)]
    remedy = "close other programs, or give the container more"
    return [Check("place", "memory", "warning", found, remedy)]


def _open_files() -> Sequence[Check]:
    if sys.platform == "win32":
        return []
    import resource  # noqa: PLC0415 - Windows has none

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = limit == resource.RLIM_INFINITY
    found = "as many as wanted" if unlimited else f"{limit} at the same time"
    if unlimited or limit >= _LEAST_FILES:
        return [Check("place", "open files", "ok", found)]
    return [Check("place", "open files", "warning", found, "allow more, with ulimit -n 4096")]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
