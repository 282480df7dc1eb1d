"""The devices of this machine: every backend asked at the same time, none able to hold up others.

A backend is looked at in a process of its own (``hgx.flows.probe``), unless its driver can tell at
once that it cannot work here. Cards that their vendor's library describes are there even without
a runtime that hgx could use itself: llama.cpp brings its own.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hgx.core.evidence import BANDWIDTH, COMPUTE
from hgx.core.registry import Device, Node
from hgx.errors import Unavailable
from hgx.flows.rates import Rate, device_with_rates
from hgx.process.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from datetime import datetime

    from pydantic import JsonValue

    from hgx.core.reading import Battery
    from hgx.flows.probe import Probe, Seen
    from hgx.flows.sight import Machine, Sight
    from hgx.sensors.amdgpu import AmdCard
    from hgx.sensors.card import Card, Survey
    from hgx.sensors.memory import HostMemory

Answer = TypeVar("Answer")

_CARDS, _AMD = "cuda", "rocm"  # the backends that run on the cards of NVIDIA and AMD
_NVML = "NVML: bus width, cores and highest clocks"


class Local(NamedTuple):
    """What was found on this machine.

    Attributes:
        node: The machine.
        devices: By id.
        driven: Index of a device within its driver, by id; of those that have one.
        missing: What was looked for and did not answer, or answered that it is not there.
        absent: Backends that cannot work here, as could be told without trying.
        looked_for: Backends whose devices would be among them if there were any.
    """

    node: Node
    devices: dict[str, Device]
    driven: dict[str, int]
    missing: tuple[Unavailable, ...]
    absent: tuple[Unavailable, ...]
    looked_for: frozenset[str]


def find_local(
    node: str,
    sight: Sight,
    seen_at: datetime,
    waiting: Callable[[frozenset[str]], None] = lambda _: None,
) -> Local:
    """Find the devices of this machine.

    Args:
        node: Its id.
        sight: How to look.
        seen_at: The time.
        waiting: Told which answers are still missing, whenever one came.
    """
    battery = Background(sight.battery)  # some systems take a second to tell
    absent = sight.absent()
    survey, found = _ask_all(sight, [name for name in absent if not absent[name]], waiting)
    memory = sight.memory()
    described = [
        *(_card_device(node, card, memory, seen_at) for card in survey.cards),
        *(_amd_device(node, card, seen_at) for card in sight.amd() if card.memory_total_bytes),
    ]
    seen = [
        (_seen_device(node, backend, device, seen_at), device.index)
        for backend, answer in found.items()
        for device in answer.devices
    ]
    devices, driven = _united(described, seen)
    # Who has no card of NVIDIA's need not be told each time that its driver is not there.
    pointless = not survey.cards and survey.sure and sight.has_nvidia() is False
    return Local(
        node=_this_node(node, sight.machine(), memory, battery.result()),
        devices=devices,
        driven=driven,
        missing=(*(() if pointless else survey.missing), *_missing(found.values())),
        absent=(
            *(survey.missing if pointless else ()),
            *(reason for reason in absent.values() if reason),
        ),
        looked_for=frozenset(_looked_for(survey, found)),
    )


def _ask_all(
    sight: Sight, names: Sequence[str], waiting: Callable[[frozenset[str]], None]
) -> tuple[Survey, dict[str, Probe]]:
    """Look through NVML and the backends at the same time."""
    answered: SimpleQueue[str] = SimpleQueue()

    def ask(name: str, look: Callable[[], Answer]) -> Background[Answer]:
        return Background(look, done=lambda: answered.put(name))

    survey = ask("nvml", sight.survey)
    probes = {name: ask(name, partial(sight.probe, name)) for name in names}
    pending = {"nvml", *probes}
    while pending:
        pending.remove(answered.get())
        waiting(frozenset(pending))
    return survey.result(), {name: asked.result() for name, asked in probes.items()}


def _this_node(node: str, machine: Machine, memory: HostMemory, battery: Battery | None) -> Node:
    return Node(
        id=node,
        name=machine.name or node,
        os=machine.os,
        arch=machine.arch,
        ram_total_bytes=memory.total_bytes,
        ram_free_bytes=memory.free_bytes,
        battery=battery,
    )


def _looked_for(survey: Survey, found: Mapping[str, Probe]) -> Iterable[str]:
    """Name the backends of which nothing failed: what is not found there is not there."""
    crashed = {name for name, answer in found.items() if answer.crashed}
    if not survey.sure:
        crashed.add(_CARDS)
    return {_CARDS, _AMD, *found} - crashed


def _missing(answers: Iterable[Probe]) -> Iterable[Unavailable]:
    for answer in answers:
        if answer.missing:
            yield Unavailable(answer.missing.reason, answer.missing.remedy)


def _united(
    described: Iterable[Device], seen: Iterable[tuple[Device, int]]
) -> tuple[dict[str, Device], dict[str, int]]:
    """Join what a vendor's library describes with what a driver sees of the same device.

    They may number cards differently, as where CUDA_VISIBLE_DEVICES hides one: the uuid decides,
    and the vendor's number stays. The number alone decides only where one of them has no uuid.
    What a driver sees besides keeps its number, or takes the next one that is free. A driver's
    word on what the device is counts more.

    Returns:
        The devices by id, and the indices that drivers know theirs by.
    """
    devices = {device.id: device for device in described}
    cards = dict(devices)
    alone = [*seen]
    driven: dict[str, int] = {}
    # Who is known for certain comes first, so that nobody else takes that card by its number.
    for same in (_same_uuid, _same_number):
        for device, index in tuple(alone):
            card = next((card for card in cards.values() if same(card, device)), None)
            if card:
                alone.remove((device, index))
                devices[card.id] = _joined(cards.pop(card.id), device)
                driven[card.id] = index
    # Who can keep its number does so before others look for free ones.
    for device, index in sorted(alone, key=lambda one: one[0].id in devices):
        own = device.model_copy(update={"id": _free_id(device.id, devices)})
        devices[own.id] = own
        driven[own.id] = index
    return devices, driven


def _same_uuid(card: Device, device: Device) -> bool:
    return card.backend == device.backend and bool(card.uuid) and card.uuid == device.uuid


def _same_number(card: Device, device: Device) -> bool:
    return card.id == device.id and not (card.uuid and device.uuid)


def _free_id(wanted: str, taken: Container[str]) -> str:
    """Return the id, or the next of its backend that nobody has."""
    backend, _, number = wanted.rpartition(":")
    ids = (f"{backend}:{free}" for free in count(int(number)))
    return next(free for free in ids if free not in taken)


def _joined(card: Device, device: Device) -> Device:
    """Return the card, with what the driver knows of it; the rates are the vendor's."""
    told = device.model_dump(exclude_none=True, exclude={"id", "evidence", BANDWIDTH, COMPUTE})
    return Device.model_validate(card.model_dump(exclude_unset=True) | told)


def _seen_device(node: str, backend: str, seen: Seen, seen_at: datetime) -> Device:
    facts: dict[str, JsonValue] = {
        "name": seen.name,
        "memory_total_bytes": seen.memory_total_bytes,
        "memory_free_bytes": seen.memory_free_bytes,
        "unified_memory": seen.unified_memory,
        "temperature_c": seen.temperature_c,
    }
    if seen.uuid:
        facts["uuid"] = seen.uuid
    if seen.fallback:
        facts["fallback"] = True
    return device_with_rates(f"{node}/{backend}:{seen.index}", facts, {}, seen_at)


def _card_device(node: str, card: Card, memory: HostMemory, seen_at: datetime) -> Device:
    rates: dict[str, Rate] = {}
    if card.memory_bandwidth_bytes_per_s:
        rates[BANDWIDTH] = Rate(card.memory_bandwidth_bytes_per_s, "vendor", _NVML)
    if card.compute_flops_per_s:
        rates[COMPUTE] = Rate(card.compute_flops_per_s, "vendor", _NVML)
    # A card that does not tell its memory has none of its own: it uses the host's.
    unified = card.memory_total_bytes is None
    facts: dict[str, JsonValue] = {
        "name": card.name,
        "memory_total_bytes": card.memory_total_bytes or memory.total_bytes,
        "memory_free_bytes": memory.free_bytes if unified else card.memory_free_bytes,
        "unified_memory": unified,
        "temperature_c": card.temperature_c,
        "temperature_limit_c": card.slowdown_c,
        "uuid": card.uuid,
    }
    return device_with_rates(f"{node}/{_CARDS}:{card.index}", facts, rates, seen_at)


def _amd_device(node: str, card: AmdCard, seen_at: datetime) -> Device:
    total, used = card.memory_total_bytes, card.memory_used_bytes
    facts: dict[str, JsonValue] = {
        "name": card.name,
        "memory_total_bytes": total,
        "memory_free_bytes": None if total is None or used is None else max(0, total - used),
        "uuid": card.uuid,
    }
    return device_with_rates(f"{node}/{_AMD}:{card.index}", facts, {}, seen_at)
