"""What goes through two relays and the TLS between them, and how that ends."""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hgx.net import relay as relay_module
from hgx.net.relay import Relay, Traffic
from tests.net.certificates import node_at
from tests.net.tls import is_over, pair, streams

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.net.identity import Identity

_BIG = os.urandom(1 << 20) * 9


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """Who both ends of these tests are."""
    return node_at(tmp_path_factory.mktemp("relay"))


class Tunnel(NamedTuple):
    """A client's and a server's socket with all between them."""

    client: socket.socket
    server: socket.socket
    near: Relay
    traffic: Traffic
    threads: tuple[threading.Thread, threading.Thread]

    def ended(self) -> bool:
        """Wait for the end of both relays."""
        for thread in self.threads:
            thread.join(30)
        return not any(thread.is_alive() for thread in self.threads)


@contextmanager
def tunnel(identity: Identity) -> Generator[Tunnel]:
    """Connect a client with a server."""
    client, near_plain = pair()
    far_plain, server = pair()
    near_tls, far_tls = streams(identity)
    traffic = Traffic()
    near, far = Relay(near_plain, near_tls, traffic), Relay(far_plain, far_tls, Traffic())
    threads = (threading.Thread(target=near.run), threading.Thread(target=far.run))
    for thread in threads:
        thread.start()
    with client, server:
        try:
            yield Tunnel(client, server, near, traffic, threads)
        finally:
            near.abort()
            far.abort()
            for thread in threads:
                thread.join(30)


def received(connection: socket.socket, count: int) -> bytes:
    """Receive exactly so much, less at the end."""
    parts: list[bytes] = []
    while count and (part := connection.recv(min(count, 1 << 20))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def test_much_in_both_directions_at_once(identity: Identity) -> None:
    """All arrives as it was sent, and is counted."""
    with tunnel(identity) as here:
        other = threading.Thread(target=here.server.sendall, args=(_BIG[::-1],))
        one = threading.Thread(target=here.client.sendall, args=(_BIG,))
        one.start()
        other.start()
        at_client: list[bytes] = []
        taking = threading.Thread(target=lambda: at_client.append(received(here.client, len(_BIG))))
        taking.start()
        assert received(here.server, len(_BIG)) == _BIG
        taking.join(30)
        assert at_client == [_BIG[::-1]]
        assert here.traffic.to_tls.moved_bytes == here.traffic.to_plain.moved_bytes == len(_BIG)
        assert here.traffic.moved_bytes == 2 * len(_BIG)


def test_question_and_answer(identity: Identity) -> None:
    """Small messages go to and fro at once; when the last one went is known."""
    with tunnel(identity) as here:
        for number in range(200):
            question = struct.pack("<Q", number) * (number + 1)
            here.client.sendall(question)
            assert received(here.server, len(question)) == question
            here.server.sendall(question[:5])
            assert received(here.client, 5) == question[:5]
        asked, answered = here.traffic.to_tls.at_s, here.traffic.to_plain.at_s
    assert asked is not None
    assert answered is not None
    assert asked < answered


def test_who_has_said_all_still_hears_the_answer(identity: Identity) -> None:
    """One direction ends; the other one goes on as long as something comes."""
    with tunnel(identity) as here:
        here.client.sendall(b"all")
        here.client.shutdown(socket.SHUT_WR)
        assert received(here.server, 100) == b"all"
        sending = threading.Thread(target=here.server.sendall, args=(_BIG,))
        sending.start()
        assert received(here.client, len(_BIG)) == _BIG
        sending.join(30)
        here.server.close()
        assert is_over(here.client)
        assert here.ended()


def test_silence_after_one_end(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not end after the other did is not waited for."""
    monkeypatch.setattr(relay_module, "_LINGER_S", 0.2)
    with tunnel(identity) as here:
        here.client.shutdown(socket.SHUT_WR)
        assert here.ended()
        assert is_over(here.client)
        assert is_over(here.server)


@pytest.mark.parametrize("side", ["client", "server"])
def test_the_end_of_one_is_the_end_of_the_other(identity: Identity, side: str) -> None:
    """A connection that is closed is closed at the other side, too."""
    with tunnel(identity) as here:
        gone, left = (here.client, here.server) if side == "client" else (here.server, here.client)
        left.sendall(b"x" * 100)  # unread, so that closing resets the connection
        assert gone.recv(1, socket.MSG_PEEK) == b"x"
        gone.close()
        assert is_over(left)
        left.close()
        assert here.ended()


def test_abort_while_all_wait(identity: Identity) -> None:
    """Another thread may end it at once, whoever waits for whatever."""
    with tunnel(identity) as here:
        here.client.settimeout(0.3)
        with pytest.raises(TimeoutError):  # nobody reads, so everything is full
            here.client.sendall(_BIG * 8)
        here.near.abort()
        here.threads[0].join(30)
        assert not here.threads[0].is_alive()
        here.client.settimeout(30)
        with pytest.raises(ConnectionError):
            here.client.sendall(_BIG)


def test_a_peer_that_vanishes(identity: Identity) -> None:
    """A connection that breaks is an end, too, though nobody has said farewell."""
    client, plain = pair()
    near, far = streams(identity)
    relay = Relay(plain, near, Traffic())
    thread = threading.Thread(target=relay.run)
    thread.start()
    with client:
        far.abort()
        assert is_over(client)
        thread.join(30)
    far.close()
    assert not thread.is_alive()
