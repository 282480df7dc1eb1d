"""TLS that one thread may read while another one writes, as fast as Python allows.

An ``SSLSocket`` must not be used by two threads. Here TLS works on memory, under a lock that is
never held while the network is waited for; what comes and goes in large pieces takes fewer calls
to the system, too.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from socket import IPPROTO_TCP, SHUT_RDWR, SHUT_WR, TCP_NODELAY
from threading import Lock
from typing import TYPE_CHECKING, Self, cast

from hgx.net.pinned import peer_of

if TYPE_CHECKING:
    import socket

CHUNK_BYTES = 256 * 1024
"""How much is taken at a time: twice as much no longer fits a core's cache and takes longer."""

_RECORD_BYTES = 16 * 1024  # the most that TLS has in one record
_DRAIN_S = 1.0


class TlsStream:
    """A TLS connection for two threads: one that receives, any that send.

    Args:
        raw: The TCP connection. It belongs to the stream from now on.
        context: To speak TLS with.
        server_side: Whether this end took the connection.
    """

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> None:
        raw.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._raw = raw
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side)
        self._using = Lock()
        self._sending = Lock()
        self._early = bytearray()
        self._ended = False
        self._encrypted = memoryview(bytearray(CHUNK_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def handshake(self, within_s: float) -> str:
        """Do the handshake; of what follows, nothing is bounded in time any more.

        Args:
            within_s: How long it may take in all.

        Returns:
            The fingerprint of whoever is at the other end.

        Raises:
            OSError: It failed (``ssl.SSLError``), took too long (``TimeoutError``), or the
                connection ended.
        """
        end_s = time.monotonic() + within_s
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                self._raw.settimeout(None)
                return peer_of(self._tls)
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError:
                self._say_why()
                raise
            if (left_s := end_s - time.monotonic()) <= 0:
                raise TimeoutError
            self._raw.settimeout(left_s)
            self._take()

    def silence_at_most(self, seconds: float | None) -> None:
        """Let nothing wait longer than this, neither receiving nor sending; null for no limit."""
        self._raw.settimeout(seconds)

    def send(self, data: bytes | memoryview) -> None:
        """Send everything.

        Raises:
            OSError: The connection ended, or the peer took nothing for too long.
        """
        left = memoryview(data)
        with self._sending:
            with self._using:
                while left:
                    left = left[self._tls.write(left) :]
            self._flush()

    def receive_into(self, buffer: memoryview) -> int:
        """Wait for bytes and put into the buffer what is there.

        Returns:
            How many; 0 where the peer has said that no more will come.

        Raises:
            OSError: The connection ended, or the peer sent nothing for too long.
        """
        with self._using:
            count = self._decrypt(buffer)
        while not (count or self._ended):
            arrived = self._raw.recv_into(self._encrypted)
            with self._using:
                self._give(arrived)
                count = self._decrypt(buffer)
        return count

    def finish(self) -> None:
        """Say that nothing more will be sent; what the peer sends still arrives."""
        with self._sending:
            with self._using, suppress(ssl.SSLError):
                # It looks for the peer's farewell, too, and gives up where there is data before it.
                rest = memoryview(bytearray(CHUNK_BYTES + _RECORD_BYTES))
                self._early += rest[: self._decrypt(rest)]
                self._tls.unwrap()
            with suppress(OSError):
                self._flush()
                self._raw.shutdown(SHUT_WR)

    def abort(self) -> None:
        """End the connection at once, from any thread; who waits for it is told."""
        with suppress(OSError):
            self._raw.shutdown(SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back; no other thread may be using the stream any more."""
        self._raw.close()

    def _decrypt(self, buffer: memoryview) -> int:
        """Put into the buffer what TLS can make of all that arrived."""
        count = 0
        if self._early:
            count = min(len(buffer), len(self._early))
            buffer[:count] = self._early[:count]
            del self._early[:count]
        # Asked without need it would raise, which costs as much as a small message does.
        while self._in.pending or self._tls.pending() or self._in.eof:
            room = buffer[count : count + _RECORD_BYTES]
            if self._ended or not room:
                break
            try:
                got = cast("int", self._tls.read(len(room), room))  # no bytes, as there is a buffer
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:  # the farewell, where this end has said its own
                got = 0
            self._ended = not got
            count += got
        return count

    def _take(self) -> None:
        """Wait for something from the network and hand it to TLS."""
        self._give(self._raw.recv_into(self._encrypted))

    def _give(self, arrived: int) -> None:
        if arrived:
            self._in.write(self._encrypted[:arrived])
        else:
            self._in.write_eof()

    def _flush(self) -> None:
        """Send what TLS has for the peer."""
        with self._using:
            data = self._out.read()
        if data:
            self._raw.sendall(data)

    def _say_why(self) -> None:
        """Tell a peer that was refused; what it has sent meanwhile must not cut that off."""
        with suppress(OSError):
            self._flush()
            self._raw.shutdown(SHUT_WR)
            end_s = time.monotonic() + _DRAIN_S
            while (left_s := end_s - time.monotonic()) > 0:
                self._raw.settimeout(left_s)
                if not self._raw.recv_into(self._encrypted):
                    return
