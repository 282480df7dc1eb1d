"""NVML asked in a process of its own: a library that hangs or crashes takes nothing with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hgx.errors import Unavailable
from hgx.process.child import lines_of, python_module
from hgx.sensors.card import Survey, survey_from_json, survey_to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.sensors.source import Source

TIMEOUT_S = 10.0
"""A first call may start the driver, which takes seconds on a machine with several cards."""

_COMMAND = python_module("hgx.sensors.nvml")
_VENDOR = "0x10de"
_WHAT = "reading NVML"
_REMEDY = "run nvidia-smi to see whether the driver works"


def describe_cards(source: Source) -> Survey:
    """Read the NVIDIA cards of a machine, live from a process of its own.

    Args:
        source: The machine, or a recording.

    Returns:
        No cards and no reasons on systems that NVIDIA makes no driver for, and where a recording
        holds none.
    """
    if source.system not in {"Linux", "Windows"}:
        return Survey()
    answer = source.ask("nvml", lambda: survey_to_json(probe_cards()))
    return survey_from_json(answer) or Survey()


def has_nvidia(source: Source) -> bool | None:
    """Say whether a device of NVIDIA's is on the PCI bus; null where the system does not tell.

    Args:
        source: The machine, or a recording.
    """
    vendors = [source.read(path) for path in source.glob("sys/bus/pci/devices/*/vendor")]
    if not any(vendors):
        return None
    return any(vendor is not None and vendor.strip() == _VENDOR for vendor in vendors)


def probe_cards(timeout_s: float = TIMEOUT_S, command: Sequence[str] = _COMMAND) -> Survey:
    """Read all NVIDIA cards in a process of its own.

    Args:
        timeout_s: Seconds after which the process is killed.
        command: The program that prints the survey.

    Returns:
        What was found; no cards and a reason if the process hung, crashed or printed nonsense.
    """
    try:
        with lines_of(command, what=_WHAT, silence_s=timeout_s, remedy=_REMEDY) as lines:
            answer = "".join(lines)
    except Unavailable as reason:
        return Survey(missing=(reason,), sure=False)
    try:
        survey = survey_from_json(json.loads(answer))
    except (ValueError, RecursionError):
        survey = None
    nonsense = Unavailable(f"{_WHAT} gave no usable answer", _REMEDY)
    return survey or Survey(missing=(nonsense,), sure=False)
