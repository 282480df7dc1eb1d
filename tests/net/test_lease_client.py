"""A coordinator among workers that do not behave; tests/node/test_lease.py has those that do."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from hgx.errors import PeerError
from hgx.net import lease_client
from hgx.net.lease_client import Lease, Worker
from hgx.net.lease_lines import PREFACE, receive
from hgx.net.pinned import mutual_server_context
from hgx.net.tls_stream import TlsStream
from hgx.net.wire import Target
from tests.net.certificates import node_at, pem_of
from tests.net.coordinator import a_wish
from tests.net.servers import server
from tests.net.tls import is_over

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from hgx.net.identity import Identity

GRANTED = (
    b'{"ok":true,"lease":"0123456789abcdef0123456789abcdef","protocol":[7,0,1],"build":null,'
    b'"devices":[],"later":1}\n'
)
OPENED = b'{"ok":true}\n'


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """Who coordinator and worker are."""
    return node_at(tmp_path_factory.mktemp("client"))


@contextmanager
def worker(identity: Identity, *acts: Callable[[TlsStream], None]) -> Generator[Worker]:
    """Run a worker that does one act per connection, after the wish was read."""
    over = threading.Event()
    left = list(acts)

    def serve(accepted: socket.socket, act: Callable[[TlsStream], None]) -> None:
        with accepted, suppress(OSError):
            accepted.settimeout(30)
            assert accepted.recv(len(PREFACE), socket.MSG_WAITALL) == PREFACE
            context = mutual_server_context(identity, [pem_of(identity)])
            stream = TlsStream(accepted, context, server_side=True)
            stream.handshake(30)
            receive(stream, time.monotonic() + 30)
            act(stream)
            while not over.wait(0.02):
                pass

    def accept() -> None:
        while left:
            try:
                accepted, _ = listener.accept()
            except TimeoutError:
                if over.is_set():
                    return
                continue
            threads.append(threading.Thread(target=serve, args=(accepted, left.pop(0))))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield Worker(
                "tower", Target("127.0.0.1", listener.getsockname()[1]), identity.fingerprint
            )
        finally:
            over.set()
            for thread in threads:
                thread.join(30)


def says(*lines: bytes) -> Callable[[TlsStream], None]:
    """Say lines one after the other and nothing more."""

    def act(stream: TlsStream) -> None:
        for line in lines:
            stream.send(line)

    return act


def leaves(stream: TlsStream) -> None:
    """Close the connection."""
    stream.finish()
    stream.abort()


def grants_and_leaves(stream: TlsStream) -> None:
    """Grant a lease and close the connection."""
    stream.send(GRANTED)
    leaves(stream)


def grants_and_breaks(stream: TlsStream) -> None:
    """Grant a lease and be gone without farewell."""
    stream.send(GRANTED)
    stream.abort()


def soon(condition: Callable[[], bool]) -> bool:
    """Wait until something holds."""
    for _ in range(1500):
        if condition():
            return True
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize(
    ("act", "fault", "words"),
    [
        (says(b'{"error":"is on fire","fault":"fire"}\n'), "version", "tower is on fire: install"),
        (says(b'{"error":"\\u001b[31m","fault":"held"}\n'), "busy", r"tower \\x1b\[31m: end that"),
        (says(b'{"ok":true}\n'), "version", "tower answers as no worker of this hgx does"),
        (says(b'{"ok":true,"lease":"../x"}\n'), "version", "tower answers as no worker"),
        (says(b"HTTP/1.1 400 Bad Request\r\n"), "version", "tower answers as no worker"),
        (says(b"x" * 20_000), "closed", "tower closed the connection"),
        (
            says(b'{"beat":1}\n', b'{"beat":2}\n'),
            "timeout",
            "tower took the connection but does not",
        ),
        (says(b'{"beat":'), "timeout", "tower took the connection but does not answer"),
        (leaves, "closed", "tower closed the connection: see whether hgx there is of the same"),
    ],
)
def test_no_lease(
    identity: Identity,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[TlsStream], None],
    fault: str,
    words: str,
) -> None:
    """Whatever the worker says instead of yes, there is an error that names it, on one line."""
    monkeypatch.setattr(lease_client, "WORKER_SILENCE_S", 0.4)
    with worker(identity, act) as tower, pytest.raises(PeerError, match=words) as caught:
        Lease(identity, tower, a_wish()).__enter__()
    assert caught.value.fault == fault
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (says(GRANTED, b'{"beat":1,"cpu_s":2}\n'), "tower has not been heard of for 0.4 s: see"),
        (
            says(GRANTED, b'{"ended":"it is late"}\n'),
            "tower has ended the lease, it is late: start",
        ),
        (says(GRANTED, b"nonsense\n"), "tower said something that no worker says"),
        (grants_and_leaves, "tower has ended the lease: see"),
        (grants_and_breaks, "tower has closed the connection: see whether that machine is on and"),
    ],
)
def test_a_lost_lease(
    identity: Identity,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[TlsStream], None],
    words: str,
) -> None:
    """However a lease ends before its time, it is told once, by name, and the port is closed."""
    monkeypatch.setattr(lease_client, "WORKER_SILENCE_S", 0.4)
    told: list[PeerError] = []
    with worker(identity, act) as tower, Lease(identity, tower, a_wish(), told.append) as lease:
        assert soon(lambda: bool(told))
        with pytest.raises(PeerError, match=words):
            lease.check()
        assert soon(lambda: is_closed(lease.endpoint))
    assert [error.fault for error in told] == ["lost"]


def is_closed(endpoint: str) -> bool:
    """Tell whether nobody listens there."""
    host, port = endpoint.split(":")
    try:
        socket.create_connection((host, int(port)), 30).close()
    except ConnectionRefusedError:
        return True
    return False


def beats(stream: TlsStream) -> None:
    """Grant a lease and keep it for a while."""
    stream.send(GRANTED)
    for number in range(200):
        stream.send(b'{"beat":%d,"cpu_s":1.5,"new":[]}\n' % number)
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (says(b'{"error":"knows no such lease","fault":"lease"}\n'), "tower knows no such lease"),
        (leaves, "tower closed the connection"),
        (says(), "tower took the connection but does not answer"),
    ],
)
def test_no_tunnel(
    identity: Identity,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[TlsStream], None],
    words: str,
) -> None:
    """A tunnel that cannot be had is the end of the lease, with the reason."""
    monkeypatch.setattr(lease_client, "_TUNNEL_S", 0.4)
    with worker(identity, beats, act) as tower, Lease(identity, tower, a_wish()) as lease:
        host, port = lease.endpoint.split(":")
        with socket.create_connection((host, int(port)), 30) as connection:
            assert is_over(connection)
        assert soon(lambda: lease.lost is not None)
        with pytest.raises(PeerError, match=words):
            lease.check()


def test_the_end_of_a_context(identity: Identity) -> None:
    """With the context the tunnel ends, too, and nothing counts as lost."""
    told: list[PeerError] = []

    def echo(stream: TlsStream) -> None:
        stream.send(OPENED)
        buffer = memoryview(bytearray(100))
        while count := stream.receive_into(buffer):
            stream.send(buffer[:count])

    with worker(identity, beats, echo) as tower:
        with Lease(identity, tower, a_wish(), told.append) as lease:
            host, port = lease.endpoint.split(":")
            connection = socket.create_connection((host, int(port)), 30)
            connection.sendall(b"hello")
            assert connection.recv(100) == b"hello"
            assert soon(lambda: lease.beat is not None and lease.beat.cpu_s == 1.5)
        with connection:
            assert is_over(connection)
        assert is_closed(lease.endpoint)
    assert (told, lease.lost) == ([], None)


def test_nobody_there(identity: Identity) -> None:
    """A worker that is not reached is named, and so is the reason."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = Target("127.0.0.1", listener.getsockname()[1])
    lease = Lease(identity, Worker("tower", target, "0" * 64), a_wish())
    with pytest.raises(PeerError, match=f"tower: {target} refuses the connection: start") as caught:
        lease.__enter__()
    assert caught.value.fault == "refused"


def test_another_program(identity: Identity) -> None:
    """What is no hgx at all is an error that names the worker."""
    with server(b"220 mail.example ESMTP\r\n") as port:
        lease = Lease(identity, Worker("tower", Target("127.0.0.1", port), "0" * 64), a_wish())
        with pytest.raises(PeerError, match="tower closed the connection"):
            lease.__enter__()
