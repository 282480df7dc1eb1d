"""Servers on loopback that are not what a peer should be, each in a thread."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hgx.net.identity import own_identity, server_context
from hgx.store.home import Home

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

HELLO = "HTTP/1.1 200 OK\r\nConnection: close\r\n"


def answered(document: object) -> bytes:
    """Return an HTTP answer with a JSON document."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return f"{HELLO}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def server(
    said: bytes | Callable[[socket.socket], None], home: Path | None = None
) -> Generator[int]:
    """Answer every connection in the same way; gives the port.

    Args:
        said: Sent after the request came; or what to do with the connection.
        home: Of the identity to speak TLS with; none for plain TCP.
    """
    context = server_context(own_identity(Home(home))) if home else None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, context, said))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=30)


def dripping(data: bytes, ended: threading.Event) -> Callable[[socket.socket], None]:
    """Send a byte now and then, until the event is set or the other side has enough."""

    def drip(connection: socket.socket) -> None:
        for byte in _forever(data):
            if ended.wait(0.05):
                return
            connection.sendall(bytes([byte]))

    return drip


def _forever(data: bytes) -> Iterator[int]:
    yield from data
    while True:
        yield ord("x")


def _serve(
    listener: socket.socket,
    context: ssl.SSLContext | None,
    said: bytes | Callable[[socket.socket], None],
) -> None:
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        with accepted, suppress(OSError):
            wrapped = context.wrap_socket(accepted, server_side=True) if context else accepted
            with wrapped:
                if isinstance(said, bytes):
                    wrapped.recv(65536)
                    wrapped.sendall(said)
                else:
                    said(wrapped)
