"""The drivers of this machine as `hgx discover` meets them, and cards that have none."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hgx.flows.doctor_check import Check, Part, failed, run_parts
from hgx.process.background import Background
from hgx.sensors.values import read_word
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hgx.errors import Unavailable
    from hgx.flows.doctor_check import State
    from hgx.flows.probe import Probe
    from hgx.flows.sight import Sight
    from hgx.sensors.source import Source

NVIDIA, AMD = "0x10de", "0x1002"
"""Vendors of cards, as the PCI bus numbers them."""

_DISPLAY = "0x03"
"""How the class of a PCI device begins that draws, or could."""

_BACKENDS = {"cuda": NVIDIA, "rocm": AMD}


def graphics(source: Source, vendor: str) -> tuple[str, ...]:
    """Find the graphics cards of a vendor on the PCI bus; none where the system does not tell.

    Args:
        source: The machine.
        vendor: Its number.

    Returns:
        The paths of the devices, below the root.
    """
    devices = [path.removesuffix("/vendor") for path in source.glob("sys/bus/pci/devices/*/vendor")]
    return tuple(
        device
        for device in devices
        if read_word(source, f"{device}/vendor") == vendor
        and read_word(source, f"{device}/class").startswith(_DISPLAY)
    )


def asked_once(sight: Sight) -> Sight:
    """Ask all backends at once, now and in the background, and keep what they answer.

    Args:
        sight: How to look at the machine.

    Returns:
        A sight whose answers may be taken any number of times; whoever is early waits.
    """
    absent = sight.absent()
    survey = Background(sight.survey)
    probes = {
        name: Background(partial(sight.probe, name))
        for name, reason in absent.items()
        if not reason
    }

    def answer(name: str) -> Probe:
        return probes[name].result()

    return sight._replace(
        absent=lambda: absent,
        survey=survey.result,
        probe=answer,
    )


def driver_checks(look: Callable[[], Sight], source: Source) -> Sequence[Check]:
    """Check what describes cards, and each backend.

    Args:
        look: Gives a sight whose answers are kept.
        source: The machine.
    """
    sight = look()
    return run_parts(
        [
            Part("drivers", "NVIDIA cards", partial(_nvidia, sight, source)),
            Part("drivers", "AMD cards", partial(_amd, sight, source)),
            *(
                Part("drivers", name, partial(_backend, sight, source, name, reason))
                for name, reason in sight.absent().items()
            ),
        ]
    )


def _nvidia(sight: Sight, source: Source) -> Sequence[Check]:
    what, survey = "NVIDIA cards", sight.survey()
    names = ", ".join(card.name or "a card without a name" for card in survey.cards)
    checks = [Check("drivers", what, "ok", f"{names}, as NVML says")] if names else []
    plugged_in = bool(survey.cards or graphics(source, NVIDIA))
    if not plugged_in and survey.sure:
        return []  # who has no card need not be told that its driver is not there
    checks += [failed("drivers", what, missing) for missing in survey.missing]
    return checks


def _amd(sight: Sight, source: Source) -> Sequence[Check]:
    what, cards = "AMD cards", sight.amd()
    names = ", ".join(card.name for card in cards)
    checks = [Check("drivers", what, "ok", f"{names}, as amdgpu says")] if names else []
    driven = {card.pci_address for card in cards}
    places = (path.rpartition("/")[2] for path in graphics(source, AMD))
    for place in places:
        if place not in driven:
            found = f"the card at {place} has no driver that hgx knows"
            remedy = "load amdgpu with modprobe amdgpu, unless a virtual machine uses the card"
            checks.append(Check("drivers", what, "warning", found, remedy))
    return checks


def _backend(
    sight: Sight, source: Source, name: str, absent: Unavailable | None
) -> Sequence[Check]:
    vendor = _BACKENDS.get(name)
    card = vendor is not None and _has_card(sight, source, vendor)
    # Without a card its runtime is not missed; with one, the card cannot be measured.
    state: State = "warning" if card else "note"
    if absent:
        return [failed("drivers", name, absent, state=state)]
    answer = sight.probe(name)
    if answer.devices:
        names = (
            f"{seen.name} ({format_bytes(seen.memory_total_bytes)})" for seen in answer.devices
        )
        return [Check("drivers", name, "ok", ", ".join(names))]
    if answer.missing is None:
        return [Check("drivers", name, state, "it has no device here")]
    state = "fault" if answer.crashed else state
    return [Check("drivers", name, state, answer.missing.reason, answer.missing.remedy)]


def _has_card(sight: Sight, source: Source, vendor: str) -> bool:
    described = sight.survey().cards if vendor == NVIDIA else sight.amd()
    return bool(described or graphics(source, vendor))
