"""Where a node's agent listens: a port at one address of this machine, or at all of them."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import psutil

from hgx.errors import Unavailable
from hgx.net.interfaces import own_addresses

if TYPE_CHECKING:
    from collections.abc import Generator

_LOOPBACK = ("127.0.0.1", "::1")
_LONGEST_HOST = 253  # a name in DNS; an address is shorter, with its zone too
_MOST_SHOWN = 60

_NOT_OURS = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EINVAL,  # a link-local address without its zone
        errno.ENODEV,  # or with one that is gone
        None,  # or with one that never was
    }
)


class Listening(NamedTuple):
    """A port that is open.

    Attributes:
        opened: The port; who connects before the server is ready waits for it.
        address: The only one it is open at, a link-local one with its zone; all where null.
        version: Of IP, 4 or 6, where the other is not answered; both where null.
    """

    opened: socket.socket
    address: str | None
    version: int | None

    @property
    def port(self) -> int:
        """Its number, also where any free one was asked for."""
        return self.opened.getsockname()[1]

    def addresses(self) -> tuple[str, ...]:
        """Return where it is reached now: of all interfaces those of a network only."""
        return (self.address,) if self.address else self._answered(own_addresses())

    def loopback(self) -> tuple[str, ...]:
        """Return where programs of this machine reach it now, where it is open at all."""
        states = psutil.net_if_stats()
        up = {
            entry.address
            for name, entries in psutil.net_if_addrs().items()
            if name in states and states[name].isup
            for entry in entries
        }
        return self._answered(tuple(address for address in _LOOPBACK if address in up))

    def _answered(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one for one in addresses if self.version in {None, _parsed(one).version})


@contextmanager
def listen(host: str | None, port: int) -> Generator[Listening]:
    """Open a port as long as the context lasts.

    Args:
        host: An address of this machine, or a name of it, which is looked up once; ``0.0.0.0``
            and ``::`` are all interfaces by IPv4 or IPv6 alone; by both when absent.
        port: 0 for any free one.

    Raises:
        Unavailable: The port is in use, the host is none of this machine, or the system does not
            allow it.
    """
    listening = _everywhere(port) if host is None else _at(host, port)
    with listening.opened:
        yield listening


def _everywhere(port: int) -> Listening:
    try:
        if socket.has_dualstack_ipv6():
            opened = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
            return Listening(opened, None, None)
        return Listening(socket.create_server(("", port)), None, 4)
    except OSError as error:
        raise _refused(f"port {port}", error) from error


def _at(host: str, port: int) -> Listening:
    """Listen at the first of a host's addresses that is one of this machine."""
    refusals: list[Unavailable] = []
    for address in _addresses_of(host, port):
        try:
            opened = _open(address, port)
        except OSError as error:
            looked_up = f" ({address})" if address != host else ""
            refusals.append(_refused(f"port {port} of {_shown(host)}{looked_up}", error))
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                break
        else:
            parsed = _parsed(address)
            return Listening(opened, None if parsed.is_unspecified else address, parsed.version)
    raise refusals[-1]


def _addresses_of(host: str, port: int) -> list[str]:
    """Look up a host; there is at least one address.

    Raises:
        Unavailable: It is neither an address nor a name that is known here.
    """
    if not host:
        raise _no_host(host, "is empty")
    # What comes after a NUL the system would not even see.
    if not host.isprintable() or len(host) > _LONGEST_HOST:
        raise _no_host(host, "is neither an address nor a name")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:  # of a part between dots that is empty or too long
        raise _no_host(host, "is neither an address nor a name") from error
    except OSError as error:
        silent = error.errno == socket.EAI_AGAIN
        unknown = "is neither an address nor a name that is known here"
        why = "cannot be looked up, no name server answers" if silent else unknown
        raise _no_host(host, why) from error
    return [_canonical(address) for *_, address in found]


def _canonical(
    address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
) -> str:
    """Write an address of the system as elsewhere in hgx: a link-local one with its zone's name."""
    text, scope = str(address[0]).partition("%")[0], address[3] if len(address) == 4 else 0
    parsed = _parsed(text)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    if not scope:
        zoned = (own for own in own_addresses() if own.partition("%")[0] == text)
        return next(zoned, text)
    try:
        return f"{text}%{socket.if_indextoname(scope)}"
    except OSError:  # no interface has this number
        return f"{text}%{scope}"


def _open(address: str, port: int) -> socket.socket:
    if _is_for_many(address):  # to Linux it is as good as one of this machine
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    text, _, zone = address.partition("%")
    if ":" not in text:
        return socket.create_server((text, port))
    scope = socket.if_nametoindex(zone) if zone else 0
    return socket.create_server((text, port, 0, scope), family=socket.AF_INET6)


def _is_for_many(address: str) -> bool:
    """Tell whether an address is one that reaches many machines at the same time."""
    entries = [entry for found in psutil.net_if_addrs().values() for entry in found]
    networks = [
        ipaddress.IPv4Interface(f"{entry.address}/{entry.netmask}").network
        for entry in entries
        if entry.family == socket.AF_INET and entry.netmask
    ]
    broadcast = {str(network.broadcast_address) for network in networks} | {"255.255.255.255"}
    # A network may be so narrow that its last address is a machine's.
    ours = {entry.address for entry in entries}
    return _parsed(address).is_multicast or address in broadcast - ours


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address.partition("%")[0])


def _shown(host: str) -> str:
    """Write in one short line whatever was given as a host."""
    short = host if len(host) <= _MOST_SHOWN else f"{host[:_MOST_SHOWN]}..."
    return short if short and short.isprintable() else ascii(short)


def _no_host(host: str, why: str) -> Unavailable:
    return Unavailable(f"--host {_shown(host)} {why}", _another_host())


def _refused(where: str, error: OSError) -> Unavailable:
    if error.errno == errno.EADDRINUSE:
        return _no_port(where, "it is in use")
    if error.errno == errno.EACCES:
        return _no_port(where, "permission denied")
    why = "it is not an address of this machine"
    if error.errno not in _NOT_OURS:
        why = os.strerror(error.errno or 0).lower()
    return Unavailable(f"cannot listen on {where}, {why}", _another_host())


def _no_port(where: str, why: str) -> Unavailable:
    remedy = "choose another with --port (0 takes any free one)"
    return Unavailable(f"cannot listen on {where}, {why}", remedy)


def _another_host() -> str:
    such = "".join(f", such as {address}" for address in own_addresses()[:1])
    return f"give --host an address of this machine{such}, or leave it out to use all"
