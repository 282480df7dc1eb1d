"""Pumps bytes between a plain socket and TLS, in both directions at the same time."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from socket import IPPROTO_TCP, SHUT_RDWR, SHUT_WR, TCP_NODELAY
from threading import Thread
from typing import TYPE_CHECKING

from hgx.net.tls_stream import CHUNK_BYTES

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from hgx.net.tls_stream import TlsStream

_LINGER_S = 2.0
"""How long one direction may be silent once the other has ended."""


@dataclass
class Flow:
    """What has gone in one direction.

    Attributes:
        moved_bytes: How much.
        at_s: When the last of it went, by ``time.monotonic``; null before the first.
    """

    moved_bytes: int = 0
    at_s: float | None = None

    def add(self, count: int) -> None:
        """Count bytes that have just been taken to be passed on."""
        self.moved_bytes += count
        self.at_s = time.monotonic()


@dataclass
class Traffic:
    """What went through one relay, or several one after the other.

    Attributes:
        to_tls: What came from the plain side.
        to_plain: What came from the peer.
    """

    to_tls: Flow = field(default_factory=Flow)
    to_plain: Flow = field(default_factory=Flow)

    @property
    def moved_bytes(self) -> int:
        """In both directions."""
        return self.to_tls.moved_bytes + self.to_plain.moved_bytes


class Relay:
    """Passes on everything between two connections; both belong to it and end with it.

    Args:
        plain: A connection on loopback.
        tls: A connection to a peer, after its handshake.
        traffic: Counts what goes through.
    """

    def __init__(self, plain: socket.socket, tls: TlsStream, traffic: Traffic) -> None:
        plain.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        plain.settimeout(None)
        tls.silence_at_most(None)
        self._plain = plain
        self._tls = tls
        self._traffic = traffic

    def run(self) -> None:
        """Pass on until both sides have ended, or one has and the other is silent."""
        ended: SimpleQueue[None] = SimpleQueue()

        def pump(passing: Callable[[], None]) -> None:
            try:
                passing()
            except OSError:  # no farewell: whoever it was is gone, with all it had on the way
                self.abort()
            ended.put(None)

        threads = [
            Thread(target=pump, args=(passing,), daemon=True) for passing in (self._up, self._down)
        ]
        for thread in threads:
            thread.start()
        ended.get()
        self._linger(ended)
        self.abort()
        for thread in threads:
            thread.join()
        self._plain.close()
        self._tls.close()

    def abort(self) -> None:
        """End both connections at once, from any thread."""
        self._tls.abort()
        with suppress(OSError):
            self._plain.shutdown(SHUT_RDWR)

    def _up(self) -> None:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        while count := self._plain.recv_into(buffer):
            self._traffic.to_tls.add(count)
            self._tls.send(buffer[:count])
        self._tls.finish()

    def _down(self) -> None:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        while count := self._tls.receive_into(buffer):
            self._traffic.to_plain.add(count)
            self._plain.sendall(buffer[:count])
        self._plain.shutdown(SHUT_WR)

    def _linger(self, ended: SimpleQueue[None]) -> None:
        """Wait for the second direction, as long as something moves."""
        moved = None
        while moved != self._traffic.moved_bytes:
            moved = self._traffic.moved_bytes
            with suppress(Empty):
                ended.get(timeout=_LINGER_S)
                return
