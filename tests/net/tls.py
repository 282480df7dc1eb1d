"""Two ends of a connection in one process, plain or with TLS."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from hgx.net.pinned import mutual_client_context, mutual_server_context
from hgx.net.tls_stream import TlsStream
from tests.net.certificates import pem_of

if TYPE_CHECKING:
    from hgx.net.identity import Identity


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends of a TCP connection; nothing waits longer than 30 s."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname(), timeout=30)
        other, _ = listener.accept()
        other.settimeout(30)
        return one, other


def streams(identity: Identity) -> tuple[TlsStream, TlsStream]:
    """Return two ends of a TLS connection after the handshake, both of the same node."""
    one, other = pair()
    client = TlsStream(one, mutual_client_context(identity), server_side=False)
    context = mutual_server_context(identity, [pem_of(identity)])
    server = TlsStream(other, context, server_side=True)
    thread = threading.Thread(target=client.handshake, args=(30,))
    thread.start()
    assert server.handshake(30) == identity.fingerprint
    thread.join(30)
    return client, server


def is_over(connection: socket.socket, within_s: float = 30) -> bool:
    """Tell whether the other side closes a connection on which nothing more comes."""
    connection.settimeout(within_s)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
