"""How long a server may take: something has to come soon, and go on coming at some pace."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self, cast

if TYPE_CHECKING:
    from collections.abc import Mapping


class Pace(NamedTuple):
    """What is asked of a server.

    Attributes:
        grace_s: Seconds it may take in all, however little it sends.
        bytes_per_s: For every so many bytes it may take a second more.
        most_s: Seconds it may take in all, however much it sends.
        silence_s: Longest time without a single byte.
    """

    grace_s: float = 20.0
    bytes_per_s: float = 16 * 1024
    most_s: float = 600.0
    silence_s: float = 10.0


class _Stream(Protocol):
    def get_extra_info(self, info: Literal["socket"]) -> socket.socket: ...


class Patience:
    """Ends the connections of a server that is slower than a pace allows.

    A limit on every single wait is not enough: a server that sends a byte now and then keeps to it
    for ever. So a thread looks at the whole, and shuts the sockets that whoever waits reads from.

    Args:
        pace: What the server must keep.
    """

    def __init__(self, pace: Pace) -> None:
        self.received = 0
        self.exhausted = False
        self._pace = pace
        self._began_s = time.monotonic()
        self._sockets: list[socket.socket] = []
        self._done = Event()
        self._thread = Thread(target=self._watch, name="hgx patience", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def add(self, count: int) -> None:
        """Count bytes that came."""
        self.received += count

    def trace(self, _event: str, info: Mapping[str, object]) -> None:
        """Learn of new connections: this is the ``trace`` extension of a request.

        TCP and then TLS make a stream each, of which the last one's socket is the one in use.
        """
        stream = info.get("return_value")
        if not hasattr(stream, "get_extra_info"):
            return
        self._sockets.append(cast("_Stream", stream).get_extra_info("socket"))
        if self.exhausted:
            self._shut()

    def _watch(self) -> None:
        while (left_s := self._left_s()) > 0:
            if self._done.wait(left_s):
                return
        self.exhausted = True
        self._shut()

    def _left_s(self) -> float:
        pace = self._pace
        allowed_s = min(pace.grace_s + self.received / pace.bytes_per_s, pace.most_s)
        return self._began_s + allowed_s - time.monotonic()

    def _shut(self) -> None:
        for one in tuple(self._sockets):
            # One that is closed already, or that TLS has taken over, is none of our concern.
            with suppress(OSError):
                # Of the plain socket: TLS's own would forget its state while another thread reads.
                socket.socket.shutdown(one, socket.SHUT_RDWR)
