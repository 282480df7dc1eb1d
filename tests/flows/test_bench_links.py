"""Links to peers: a real node on loopback, and peers that fail."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from hgx.bench.events import Progress, Refused, Result, Written
from hgx.bench.link import LinkEffort
from hgx.core.registry import Node, Registry
from hgx.errors import PeerError
from hgx.flows.bench_links import connect, link_events, peers_of
from hgx.net.identity import own_identity
from hgx.node.agent import Running, serve_node
from hgx.node.listening import listen
from hgx.store.home import Home
from tests.bench.doubles import Clock
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from hgx.bench.events import Event

EFFORT = LinkEffort(0.2, 51)
LAPTOP = Node(id="laptop", address="192.0.2.1", paired=True, fingerprint="a" * 64)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Generator[Node]:
    """Run a real node on loopback, and describe it as the registry does."""
    path: Path = tmp_path_factory.mktemp("peer")
    identity = own_identity(Home(path))
    told: list[Running] = []
    ready, stop = threading.Event(), threading.Event()

    def is_ready(running: Running) -> None:
        told.append(running)
        ready.set()

    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(
            target=serve_node,
            args=(identity, "laptop", always({"node": {"id": "laptop"}, "devices": []}), listening),
            kwargs={"ready": is_ready, "stop": stop},
        )
        thread.start()
        try:
            assert ready.wait(30)
            update = {"address": f"127.0.0.1:{told[0].port}", "fingerprint": identity.fingerprint}
            yield LAPTOP.model_copy(update=update)
        finally:
            stop.set()
            thread.join(30)


class Broken:
    """A peer of which nothing but handshakes and one stream down works."""

    def tcp_handshakes(self, count: int) -> list[float]:
        """Take a millisecond each."""
        return [0.001] * count

    def download(self, size_bytes: int) -> list[float]:
        """Carry a little."""
        del size_bytes
        return [1e6] * 12

    def upload(self, size_bytes: int) -> list[float]:
        """Break off."""
        del size_bytes
        msg = "192.0.2.1:9474 closed the connection"
        raise PeerError(msg, "closed", "see whether it runs")


def kinds(told: list[Event]) -> list[tuple[str, str]]:
    """Return subject and kind of what was told, progress left out."""
    return [
        (event.subject, event.event) for event in told if not isinstance(event, Progress | Written)
    ]


def test_a_real_peer(peer: Node) -> None:
    """A real node is measured over TLS: round trip, and one stream both ways at least."""
    told = list(link_events("box", peer, EFFORT, Clock().tools()))
    named = {
        (event.subject, event.benchmark.name)
        for event in told
        if isinstance(event, Result | Refused)
    }
    assert named >= {
        ("box>laptop", "rtt"),
        ("box>laptop", "bandwidth_1_stream"),
        ("laptop>box", "bandwidth_1_stream"),
    }


def test_another_peer_at_the_address(peer: Node) -> None:
    """Who answers with another certificate is not the peer, and is not measured."""
    other = peer.model_copy(update={"fingerprint": "b" * 64})
    with pytest.raises(PeerError, match="is not laptop, whose certificate is another: find"):
        connect(other)


@pytest.mark.parametrize("address", ["", ":", "host:port", "[::1", "host:99999"])
def test_wrong_addresses(address: str) -> None:
    """An address that is none is an error that says how to write one."""
    with pytest.raises(PeerError, match="is no address: write HOST:PORT"):
        connect(LAPTOP.model_copy(update={"address": address}))


def test_a_peer_that_is_gone() -> None:
    """A peer that cannot be reached is told once, and is no reason to stop."""

    def gone(_: Node) -> Broken:
        msg = "192.0.2.1:9474 does not answer"
        raise PeerError(msg, "timeout", "see whether it is on")

    told = list(link_events("box", LAPTOP, EFFORT, Clock().tools(), gone))
    assert kinds(told) == [("box>laptop", "started"), ("box>laptop", "failed")]


def test_one_way_fails() -> None:
    """What fails one way is told with its name, and the other way is still measured."""
    told = list(link_events("box", LAPTOP, EFFORT, Clock().tools(), lambda _: Broken()))
    assert kinds(told) == [
        ("box>laptop", "started"),
        ("box>laptop", "result"),
        ("box>laptop", "failed"),
        ("box>laptop", "failed"),
        ("laptop>box", "started"),
        ("laptop>box", "result"),
        ("laptop>box", "result"),
    ]
    shares = [event.done for event in told if isinstance(event, Progress)]
    assert shares == [0, 0.2, 0.4, 0.6, 0.8]


def test_who_is_measured() -> None:
    """Peers that were found are measured, paired or not; nodes by hand and this one are not."""
    stranger = Node(id="stranger", paired=False, address="192.0.2.2", fingerprint="b" * 64)
    nodes = (
        Node(id="box", address="192.0.2.9", fingerprint="c" * 64),
        LAPTOP,
        stranger,
        Node(id="by-hand", address="192.0.2.3"),
        Node(id="nowhere", fingerprint="d" * 64),
    )
    assert peers_of(Registry(nodes=nodes), "box") == (LAPTOP, stranger)
