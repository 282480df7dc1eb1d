"""Somebody in between: speaks TLS to both sides with a certificate of their own."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hgx.net.identity import client_context, server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from hgx.net.identity import Identity

_LINES = 4


@contextmanager
def relay(
    port: int, identity: Identity, change: Callable[[int, bytes], bytes] = lambda _, line: line
) -> Generator[int]:
    """Pass the lines of one pairing on; gives the port to connect to.

    Args:
        port: Of the machine that shows the code, on loopback.
        identity: Of the one in between.
        change: Given the number of a line and the line, returns what to pass on.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_pass_on, args=(listener, port, identity, change))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=30)


def _pass_on(
    listener: socket.socket,
    port: int,
    identity: Identity,
    change: Callable[[int, bytes], bytes],
) -> None:
    with suppress(OSError):
        accepted, _ = listener.accept()
        accepted.settimeout(20)
        with (
            server_context(identity).wrap_socket(accepted, server_side=True) as joining,
            client_context().wrap_socket(
                socket.create_connection(("127.0.0.1", port), 20)
            ) as offering,
            joining.makefile("rb") as from_joining,
            offering.makefile("rb") as from_offering,
        ):
            ends = ((from_joining, offering), (from_offering, joining))
            for number in range(_LINES):
                source, target = ends[number % 2]
                line = source.readline()
                if not line:
                    return
                target.sendall(change(number, line))
