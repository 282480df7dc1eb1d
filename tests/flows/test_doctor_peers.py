"""Peers that answer, are away, or are not who they were; all on loopback."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from hgx._version import __version__
from hgx.core.registry import Node, Registry
from hgx.flows.doctor_check import Check, Part, run_parts
from hgx.flows.doctor_peers import peer_checks
from hgx.net.identity import own_identity
from hgx.store.home import Home
from hgx.store.registry_file import update_registry
from hgx.store.trust import TrustedPeer, add_trusted
from tests.net.certificates import pem_of
from tests.net.node import described
from tests.net.servers import answered, server

if TYPE_CHECKING:
    from pathlib import Path

STRANGER = "3c" * 32
NODE = {"api": 1, "hgx": __version__, **described("tower")}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The home of this machine."""
    return Home(tmp_path / "home")


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    """The home of another machine."""
    return tmp_path / "tower"


def pair(home: Home, other: Path, name: str = "tower") -> str:
    """Pair a machine with another; return the other's fingerprint."""
    theirs = own_identity(Home(other))
    peer = TrustedPeer(fingerprint=theirs.fingerprint, name=name, certificate=pem_of(theirs))
    add_trusted(home, peer)
    return theirs.fingerprint


def know(home: Home, *nodes: Node) -> None:
    """Write nodes into the registry."""
    home.create()
    update_registry(
        home.registry, lambda old: old.model_copy(update={"nodes": (*old.nodes, *nodes)})
    )


def place(port: int) -> str:
    """Return the address of a port."""
    return f"127.0.0.1:{port}"


def closed_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_nobody(home: Home) -> None:
    """Without peers that is a note, and nothing is made."""
    (check,) = peer_checks(home)
    assert check.state == "note"
    assert "`hgx pair`" in (check.remedy or "")
    assert not home.path.exists()


def test_a_paired_peer(home: Home, tower: Path) -> None:
    """One that answers with its paired certificate is fine."""
    theirs = pair(home, tower)
    with server(answered(NODE), tower) as port:
        know(home, Node(id="tower", fingerprint=theirs, paired=True, address=place(port)))
        (check,) = peer_checks(home)
    assert (check.what, check.state, check.remedy) == ("tower", "ok", None)
    assert check.found.startswith(f"answers at {place(port)} in ")
    assert check.found.endswith(
        f"s, with the paired certificate {theirs[:16]} and hgx {__version__}"
    )


def test_another_version(home: Home, tower: Path) -> None:
    """Another version is a note, and one that cannot be talked to a fault."""
    theirs = pair(home, tower)
    with (
        server(answered(NODE | {"hgx": "9.1"}), tower) as newer,
        server(answered(NODE | {"api": 9, "hgx": "9.9"}), tower) as foreign,
    ):
        know(home, Node(id="tower", fingerprint=theirs, address=place(newer)))
        (check,) = peer_checks(home)
        assert (check.state, "hgx 9.1" in check.found) == ("note", True)
        assert check.remedy == f"install the same hgx on both; this is {__version__}"
        update_registry(home.registry, lambda _: Registry())
        know(home, Node(id="tower", fingerprint=theirs, address=place(foreign)))
        (check,) = peer_checks(home)
    assert (check.state, "runs hgx 9.9" in check.found) == ("fault", True)
    assert check.remedy == "install the same hgx on both"


def test_peers_that_are_away(home: Home, tower: Path, tmp_path: Path) -> None:
    """One that does not answer, and one that never did, are warnings with what to do."""
    theirs = pair(home, tower)
    pair(home, tmp_path / "phone", "phone")
    at = "2026-11-19T22:06:36+00:00"
    know(home, Node(id="tower", fingerprint=theirs, address=place(closed_port()), seen_at=at))
    phone, gone = peer_checks(home)
    assert phone == Check(
        "peers",
        "phone",
        "warning",
        "paired, and never found from here",
        "start `hgx serve` there, and run `hgx discover` here",
    )
    assert (gone.what, gone.state) == ("tower", "warning")
    assert gone.found.endswith(f"refuses the connection; it last answered at {at}")
    assert "start `hgx serve` there" in (gone.remedy or "")


def test_another_certificate(home: Home, tower: Path, tmp_path: Path) -> None:
    """Somebody else at a paired peer's address is a fault that names both certificates."""
    theirs = pair(home, tower)
    with server(answered(NODE), tmp_path / "imposter") as port:
        know(home, Node(id="tower", fingerprint=theirs, address=place(port)))
        (check,) = peer_checks(home)
    answering = own_identity(Home(tmp_path / "imposter")).fingerprint
    assert check.state == "fault"
    assert f"{answering[:16]}, not the paired {theirs[:16]}" in check.found
    assert "`hgx pair`" in (check.remedy or "")


def test_an_address_that_moved(home: Home, tower: Path, tmp_path: Path) -> None:
    """Another known peer at that address is a warning: addresses are lent anew."""
    theirs = pair(home, tower)
    pair(home, tmp_path / "phone", "phone")
    with server(answered(NODE), tmp_path / "phone") as port:
        know(home, Node(id="tower", fingerprint=theirs, address=place(port)))
        _, check = peer_checks(home)
    assert check.state == "warning"
    assert check.found == f"its address, {place(port)}, is that of phone now"


def test_a_peer_of_an_earlier_hgx(home: Home, tower: Path) -> None:
    """One without its certificate has to be paired again, whether it answers or not."""
    theirs = own_identity(Home(tower)).fingerprint
    add_trusted(home, TrustedPeer(fingerprint=theirs, name="tower"))
    with server(answered(NODE), tower) as port:
        know(home, Node(id="tower", fingerprint=theirs, address=place(port)))
        old, answering = peer_checks(home)
    assert (old.state, old.remedy) == ("warning", "pair it again with `hgx pair`")
    assert answering.state == "ok"


def test_unpaired_nodes(home: Home, tower: Path) -> None:
    """What is not paired is a note whatever it does; this machine itself is no peer."""
    theirs = own_identity(Home(tower)).fingerprint
    with server(answered(NODE), tower) as port:
        know(
            home,
            Node(id="own"),
            Node(id="tower", fingerprint=theirs, paired=False, address=place(port)),
            Node(id="gone", fingerprint=STRANGER, paired=False, address=place(closed_port())),
        )
        tower_check, gone = peer_checks(home)
    assert (tower_check.state, gone.state, gone.remedy) == ("note", "note", None)
    assert tower_check.found == f"not paired; hgx {__version__} answers at {place(port)}"
    assert "`hgx pair`" in (tower_check.remedy or "")
    assert "refuses the connection" in gone.found


def test_a_damaged_address(home: Home, tower: Path) -> None:
    """An address that somebody wrote wrongly is that peer's alone."""
    theirs = pair(home, tower)
    know(home, Node(id="tower", fingerprint=theirs, address="not an address"))
    (check,) = peer_checks(home)
    assert (check.what, check.state) == ("tower", "warning")
    assert "no address of a peer" in check.found


def test_named_peers(home: Home) -> None:
    """The file of addresses is read, and a mistake in it names its line."""
    home.create()
    (home.path / "peers.txt").write_text("10.0.0.2\n")
    assert peer_checks(home)[-1] == Check("peers", "peers.txt", "ok", "names 10.0.0.2:9474")
    (home.path / "peers.txt").write_text("10.0.0.2\nno address\n")
    check = peer_checks(home)[-1]
    assert (check.what, check.state) == ("peers.txt", "fault")
    assert "peers.txt, line 2" in check.found
    assert check.remedy


@pytest.mark.parametrize("file", ["trusted.json", "registry.json"])
def test_damaged_files(home: Home, file: str) -> None:
    """Where peers cannot be known, that is one fault."""
    home.create()
    (home.path / file).write_text("{")
    (check,) = run_parts([Part("peers", "others", lambda: peer_checks(home))])
    assert check.state == "fault"
    assert file in check.found
    assert check.remedy
