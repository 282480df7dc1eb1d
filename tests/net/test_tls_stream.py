"""TLS in memory: handshakes with all kinds of others, and how connections end."""

from __future__ import annotations

import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hgx.net.identity import client_context
from hgx.net.pinned import mutual_client_context, mutual_server_context
from hgx.net.tls_stream import CHUNK_BYTES, TlsStream
from tests.net.certificates import node_at, pem_of
from tests.net.tls import pair, streams

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.net.identity import Identity


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """Who both ends of these tests are."""
    return node_at(tmp_path_factory.mktemp("stream"))


def received(stream: TlsStream, size: int = 100) -> bytes:
    """Receive what is there."""
    buffer = bytearray(size)
    return bytes(buffer[: stream.receive_into(memoryview(buffer))])


def test_it_takes_no_more_than_asked_for(identity: Identity) -> None:
    """What does not fit the buffer comes the next time, and what is large comes whole."""
    one, other = streams(identity)
    with one, other:
        one.send(b"abc")
        assert received(other, 1) == b"a"
        assert received(other, 100) == b"bc"
        sent = bytes(range(256)) * (CHUNK_BYTES // 64)
        sending = threading.Thread(target=one.send, args=(sent,))
        sending.start()
        got = b""
        while len(got) < len(sent):
            got += received(other, CHUNK_BYTES)
        sending.join(30)
        assert got == sent


def test_farewell(identity: Identity) -> None:
    """After a farewell nothing more comes, and the other direction goes on."""
    one, other = streams(identity)
    with one, other:
        one.send(b"last")
        one.finish()
        assert [received(other), received(other), received(other)] == [b"last", b"", b""]
        other.send(b"answer")
        other.finish()
        assert [received(one), received(one)] == [b"answer", b""]


def test_farewell_before_all_was_taken(identity: Identity) -> None:
    """Saying farewell loses nothing of what has arrived, and the peer hears it."""
    one, other = streams(identity)
    with one, other:
        sent = bytes(range(250)) * 400
        one.send(sent)
        got = received(other, 1)
        other.finish()
        while len(got) < len(sent):
            got += received(other, 30_000)
        assert got == sent
        assert received(one) == b""
        one.finish()
        assert received(other) == b""


def test_an_end_without_farewell(identity: Identity) -> None:
    """A connection that ends without a farewell is broken, not over."""
    one, other = streams(identity)
    with one, other:
        one.send(b"last")
        one.abort()
        assert received(other) == b"last"
        with pytest.raises(OSError, match="EOF"):
            received(other)


def test_silence(identity: Identity) -> None:
    """Nothing waits longer than it may."""
    one, other = streams(identity)
    with one, other:
        other.silence_at_most(0.05)
        with pytest.raises(TimeoutError):
            received(other)
        one.silence_at_most(0.05)
        with pytest.raises(TimeoutError):
            one.send(bytes(64 * 1024 * 1024))


def test_whoever_is_refused_learns_it(identity: Identity, tmp_path: Path) -> None:
    """An untrusted client hears the reason, whatever it has sent already."""
    one, other = pair()
    stranger = node_at(tmp_path)
    refusing = TlsStream(
        other, mutual_server_context(identity, [pem_of(identity)]), server_side=True
    )

    def refuse() -> None:
        with refusing, pytest.raises(ssl.SSLCertVerificationError):
            refusing.handshake(30)

    thread = threading.Thread(target=refuse)
    thread.start()
    with TlsStream(one, mutual_client_context(stranger), server_side=False) as client:
        assert client.handshake(30) == identity.fingerprint
        client.send(b"a wish")
        with pytest.raises(ssl.SSLError, match="ALERT"):
            received(client)
    thread.join(30)


def test_no_certificate(identity: Identity) -> None:
    """A client without a certificate is refused as well."""
    one, other = pair()
    refusing = TlsStream(
        other, mutual_server_context(identity, [pem_of(identity)]), server_side=True
    )
    client = TlsStream(one, client_context(), server_side=False)
    thread = threading.Thread(target=client.handshake, args=(30,))
    thread.start()
    with client, refusing:
        with pytest.raises(ssl.SSLError, match="did not return a certificate"):
            refusing.handshake(0.5)
        thread.join(30)


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70_000]
)
def test_garbage(identity: Identity, said: bytes) -> None:
    """What is no TLS ends the handshake."""
    one, other = pair()
    server = TlsStream(other, mutual_server_context(identity, []), server_side=True)
    with one, server:
        one.sendall(said)
        with pytest.raises(ssl.SSLError):
            server.handshake(1)


def test_a_slow_handshake(identity: Identity) -> None:
    """A handshake that comes byte by byte does not take longer than it may."""
    one, other = pair()
    server = TlsStream(other, mutual_server_context(identity, []), server_side=True)
    over = threading.Event()

    def drip() -> None:
        one.sendall(b"\x16\x03\x01\x10\x00")
        while not over.wait(0.05):
            one.sendall(b"\x01")

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    with server, pytest.raises(TimeoutError):
        server.handshake(0.4)
    assert time.monotonic() - began < 10
    over.set()
    thread.join(30)
    one.close()


def test_who_leaves_during_the_handshake(identity: Identity) -> None:
    """A connection that ends before it has begun is an error of the network."""
    one, other = pair()
    with TlsStream(other, mutual_server_context(identity, []), server_side=True) as server:
        one.close()
        with pytest.raises(OSError, match="EOF"):
            server.handshake(30)
