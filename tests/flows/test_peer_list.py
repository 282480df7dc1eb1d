"""The paired peers, and how one is revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.core.registry import Device, Node, Registry
from hgx.errors import PeerError
from hgx.flows.peer_list import find_peer, known_peers, mark_paired, revoke_peer
from hgx.store.home import Home
from hgx.store.registry_file import load_registry, update_registry
from hgx.store.trust import TrustedPeer, add_trusted, trusted

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO, STRANGER = "1a" * 32, "2b" * 32, "3c" * 32
ADDRESS, SEEN_AT = "10.0.0.2:9474", "2026-11-19T22:06:36+00:00"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two paired peers, one of them in the registry under another name, and a stranger."""
    made = Home(tmp_path)
    add_trusted(made, TrustedPeer(fingerprint=ONE, name="tower", paired_at="2026-11-18T10:00:00Z"))
    add_trusted(made, TrustedPeer(fingerprint=TWO, name="phone"))
    nodes = (
        Node(id="own"),
        Node(id="tower-2", fingerprint=ONE, paired=True, address=ADDRESS, seen_at=SEEN_AT),
        Node(id="stranger", fingerprint=STRANGER, paired=False),
    )
    device = Device(
        id="tower-2/cpu:0",
        node="tower-2",
        backend="cpu",
        memory_total_bytes=1,
        memory_bandwidth_bytes_per_s=1,
        compute_flops_per_s=1,
        paired=True,
    )
    update_registry(made.registry, lambda _: Registry(nodes=nodes, devices=(device,)))
    return made


def test_list(home: Home) -> None:
    """Each has its name here, and what the registry says of it."""
    phone, tower = known_peers(home)
    assert (phone.name, phone.fingerprint, phone.address) == ("phone", TWO, None)
    assert (tower.name, tower.fingerprint) == ("tower-2", ONE)
    assert (tower.address, tower.seen_at) == (ADDRESS, SEEN_AT)
    assert tower.paired_at == "2026-11-18T10:00:00Z"
    assert not tower.pinned


def test_nobody(tmp_path: Path) -> None:
    """Without any file there is nobody, and nothing is written."""
    assert known_peers(Home(tmp_path / "none")) == ()
    assert not (tmp_path / "none").exists()


def test_nameless(tmp_path: Path) -> None:
    """One without any name is called by its certificate."""
    add_trusted(Home(tmp_path), TrustedPeer(fingerprint=ONE))
    assert known_peers(Home(tmp_path))[0].name == ONE[:16]


@pytest.mark.parametrize("who", ["tower-2", "tower", ONE, ONE[:4], ONE[:7].upper()])
def test_found(home: Home, who: str) -> None:
    """A peer is found by its name here, by what it called itself, and by its certificate."""
    assert find_peer(home, who).fingerprint == ONE


@pytest.mark.parametrize("who", ["", "own", "stranger", STRANGER[:8], "1a1"])
def test_not_found(home: Home, who: str) -> None:
    """Who is not paired is not found, and neither is who is named too shortly."""
    with pytest.raises(PeerError, match="no paired peer is called") as caught:
        find_peer(home, who)
    assert caught.value.fault == "unknown"


def test_revoked(home: Home) -> None:
    """A revoked peer is not used any more; what is known of it stays, and so do the others."""
    revoke_peer(home, find_peer(home, "tower-2"))
    assert trusted(home) == {TWO}
    registry = load_registry(home.registry)
    assert {node.id: node.paired for node in registry.nodes} == {
        "own": None,
        "tower-2": False,
        "stranger": False,
    }
    assert registry.devices[0].paired is False
    assert registry.usable().devices == ()
    with pytest.raises(PeerError):
        find_peer(home, "tower-2")


def test_revoked_without_a_registry(tmp_path: Path) -> None:
    """Without a registry there is nothing to mark, and none is made."""
    home = Home(tmp_path)
    add_trusted(home, TrustedPeer(fingerprint=ONE, name="tower"))
    revoke_peer(home, find_peer(home, "tower"))
    assert not trusted(home)
    assert not home.registry.exists()
    assert mark_paired(home) == frozenset()


def test_marked(home: Home) -> None:
    """It is told which nodes are known."""
    assert mark_paired(home) == {ONE, STRANGER}
