"""TLS in which both ends prove who they are, over real sockets."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from hgx.net.identity import client_context, server_context
from hgx.net.pinned import mutual_client_context, mutual_server_context, peer_of
from hgx.process.background import Background
from tests.net.certificates import made, node_at, pem_of

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.net.identity import Identity

REFUSED = r"(?i)alert|eof|reset|closed|broken pipe"


@pytest.fixture
def server(tmp_path: Path) -> Identity:
    """The node that is asked."""
    return node_at(tmp_path / "server")


@pytest.fixture
def client(tmp_path: Path) -> Identity:
    """The node that asks."""
    return node_at(tmp_path / "client")


def talk(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str, str, str | None]:
    """Shake hands over loopback and send a word each way.

    Returns:
        Whom the server sees, whom the client sees, and the version of TLS.

    Raises:
        OSError: Of the client: it was refused.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> str:
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(20)
                try:
                    with server.wrap_socket(accepted, server_side=True) as wrapped:
                        seen = peer_of(wrapped)
                        wrapped.sendall(wrapped.recv(100))
                        return seen
                except OSError:
                    return ""

        answering = Background(answer)
        with (
            socket.create_connection(listener.getsockname(), 20) as raw,
            client.wrap_socket(raw) as wrapped,
        ):
            wrapped.sendall(b"hello")
            if wrapped.recv(100) != b"hello":
                msg = "closed"
                raise ConnectionResetError(msg)
            return answering.result(), peer_of(wrapped), wrapped.version()


def test_paired_nodes_see_each_other(server: Identity, client: Identity) -> None:
    """A paired client gets in, by TLS 1.3, and each end sees who the other is."""
    context = mutual_server_context(server, [pem_of(server), pem_of(client)])
    seen = talk(context, mutual_client_context(client))
    assert seen == (client.fingerprint, server.fingerprint, "TLSv1.3")


@pytest.mark.parametrize("pinned", ["nobody", "another"])
def test_unknown_client_is_refused(
    server: Identity, client: Identity, tmp_path: Path, pinned: str
) -> None:
    """Who is not paired does not get in, also where nobody is."""
    others = [] if pinned == "nobody" else [pem_of(node_at(tmp_path / "another"))]
    with pytest.raises(OSError, match=REFUSED):
        talk(mutual_server_context(server, others), mutual_client_context(client))


def test_client_without_certificate_is_refused(server: Identity, client: Identity) -> None:
    """A client that shows no certificate does not get in."""
    with pytest.raises(OSError, match=REFUSED):
        talk(mutual_server_context(server, [pem_of(client)]), client_context())


def test_revoked_client_is_refused(server: Identity, client: Identity, tmp_path: Path) -> None:
    """Who is revoked gets in no more, with what it kept of an earlier connection neither."""
    other = pem_of(node_at(tmp_path / "other"))
    asking = mutual_client_context(client)
    talk(mutual_server_context(server, [other, pem_of(client)]), asking)
    with pytest.raises(OSError, match=REFUSED):
        talk(mutual_server_context(server, [other]), asking)


def test_no_tickets(server: Identity, client: Identity) -> None:
    """A client gets nothing by which it could come back without its certificate."""
    assert mutual_server_context(server, [pem_of(client)]).num_tickets == 0


@pytest.mark.parametrize("authority", [False, True, None])
def test_what_a_paired_node_signed_is_nobody(
    server: Identity, tmp_path: Path, *, authority: bool | None
) -> None:
    """A certificate that a paired node signed does not get in, or is seen to be another."""
    paired = made(tmp_path / "paired.pem", authority=authority)
    issued = made(tmp_path / "issued.pem", issuer=paired)
    context = mutual_server_context(server, [pem_of(paired)])
    if authority is False:  # as all nodes' certificates are
        with pytest.raises(OSError, match=REFUSED):
            talk(context, mutual_client_context(issued))
    else:
        try:
            seen, _, _ = talk(context, mutual_client_context(issued))
        except OSError:
            return
        assert seen == issued.fingerprint != paired.fingerprint


@pytest.mark.parametrize("old", ["client", "server"])
def test_older_versions_are_refused(server: Identity, client: Identity, old: str) -> None:
    """Neither side speaks anything older than TLS 1.3."""
    serving = mutual_server_context(server, [pem_of(client)])
    asking = mutual_client_context(client)
    changed = {"client": asking, "server": serving}[old]
    changed.minimum_version = ssl.TLSVersion.TLSv1_2
    changed.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError, match=r"(?i)protocol"):
        talk(serving, asking)


def test_other_server_is_seen(server: Identity, client: Identity, tmp_path: Path) -> None:
    """A client sees by the fingerprint that somebody else answers."""
    other = node_at(tmp_path / "other")
    context = mutual_server_context(other, [pem_of(client)])
    _, seen, _ = talk(context, mutual_client_context(client))
    assert seen == other.fingerprint != server.fingerprint


def test_nobody_to_see(server: Identity) -> None:
    """Where the other end showed no certificate there is nobody to see, only an error."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    unfinished = server_context(server).wrap_bio(incoming, outgoing, server_side=True)
    with pytest.raises(ValueError, match="handshake"):
        peer_of(unfinished)
    context = server_context(server)
    here, there = socket.socketpair()
    with here, there:
        asking = Background(lambda: client_context().wrap_socket(there))
        with (
            context.wrap_socket(here, server_side=True) as wrapped,
            asking.result(),
            pytest.raises(ssl.SSLError, match="showed no certificate"),
        ):
            peer_of(wrapped)
