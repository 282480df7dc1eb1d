"""The port that a node's agent answers on."""

from __future__ import annotations

import errno
import os
import socket

from hgx.errors import Unavailable


def listen(host: str | None, port: int) -> socket.socket:
    """Open a port; who connects before the server is ready waits for it.

    Args:
        host: An address of this machine; all, IPv4 and IPv6, when absent.
        port: 0 for any free one.

    Raises:
        Unavailable: The port is in use, or the system does not allow it.
    """
    try:
        if host is not None:
            # Resolved here, because a link-local address is nothing without its zone.
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, _, _, _, address = found[0]
            return socket.create_server(address, family=family)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        where = f"port {port}" + (f" of {host}" if host else "")
        if error.errno in {errno.EADDRNOTAVAIL, socket.EAI_NONAME}:
            msg = f"cannot listen on {where}, it is not an address of this machine"
            raise Unavailable(msg, "choose another with --host") from error
        used = error.errno == errno.EADDRINUSE
        why = "it is in use" if used else os.strerror(error.errno or 0).lower()
        msg = f"cannot listen on {where}, {why}"
        raise Unavailable(msg, "choose another with --port (0 takes any free one)") from error
