"""Lends this node's devices to paired coordinators, each device to one at a time.

What arrives here has not said more than the preface yet, and anybody may have sent that. Nobody
gets further than the TLS handshake whose certificate is not trusted at that moment.
"""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Condition
from typing import TYPE_CHECKING

from hgx.errors import StorageError
from hgx.net.lease_lines import (
    HANDSHAKE_S,
    PREFACE,
    WISHES,
    LeaseWish,
    TunnelWish,
    read,
    receive,
    send,
)
from hgx.net.pinned import mutual_server_context
from hgx.net.tls_stream import TlsStream
from hgx.node.held import HeldLease, RefusedWish
from hgx.store.trust import trusted, trusted_peers

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable
    from typing import Self

    from hgx.net.identity import Identity
    from hgx.node.held import Lend
    from hgx.store.home import Home

_END_S = 10.0


class LeaseService:
    """Answers wishes for leases and tunnels as long as the context lasts.

    Args:
        identity: This node's.
        home: Where the list of trusted peers is; it is read at each wish and every second.
        lend: Starts an rpc server.
    """

    def __init__(self, identity: Identity, home: Home, lend: Lend) -> None:
        self._identity = identity
        self._home = home
        self._lend = lend
        self._leases: dict[str, HeldLease] = {}
        self._changed = Condition()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End all leases, and wait until their rpc servers are gone."""
        with self._changed:
            self._closed = True
            for lease in self._leases.values():
                lease.end()
            self._changed.wait_for(lambda: not self._leases, _END_S)

    def serve(self, accepted: socket.socket, admitted: Callable[[], object]) -> None:
        """Serve a connection until its end; it takes as long as a lease does.

        Args:
            accepted: A connection of which nothing was read yet; it is closed at the end, and shut
                down from another thread it ends.
            admitted: Called once the peer has proven to be a trusted one.
        """
        end_s = time.monotonic() + HANDSHAKE_S
        with accepted, suppress(OSError):  # it is not what it should be, or gone
            if _has_preface(accepted, end_s):
                stream = TlsStream(accepted, self._context(), server_side=True)
                fingerprint = stream.handshake(end_s - time.monotonic())
                if self._is_trusted(fingerprint):
                    admitted()
                    self._answer(stream, fingerprint)

    def _answer(self, stream: TlsStream, fingerprint: str) -> None:
        line = receive(stream, time.monotonic() + HANDSHAKE_S)
        try:
            match read(WISHES, line):
                case LeaseWish() as wish:
                    self._lease(stream, wish, fingerprint)
                case TunnelWish(lease=number):
                    self._tunnel(stream, number, fingerprint)
                case None:
                    msg = "does not understand what this hgx asks"
                    raise RefusedWish(msg, "request")
        except RefusedWish as refused:
            send(stream, refused.answer)
            stream.finish()

    def _lease(self, stream: TlsStream, wish: LeaseWish, fingerprint: str) -> None:
        lease = HeldLease(stream, wish, fingerprint, lambda: self._is_trusted(fingerprint))
        self._add(lease)
        try:
            lease.run(self._lend)
        finally:
            with self._changed:
                del self._leases[lease.id]
                self._changed.notify_all()

    def _add(self, lease: HeldLease) -> None:
        with self._changed:
            if self._closed:
                msg = "is about to end"
                raise RefusedWish(msg, "held")
            wanted = set(lease.wish.devices)
            for other in self._leases.values():
                if both := wanted.intersection(other.wish.devices):
                    since = f"{other.since:%Y-%m-%d %H:%M:%S} UTC"
                    who = other.wish.coordinator
                    msg = f"has lent {', '.join(sorted(both))} to {who} since {since}"
                    raise RefusedWish(msg, "held")
            self._leases[lease.id] = lease

    def _tunnel(self, stream: TlsStream, number: str, fingerprint: str) -> None:
        with self._changed:
            lease = self._leases.get(number)
        if lease is None or lease.fingerprint != fingerprint:
            msg = "knows no such lease, it has ended"
            raise RefusedWish(msg, "lease")
        lease.relay(stream)

    def _context(self) -> ssl.SSLContext:
        try:
            peers = trusted_peers(self._home)
        except StorageError:  # nobody is trusted by a part of it
            peers = ()
        pinned = [peer.certificate for peer in peers if peer.certificate is not None]
        return mutual_server_context(self._identity, pinned)

    def _is_trusted(self, fingerprint: str) -> bool:
        try:
            return fingerprint in trusted(self._home)
        except StorageError:
            return False


def _has_preface(accepted: socket.socket, end_s: float) -> bool:
    got = b""
    while len(got) < len(PREFACE) and PREFACE.startswith(got):
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            return False
        accepted.settimeout(left_s)
        part = accepted.recv(len(PREFACE) - len(got))
        if not part:
            return False
        got += part
    return got == PREFACE
