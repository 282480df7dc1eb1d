"""Finding other nodes, on real networks."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hgx.errors import PeerError, Unavailable
from hgx.flows import peers as flow
from hgx.flows.peer_merge import FoundPeers
from hgx.flows.peers import find_peers
from hgx.net.advert import Advert
from hgx.net.browser import Browsed
from hgx.net.identity import own_identity
from hgx.store.home import Home
from tests.net.namespaces import Machine, heard_where, line_with, machines
from tests.net.node import a_device, described
from tests.net.servers import answered, server

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MACHINES = 3


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Machine, ...]]:
    """Machines that reach each other."""
    with machines(MACHINES, tmp_path_factory.mktemp("network")) as made:
        yield made


def test_three_nodes_see_each_other(lan: tuple[Machine, ...]) -> None:
    """Each of three nodes finds the two others with their devices, unpaired and never itself."""
    names = ("tower", "laptop", "phone")
    with ThreadPoolExecutor(MACHINES) as pool:
        nodes = tuple(pool.map(Machine.node, lan, names))
        found = tuple(pool.map(Machine.find, lan))
    for own, result in zip(names, found, strict=True):
        assert set(result["peers"]) == set(names) - {own}
        assert result["missing"] == []
        for name, said in result["peers"].items():
            assert said["node"]["paired"] is False
            assert said["devices"] == [{**a_device(name), "paired": False}]
    assert [node.end() for node in nodes] == [0, 0, 0]


def test_name_that_is_taken(lan: tuple[Machine, ...]) -> None:
    """A node renamed on conflict is found under its new name, and so are its devices."""
    lan[0].node("tower")
    lan[1].node("tower")
    peers = lan[2].find()["peers"]
    assert set(peers) == {"tower", "tower-2"}
    assert peers["tower-2"]["said_id"] == "tower-2"
    assert [device["id"] for device in peers["tower-2"]["devices"]] == ["tower-2/cpu:0"]


def test_goodbye(lan: tuple[Machine, ...]) -> None:
    """A node that leaves is neither found nor missed."""
    node = lan[0].node("tower")
    finder = lan[1].start("python", "-m", "tests.net.finder", "--wait", "8")
    heard_where(finder, lambda heard: "tower" in heard)
    node.end()
    heard_where(finder, lambda heard: not heard)
    result = json.loads(line_with(finder, "peers"))
    assert (result["peers"], result["missing"]) == ({}, [])


def test_killed(lan: tuple[Machine, ...]) -> None:
    """A node that was announced and is dead by now is missed, and why is said."""
    node = lan[0].node("laptop")
    finder = lan[1].start("python", "-m", "tests.net.finder", "--wait", "6")
    heard_where(finder, lambda heard: "laptop" in heard)
    node.end(signal.SIGKILL)
    result = json.loads(line_with(finder, "peers"))
    (reason,) = result["missing"]
    assert result["peers"] == {}
    assert reason.startswith("laptop (")
    assert reason.endswith(":9474) does not answer: it may be asleep or gone")


@pytest.mark.parametrize("way", ["name", "ipv4", "ipv6"])
def test_without_multicast(lan: tuple[Machine, ...], way: str) -> None:
    """A peer that is named is found without any announcement, by IPv4, IPv6 and link-local."""
    node = lan[0].node("tower", "--host", lan[0].ipv6) if way == "ipv6" else lan[0].node("tower")
    address = {"ipv4": lan[0].ipv4, "ipv6": f"[{lan[0].ipv6}]:9474"}.get(way)
    local = next((text for text in node.running["addresses"] if "%" in text), "")
    found = lan[1].find("--no-multicast", "--peer", address or local)
    assert list(found["peers"]) == ["tower"]
    assert found["peers"]["tower"]["node"]["address"].endswith(":9474")


def test_link_local_only(lan: tuple[Machine, ...]) -> None:
    """A node that is only reachable by a link-local address is found with its zone."""
    addresses = lan[0].node("tower").running["addresses"]
    local = next(text for text in addresses if text.startswith("fe80"))
    lan[0].end()
    lan[0].node("tower", "--host", local)
    address = lan[1].find()["peers"]["tower"]["node"]["address"]
    assert address.startswith("[fe80::")
    assert "%" in address


def test_ipv4_only(lan: tuple[Machine, ...]) -> None:
    """Where IPv6 is switched off, nodes find each other by IPv4."""
    with lan[0].setting("net.ipv6.conf.all.disable_ipv6", "1", "0"):
        lan[0].node("tower")
        assert list(lan[1].find()["peers"]) == ["tower"]


def test_paired(lan: tuple[Machine, ...]) -> None:
    """A peer whose certificate is trusted is marked so; its devices too."""
    lan[0].node("tower")
    lan[1].node("laptop")
    fingerprint = own_identity(Home(lan[0].home)).fingerprint
    trust = {"version": 1, "peers": [{"fingerprint": fingerprint, "name": "tower"}]}
    file = lan[2].home / "trusted.json"
    file.write_text(json.dumps(trust))
    peers = lan[2].find()["peers"]
    file.unlink()
    assert {name: peer["node"]["paired"] for name, peer in peers.items()} == {
        "tower": True,
        "laptop": False,
    }
    assert [device["paired"] for device in peers["tower"]["devices"]] == [True]


def test_no_network(lan: tuple[Machine, ...]) -> None:
    """Without any interface nobody is found, and nothing breaks."""
    with lan[2].unplugged():
        found = lan[2].find("--peer", lan[0].ipv4)
    assert found["peers"] == {}
    assert any("no route" in reason for reason in found["missing"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a peer on loopback."""
    return tmp_path_factory.mktemp("peer")


def node_named(name: str) -> bytes:
    """Return the answer of a node of that name."""
    return answered({"api": 1, "hgx": "1", **described(name)})


def test_own_name_and_same_names(tmp_path: Path, home: Path) -> None:
    """Peers of one name get different ids, and never this node's; who is trusted has the first."""
    other = home / "other"
    trusted = own_identity(Home(other)).fingerprint
    (tmp_path / "node.json").write_text('{"id": "mine"}')
    trust = {"version": 1, "peers": [{"fingerprint": trusted}]}
    (tmp_path / "trusted.json").write_text(json.dumps(trust))
    with server(node_named("mine"), home) as one, server(node_named("mine"), other) as two:
        named = [f"127.0.0.1:{port}" for port in (one, two, two)]
        found = find_peers(Home(tmp_path), peers=named, multicast=False)
    assert [(peer.node.id, peer.paired) for peer in found.peers] == [
        ("mine-2", True),
        ("mine-3", False),
    ]
    assert [peer.devices[0].id for peer in found.peers] == ["mine-2/cpu:0", "mine-3/cpu:0"]
    assert {peer.said_id for peer in found.peers} == {"mine"}


def test_named_peers_that_fail(tmp_path: Path, home: Path) -> None:
    """A named peer that is none is missed with its reason; an address that is none is an error."""
    with server(answered([]), home) as port:
        found = find_peers(Home(tmp_path), peers=[f"127.0.0.1:{port}"], multicast=False)
    assert found.peers == ()
    assert "does not answer as an hgx node does" in found.missing[0]
    with pytest.raises(PeerError, match="is no address"):
        find_peers(Home(tmp_path), peers=["a b"], multicast=False)


def heard(monkeypatch: pytest.MonkeyPatch, *adverts: Advert) -> None:
    """Have these announcements heard."""

    async def browse(_: float) -> Browsed:
        return Browsed(adverts, {"name": 2})

    monkeypatch.setattr(flow, "browse", browse)


def advert(port: int, fingerprint: str, *addresses: str) -> Advert:
    """Return an announcement of a peer on loopback."""
    return Advert("tower", "tower", addresses or ("127.0.0.1",), port, "1", fingerprint)


def test_own_announcement(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This node is not its own peer, whether it is announced or named."""
    own = own_identity(Home(home)).fingerprint
    with server(node_named("tower"), home) as port:
        heard(monkeypatch, advert(port, own), advert(port, "ab" * 32))
        named = [f"127.0.0.1:{port}"]
        found = find_peers(Home(tmp_path), peers=named, own_fingerprint=own, wait_s=0)
    assert found == FoundPeers((), (), {"name": 2}, trusted=frozenset())


def test_address_of_somebody_else(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several addresses the one counts at which the announced certificate answers."""
    announced = own_identity(Home(home)).fingerprint
    with server(node_named("tower"), home) as port:
        stranger = advert(port, "ab" * 32)
        heard(monkeypatch, advert(port, announced, "127.0.0.2", "127.0.0.1"), stranger)
        (peer,) = find_peers(Home(tmp_path), wait_s=0).peers
    assert (peer.fingerprint, peer.address) == (announced, f"127.0.0.1:{port}")


def test_not_asked_in_time(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are announced, asking ends."""
    monkeypatch.setattr(flow, "_ASKING_S", -1.0)
    with server(node_named("tower"), home) as port:
        heard(monkeypatch, advert(port, "ab" * 32))
        found = find_peers(Home(tmp_path), wait_s=0)
    assert found.missing == (f"tower: 127.0.0.1:{port} was not asked in time: try again",)


def test_announced_server_that_is_no_node(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is announced and answers wrongly is missed by name and reason."""
    with server(answered({}), home) as port:
        heard(monkeypatch, advert(port, "ab" * 32))
        (reason,) = find_peers(Home(tmp_path), wait_s=0).missing
    assert reason.startswith(f"tower: 127.0.0.1:{port} does not answer as an hgx node does")


def test_no_multicast_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where multicast cannot be used that is said, and nothing else is lost."""

    async def browse(_: float) -> Browsed:
        raise Unavailable("multicast cannot be used here (no)", "name peers")

    monkeypatch.setattr(flow, "browse", browse)
    found = find_peers(Home(tmp_path), wait_s=0)
    assert found.missing == ("multicast cannot be used here (no): name peers",)
