"""Whether multicast DNS works on an interface, tried for real and without the library."""

from __future__ import annotations

import secrets
import socket
import struct
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hgx.net.interfaces import Interface

PORT = 5353
_GROUP_V4, _GROUP_V6 = "224.0.0.251", "ff02::fb"
_HEAR_S = 1.0


class Way(NamedTuple):
    """An interface and a version of IP: what is tried.

    Attributes:
        interface: Where.
        version: 4 or 6.
    """

    interface: Interface
    version: int

    def __str__(self) -> str:
        return f"{self.interface.name} (IPv{self.version})"


def ways(interfaces: tuple[Interface, ...]) -> tuple[Way, ...]:
    """Return all there are to try."""
    return tuple(
        Way(interface, version)
        for interface in interfaces
        for version, addresses in ((4, interface.ipv4), (6, interface.ipv6))
        if addresses
    )


def join(way: Way) -> str | None:
    """Join the group of multicast DNS and leave it again.

    Returns:
        Null where it went well, else what the system said.
    """
    try:
        with _socket(way) as opened:
            _join(opened, way)
    except OSError as error:
        return error.strerror or str(error)
    return None


def hears_itself(way: Way) -> bool:
    """Ask the group a question nobody can answer and see whether it comes back here.

    The system hands what a machine sends to a group to those on the machine who joined it, past
    the same rules as what arrives from outside. So a firewall here shows, and one elsewhere not.

    Raises:
        OSError: The port is somebody's alone, or the question could not be sent.
    """
    question = _question(f"hgx-{secrets.token_hex(8)}")
    with ExitStack() as stack:
        ear = stack.enter_context(_socket(way))
        ear.bind(("", PORT))
        _join(ear, way)
        mouth = stack.enter_context(_socket(way))
        if way.version == 4:
            source = socket.inet_aton(way.interface.ipv4[0])
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, source)
            mouth.sendto(question, (_GROUP_V4, PORT))
        else:
            mouth.sendto(question, (_GROUP_V6, PORT, 0, way.interface.number))
        return _arrives(ear, question)


def _arrives(ear: socket.socket, question: bytes) -> bool:
    end_s = time.monotonic() + _HEAR_S
    while (left_s := end_s - time.monotonic()) > 0:
        ear.settimeout(left_s)
        try:
            if ear.recv(9000) == question:
                return True
        except TimeoutError:
            break
    return False


def _socket(way: Way) -> socket.socket:
    family = socket.AF_INET if way.version == 4 else socket.AF_INET6
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if way.version == 6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return opened


def _join(opened: socket.socket, way: Way) -> None:
    if way.version == 4:
        group = socket.inet_aton(_GROUP_V4) + socket.inet_aton(way.interface.ipv4[0])
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    else:
        group = socket.inet_pton(socket.AF_INET6, _GROUP_V6)
        request = group + struct.pack("@I", way.interface.number)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)


def _question(name: str) -> bytes:
    """Return a DNS question for the service instance of that name."""
    labels = (name, "_hgx", "_tcp", "local")
    encoded = b"".join(bytes([len(label)]) + label.encode() for label in labels)
    return struct.pack("!6H", 0, 0, 1, 0, 0, 0) + encoded + b"\0" + struct.pack("!2H", 33, 1)
