"""What would be with other hardware: a registry changed in thought, and plans for both."""

from __future__ import annotations

import difflib
import re
from itertools import count
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from hgx.core.catalogue import CATALOGUE
from hgx.core.compared import WhatIfPlan
from hgx.core.evidence import BANDWIDTH, COMPUTE
from hgx.core.registry import Device, Link, Node
from hgx.errors import RegistryError
from hgx.flows.compared import ratio_of, summarise
from hgx.units import GIB, format_rate, format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hgx.core.catalogue import Offer
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry

ASSUMED_RTT_S = 5e-4
ASSUMED_BYTES_PER_S = 125e6
"""A wired network at home, of 1 Gbit/s."""

_SYSTEM_SHARE = 4
"""A whole machine's own system takes one part in so many of its memory."""

_LINK = re.compile(
    r"link:(?P<ends>[^=]+)=(?P<rate>\d+(?:\.\d+)?)(?P<prefix>[kmg])bps"
    r"(?:,(?P<rtt>\d+(?:\.\d+)?)(?P<unit>us|µs|ms|s))?",
    re.IGNORECASE,
)
_BYTES_PER_S = {"k": 125.0, "m": 125e3, "g": 125e6}
_PER_S = {"us": 1e6, "µs": 1e6, "ms": 1e3, "s": 1.0}
_FORMS = "+DEVICE, +DEVICE@NODE, -NODE, -DEVICE or link:NODE-NODE=1gbps"


class Removal(NamedTuple):
    """A node or a device that is not there any more, by its id."""

    name: str


class Addition(NamedTuple):
    """A device that is there too, in a node of the registry, or in a new one where null."""

    offer: Offer
    node: str | None


class NewLink(NamedTuple):
    """A link of other speed; its round trip stays where null. ``ends`` are NODE-NODE."""

    ends: str
    bytes_per_s: float
    rtt_s: float | None


Change = Removal | Addition | NewLink

_ORDER = (Removal, Addition, NewLink)
"""What makes room comes first; links last, as they may lead to what was added."""


class Changed(NamedTuple):
    """A registry changed in thought, and what had to be assumed for that, one sentence each."""

    registry: Registry
    notes: tuple[str, ...]


def parse_change(text: str) -> Change:
    """Read a change as people write it.

    Args:
        text: ``+rtx3060``, ``+rtx3060@tower``, ``-phone``, ``-tower/cuda:0``,
            ``link:tower-laptop=1gbps`` or ``link:tower-laptop=1gbps,0.5ms``.

    Raises:
        ValueError: It is none of these, or the catalogue has no such device; the message says
            what one writes.
    """
    if text.startswith("+") and len(text) > 1:
        name, at, node = text[1:].partition("@")
        offer = _offer(name)
        if at and offer.whole:
            msg = f"{offer.product} is a machine of its own: write +{name}, without @{node}"
            raise ValueError(msg)
        return Addition(offer, node if at else None)
    if text.startswith("-") and len(text) > 1:
        return Removal(text[1:])
    match = _LINK.fullmatch(text)
    if match is None or not float(match["rate"]):
        msg = f"{text!r} is no change of hardware: write {_FORMS}"
        raise ValueError(msg)
    rtt = match["rtt"]
    return NewLink(
        match["ends"],
        float(match["rate"]) * _BYTES_PER_S[match["prefix"].lower()],
        float(rtt) / _PER_S[match["unit"].lower()] if rtt else None,
    )


def change_registry(
    registry: Registry, changes: Iterable[Change], coordinator: str | None
) -> Changed:
    """Change a registry in thought: first what is removed, then what is added, then links.

    Args:
        registry: Nodes, devices and links as they are.
        changes: What is to be different.
        coordinator: Node that new ones have a link to, and that stays, without its devices, where
            it is removed; where it is null or unknown, new nodes have a link to each other one.

    Raises:
        RegistryError: A change names something that the registry does not have.
    """
    notes: list[str] = []
    for change in sorted(changes, key=lambda change: _ORDER.index(type(change))):
        match change:
            case Removal():
                registry, said = _without(registry, change.name, coordinator)
            case Addition():
                registry, said = _with(registry, change, coordinator)
            case NewLink():
                registry, said = _linked(registry, change)
        notes += said
    return Changed(registry, tuple(notes))


def beside_present(
    present: Plan, changed: Plan, changes: Sequence[str], notes: Sequence[str]
) -> WhatIfPlan:
    """Put the plan for changed hardware beside the one for what there is.

    Args:
        present: The plan for the registry as it is.
        changed: The plan for the changed one.
        changes: What was asked for, in the user's words.
        notes: What had to be assumed; it becomes part of the plan's reasons.
    """
    baseline = summarise(present)
    more = {
        "why": (*changed.why, *notes),
        "changes": tuple(changes),
        "baseline": baseline,
        "ratio": ratio_of(baseline, summarise(changed)),
    }
    return WhatIfPlan.model_validate({**dict(changed), **more})


def _offer(name: str) -> Offer:
    offer = CATALOGUE.get(name.lower())
    if offer is None:
        longer = [other for other in CATALOGUE if other.startswith(name.lower())]
        near = longer or difflib.get_close_matches(name.lower(), [*CATALOGUE])
        meant = f"did you mean {_listed(near[:4])}?" if near else "--what-if list shows what it has"
        msg = f"the catalogue has no {name!r}: {meant}"
        raise ValueError(msg)
    return offer


def _without(registry: Registry, name: str, coordinator: str | None) -> Changed:
    devices = [device for device in registry.devices if name in (device.id, device.node)]
    nodes = {node.id for node in registry.nodes}
    if not devices and name not in nodes:
        known = [*nodes, *(device.id for device in registry.devices)]
        raise RegistryError(_unknown("node or device", name, known))
    kept: dict[str, object] = {"devices": tuple(d for d in registry.devices if d not in devices)}
    if name == coordinator:
        note = (f"{name} coordinates, so it stays, without its devices",)
        return Changed(registry.model_copy(update=kept), note)
    kept["nodes"] = tuple(node for node in registry.nodes if node.id != name)
    kept["links"] = tuple(link for link in registry.links if name not in (link.source, link.target))
    return Changed(registry.model_copy(update=kept), ())


def _with(registry: Registry, change: Addition, coordinator: str | None) -> Changed:
    offer, home = change.offer, change.node
    nodes = [node.id for node in registry.nodes]
    notes: tuple[str, ...] = ()
    if home is None:
        home = _free(offer.name, nodes)
        registry, notes = _with_node(registry, _node(home, offer), coordinator)
    elif home not in nodes:
        raise RegistryError(_unknown("node", home, nodes))
    device = _device(home, offer, [device.id for device in registry.devices])
    figures = "its vendor's figures, which are peaks"
    if offer.assumed:
        figures += ", but for its arithmetic, which is assumed"
    note = f"{device.id} is {offer.product} by {figures}: {offer.source}"
    devices = (*registry.devices, device)
    return Changed(registry.model_copy(update={"devices": devices}), (*notes, note))


def _with_node(registry: Registry, node: Node, coordinator: str | None) -> Changed:
    nodes = [other.id for other in registry.nodes]
    ends = [other for other in nodes if other == coordinator] or nodes
    links = [_link(end, node.id, ASSUMED_BYTES_PER_S, ASSUMED_RTT_S) for end in ends]
    more = {"nodes": (*registry.nodes, node), "links": (*registry.links, *links)}
    speed = f"{format_rate(ASSUMED_BYTES_PER_S)}, {format_seconds(ASSUMED_RTT_S)} round trip"
    note = f"the link of {node.id} with {', '.join(ends)} is assumed: {speed}"
    return Changed(registry.model_copy(update=more), (note,) if ends else ())


def _node(name: str, offer: Offer) -> Node:
    if not offer.whole:
        return Node(id=name)
    total = offer.memory_gib * GIB
    return Node(id=name, ram_total_bytes=total, ram_free_bytes=_free_bytes(offer))


def _free_bytes(offer: Offer) -> int | None:
    total = offer.memory_gib * GIB
    return total - total // _SYSTEM_SHARE if offer.whole else None


def _device(node: str, offer: Offer, taken: Sequence[str]) -> Device:
    index = next(n for n in count() if f"{node}/{offer.backend}:{n}" not in taken)
    rank = "default" if offer.assumed else "vendor"
    return Device(
        id=f"{node}/{offer.backend}:{index}",
        node=node,
        backend=offer.backend,
        name=offer.product,
        memory_total_bytes=offer.memory_gib * GIB,
        memory_free_bytes=_free_bytes(offer),
        unified_memory=(offer.whole and offer.backend != "cpu") or None,
        memory_bandwidth_bytes_per_s=offer.bandwidth_gb_per_s * 1e9,
        compute_flops_per_s=offer.fp16_tflops * 1e12,
        evidence={
            BANDWIDTH: {"rank": "vendor", "source": offer.source},
            COMPUTE: {"rank": rank, "source": offer.source},
        },
    )


def _linked(registry: Registry, change: NewLink) -> Changed:
    ends = _ends(registry, change.ends)
    old = [link for link in registry.links if {link.source, link.target} == set(ends)]
    others = [link for link in registry.links if link not in old]
    notes: list[str] = []
    rtt = change.rtt_s
    if rtt is None:
        rtt = fmean(link.rtt_s for link in old) if old else ASSUMED_RTT_S
        if not old:
            between = " and ".join(ends)
            notes.append(f"the round trip between {between} is assumed: {format_seconds(rtt)}")
    link = _link(*ends, change.bytes_per_s, rtt)
    return Changed(registry.model_copy(update={"links": (*others, link)}), tuple(notes))


def _ends(registry: Registry, text: str) -> tuple[str, str]:
    """Tell two nodes apart whose names may have hyphens themselves."""
    nodes = [node.id for node in registry.nodes]
    hyphens = [at for at, letter in enumerate(text) if letter == "-"]
    pairs = [(text[:at], text[at + 1 :]) for at in hyphens]
    known = [pair for pair in pairs if set(pair) <= set(nodes) and pair[0] != pair[1]]
    if len(known) == 1:
        return known[0]
    if known:
        meanings = " or ".join(" and ".join(pair) for pair in known)
        msg = f"link:{text} may mean {meanings}: rename a node in the registry"
        raise RegistryError(msg)
    nearest = max(pairs, key=lambda pair: len({*pair} & {*nodes}), default=())
    strange = next((end for end in nearest if end not in nodes), None)
    if strange is not None:
        raise RegistryError(_unknown("node", strange, nodes))
    msg = f"link:{text} names no two nodes: write link:NODE-NODE=1gbps; there are: "
    raise RegistryError(msg + ", ".join(nodes))


def _link(source: str, target: str, bytes_per_s: float, rtt_s: float) -> Link:
    ends = {"from": source, "to": target}
    return Link.model_validate({**ends, "rtt_s": rtt_s, "bandwidth_bytes_per_s": bytes_per_s})


def _free(name: str, taken: Sequence[str]) -> str:
    return next(one for n in count(1) if (one := f"{name}-{n}" if n > 1 else name) not in taken)


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known)
    advice = f"did you mean {_listed(near)}?" if near else f"there are: {', '.join(sorted(known))}"
    return f"the registry has no {what} {name!r}: {advice}"


def _listed(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
