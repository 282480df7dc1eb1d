"""A machine written down, and looked at again elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from hgx.core.registry import Registry
from hgx.flows.discover import Watcher
from hgx.flows.local import Local, find_local
from hgx.flows.sight import sight_of
from hgx.flows.watch import Row, Snapshot
from hgx.sensors.node import read_node
from hgx.sensors.recording import Recorder, Replay
from hgx.sensors.source import MACHINE

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.sensors.source import Source

NODE = "recorded"
"""What a recorded machine is called: its own name is not in the recording."""


class Replayed(NamedTuple):
    """A recorded machine.

    Attributes:
        local: Its devices, with what was looked for in vain.
        registry: The same as a registry of its own.
        snapshot: What its sensors said.
    """

    local: Local
    registry: Registry
    snapshot: Snapshot


def record(directory: Path, watcher: Watcher | None = None, source: Source = MACHINE) -> None:
    """Write down all that a machine says of its devices and sensors, without what is personal.

    Args:
        directory: Where to; it must be new or empty.
        watcher: Shows what goes on.
        source: The machine.

    Raises:
        StorageError: The directory has something in it, is not writable, or the disk is full.
    """
    recorder, now = Recorder(source), datetime.now(UTC)
    find_local(NODE, sight_of(recorder), now, (watcher or Watcher()).waiting)
    read_node(recorder)
    recorder.save(directory, now)


def replay(directory: Path) -> Replayed:
    """Look at a recorded machine.

    Args:
        directory: The recording.

    Raises:
        StorageError: It is no recording, damaged, or of a version not known here.
        Unavailable: It does not say how much memory the machine has.
    """
    source, now = Replay(directory), datetime.now(UTC)
    local = find_local(NODE, sight_of(source), now)
    registry = Registry(nodes=(local.node,), devices=tuple(local.devices.values()))
    readings = read_node(source)
    rows = tuple(
        Row(f"{NODE}/{device}", None, reading) for device, reading in readings.devices.items()
    )
    return Replayed(local, registry, Snapshot(source.recorded_at or now, rows, readings.battery))
