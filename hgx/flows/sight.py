"""Ways to look at a machine: this one, or a recording of one.

All answers pass through a ``Source``, so that what one machine said can be replayed on another,
the answers of vendors' libraries included.
"""

from __future__ import annotations

import json
import platform
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue, ValidationError

from hgx.core.base import Strict
from hgx.drivers import backends
from hgx.errors import Unavailable
from hgx.flows.probe import Missing, Probe, probe
from hgx.sensors.amdgpu import amd_cards
from hgx.sensors.battery import read_battery
from hgx.sensors.memory import read_memory
from hgx.sensors.nvml_probe import describe_cards, has_nvidia
from hgx.sensors.source import MACHINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hgx.core.reading import Battery
    from hgx.sensors.amdgpu import AmdCard
    from hgx.sensors.card import Survey
    from hgx.sensors.memory import HostMemory
    from hgx.sensors.source import Source


class Machine(Strict):
    """What kind of machine it is; null where unknown."""

    name: str | None = None
    os: str | None = None
    arch: str | None = None


class Sight(NamedTuple):
    """All that discovery asks of a machine.

    Attributes:
        absent: Says, per backend, why it cannot work here, or null where it may.
        probe: Looks through one backend, by its name.
        survey: Reads the NVIDIA cards.
        has_nvidia: Says whether a card of NVIDIA's is plugged in; null where that is not told.
        amd: Reads AMD's cards; Linux only.
        memory: Reads main memory.
        machine: Says what kind it is.
        battery: Reads its battery; null where it has none.
    """

    absent: Callable[[], Mapping[str, Unavailable | None]]
    probe: Callable[[str], Probe]
    survey: Callable[[], Survey]
    has_nvidia: Callable[[], bool | None]
    amd: Callable[[], tuple[AmdCard, ...]]
    memory: Callable[[], HostMemory]
    machine: Callable[[], Machine]
    battery: Callable[[], Battery | None]


def sight_of(source: Source = MACHINE) -> Sight:
    """Look at a machine through a source: the live one, one that records, or a recording."""
    return Sight(
        absent=lambda: {
            found.name: _absent(source, found.name, found.absent) for found in backends()
        },
        probe=partial(_probe, source),
        survey=lambda: describe_cards(source),
        has_nvidia=lambda: has_nvidia(source),
        amd=lambda: amd_cards(source),
        memory=lambda: read_memory(source=source),
        machine=lambda: _machine(source),
        battery=lambda: read_battery(source),
    )


class _Absence(Strict):
    """Why a backend cannot work, null where it may: so that "not recorded" is another thing."""

    absent: Missing | None


def _absent(
    source: Source, name: str, absent: Callable[[], Unavailable | None]
) -> Unavailable | None:
    def ask() -> JsonValue:
        reason = absent()
        missing = reason and Missing(reason=reason.reason, remedy=reason.remedy)
        return _Absence(absent=missing).model_dump()

    try:
        missing = _Absence.model_validate(source.ask(f"absent:{name}", ask)).absent
    except ValidationError:
        return _not_recorded(name)
    return missing and Unavailable(missing.reason, missing.remedy)


def _probe(source: Source, name: str) -> Probe:
    answer = source.ask(f"driver:{name}", lambda: probe(name).model_dump(mode="json"))
    try:
        # From text, because only there a strict tuple may be written as a JSON array.
        return Probe.model_validate_json(json.dumps(answer))
    except ValidationError:
        reason = _not_recorded(name)
        missing = Missing(reason=reason.reason, remedy=reason.remedy)
        return Probe(missing=missing, crashed=True)


def _not_recorded(name: str) -> Unavailable:
    """Say that a recording is older than a backend, or damaged there."""
    return Unavailable(f"{name} is not in the recording", "record it again")


def _machine(source: Source) -> Machine:
    def ask() -> JsonValue:
        return {"name": platform.node() or None, "arch": platform.machine().lower() or None}

    try:
        machine = Machine.model_validate(source.ask("machine", ask))
    except ValidationError:
        machine = Machine()
    return machine.model_copy(update={"os": source.system.lower()})
