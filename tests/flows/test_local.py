"""What a vendor's library describes and what drivers see, put together."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.reading import Battery
from hgx.flows.local import Local, find_local
from hgx.flows.probe import Probe, Seen
from hgx.flows.sight import Machine, Sight
from hgx.sensors.amdgpu import AmdCard
from hgx.sensors.card import Card, Survey
from hgx.sensors.memory import HostMemory


class Thing(NamedTuple):
    """A device as a vendor's library or a driver has it."""

    backend: str
    number: int
    uuid: str | None = None


def found(described: list[Thing], seen: list[Thing]) -> Local:
    """Look at a machine of which this is said; each device has the name of whoever told it."""
    cards = tuple(
        Card(one.number, one.uuid, f"card {one}", 1000)
        for one in described
        if one.backend == "cuda"
    )
    amd = tuple(
        AmdCard(one.number, "", f"card {one}", uuid=one.uuid, memory_total_bytes=1000)
        for one in described
        if one.backend == "rocm"
    )
    probes = {
        backend: Probe(
            devices=tuple(
                Seen(index=one.number, name=f"seen {one}", memory_total_bytes=900, uuid=one.uuid)
                for one in seen
                if one.backend == backend
            )
        )
        for backend in ("cuda", "rocm", "cpu")
    }
    sight = Sight(
        absent=lambda: dict.fromkeys(probes),
        probe=probes.__getitem__,
        survey=lambda: Survey(cards),
        has_nvidia=lambda: True,
        amd=lambda: amd,
        memory=lambda: HostMemory(4000, 3000),
        machine=Machine,
        battery=lambda: Battery(charge=0.5),
    )
    return find_local("box", sight, datetime(2026, 1, 2, tzinfo=UTC))


def cuda(*uuids: str | None) -> list[Thing]:
    """Return devices with these uuids, numbered from 0."""
    return [Thing("cuda", index, uuid) for index, uuid in enumerate(uuids)]


@pytest.mark.parametrize(
    ("described", "seen", "uuids", "driven"),
    [
        # The uuid decides, in whatever order they are seen.
        (cuda("a", "b"), cuda("b", "a"), ["a", "b"], {0: 1, 1: 0}),
        # The number decides where one side has no uuid, but never against a uuid.
        (cuda("a", "b"), cuda(None), ["a", "b"], {0: 0}),
        (cuda(None, "b"), cuda("a"), ["a", "b"], {0: 0}),
        (cuda("a", "b"), cuda(None, "a"), ["a", "b", None], {0: 1, 2: 0}),
        # Where uuids differ both stay, and what is seen takes a number that is free.
        (cuda("a"), cuda("x"), ["a", "x"], {1: 0}),
        (cuda("a", "b"), cuda("x", "b"), ["a", "b", "x"], {1: 1, 2: 0}),
        # One that can keep its number keeps it.
        (cuda("a"), cuda("x", "y"), ["a", "y", "x"], {1: 1, 2: 0}),
        # A card is one device, even where a driver shows it twice.
        (cuda("a"), cuda("a", "a"), ["a", "a"], {0: 0, 1: 1}),
        # Another backend's devices are others.
        ([Thing("rocm", 0, "a")], cuda("a"), ["a"], {0: 0}),
    ],
)
def test_who_is_who(
    described: list[Thing], seen: list[Thing], uuids: list[str | None], driven: dict[int, int]
) -> None:
    """Cards and what a driver sees are joined where they are the same, and else both there."""
    local = found(described, seen)
    cards = {name: card.uuid for name, card in local.devices.items() if card.backend == "cuda"}
    assert cards == {f"box/cuda:{number}": uuid for number, uuid in enumerate(uuids)}
    assert local.driven == {f"box/cuda:{number}": index for number, index in driven.items()}


def test_the_machine_itself() -> None:
    """Its memory and its battery are the node's."""
    node = found([], []).node
    assert (node.ram_total_bytes, node.ram_free_bytes) == (4000, 3000)
    assert node.battery == Battery(charge=0.5)


def things(*backends: str) -> st.SearchStrategy[list[Thing]]:
    """Return devices of these backends, each number of each at most once."""
    one = st.builds(
        Thing, st.sampled_from(backends), st.integers(0, 4), st.sampled_from([None, *"abcd"])
    )
    return st.lists(one, max_size=8, unique_by=lambda thing: thing[:2])


@given(things("cuda", "rocm"), things("cuda", "rocm", "cpu"))
def test_nothing_is_lost(described: list[Thing], seen: list[Thing]) -> None:
    """All are there under ids of their own, and each that is seen is driven exactly once."""
    local = found(described, seen)
    names = {f"seen {one}": one for one in seen}
    driven = {name: local.devices[name] for name in local.driven}
    assert Counter(card.name for card in driven.values()) == Counter([*names])
    for name, device in driven.items():
        one = names[device.name or ""]
        assert (device.backend, local.driven[name]) == (one.backend, one.number)
        assert device.uuid == one.uuid or one.uuid is None
    for one in described:
        card = local.devices[f"box/{one.backend}:{one.number}"]
        assert card.uuid == one.uuid or one.uuid is None
        assert (card.id in local.driven) != (card.name == f"card {one}")
    assert len(local.devices) == len(driven) + sum(
        f"box/{one.backend}:{one.number}" not in driven for one in described
    )
    for name, device in local.devices.items():
        assert (device.id, device.node) == (name, "box")
        assert name.startswith(f"box/{device.backend}:")


@given(st.permutations("abcd"), st.lists(st.sampled_from("abcd"), unique=True))
def test_same_cards_in_another_order(order: list[str], shown: list[str]) -> None:
    """However a driver numbers cards, and whichever it hides, each has its own place."""
    local = found(cuda(*order), cuda(*shown))
    assert [device.uuid for device in local.devices.values()] == order
    assert [local.driven.get(name) for name in local.devices] == [
        shown.index(uuid) if uuid in shown else None for uuid in order
    ]
