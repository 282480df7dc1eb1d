"""The door of a node: how many may be inside at the same time, counted before TLS costs anything.

A connection that never says a word costs its buffers as long as it is open, and anybody in the
network can open thousands. So only so many are taken, of one address fewer still, and where no
place is left the oldest that has not even finished its handshake makes one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from hgx.net.lease_lines import PREFACE
from hgx.net.mdns import cancel_all
from hgx.process.background import Background

if TYPE_CHECKING:
    import ssl

MOST_CONNECTIONS = 64
MOST_OF_ONE_ADDRESS = 16
"""A test of a link takes four; machines behind one address share it."""

_HANDSHAKE_S = 5.0
_GOODBYE_S = 2.0
_LONGEST_S = 30.0  # twice what the longest question takes, a test of the link
_RETRY_S = 1.0

Lending = Callable[[socket.socket, Callable[[], object]], object]
"""Serves a connection for leases: given it, and what to call once it is a paired peer's."""


class Door:
    """Takes connections from a port as long as the context lasts.

    Who has finished the handshake by the end of it stays.

    Args:
        opened: The port, listening.
        context: To speak TLS with.
        make: Makes what serves a connection; it sets the event when the connection is gone.
        lend: Serves, in a thread each, the connections that begin as those for leases do.
    """

    def __init__(
        self,
        opened: socket.socket,
        context: ssl.SSLContext,
        make: Callable[[asyncio.Event], asyncio.Protocol],
        lend: Lending | None = None,
    ) -> None:
        self._opened = opened
        self._context = context
        self._make = make
        self._lend = lend
        self._inside: dict[asyncio.Task[None], str] = {}
        self._at_handshake: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._opened.setblocking(False)
        self._taking = asyncio.create_task(self._take())
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_all([self._taking])
        await cancel_all(list(self._at_handshake))

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._opened)
            except OSError as error:
                # One that left before it was taken is no reason to wait, as too many files are.
                await asyncio.sleep(0 if isinstance(error, ConnectionError) else _RETRY_S)
                continue
            self._let_in(accepted, str(address[0]))
            await asyncio.sleep(0)  # who comes by the thousand takes turns with those inside

    def _let_in(self, accepted: socket.socket, address: str) -> None:
        if not self._has_place(address):
            accepted.close()
            return
        task = asyncio.create_task(self._serve(accepted))
        self._inside[task] = address
        self._at_handshake.add(task)
        task.add_done_callback(self._forget)
        task.add_done_callback(lambda _: accepted.close())

    def _has_place(self, address: str) -> bool:
        """Tell whether one more may come in, for whom another may have to go."""
        rivals = [task for task, whose in self._inside.items() if whose == address]
        if len(rivals) < MOST_OF_ONE_ADDRESS:
            if len(self._inside) < MOST_CONNECTIONS:
                return True
            rivals = list(self._inside)
        oldest = next((task for task in rivals if task in self._at_handshake), None)
        if oldest is None:
            return False
        self._forget(oldest)
        oldest.cancel()
        return True

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._inside.pop(task, None)
        self._at_handshake.discard(task)

    async def _serve(self, accepted: socket.socket) -> None:
        """Serve a connection until it is gone."""
        with suppress(OSError):  # it is not what it should be, says nothing, or has left
            if self._lend is not None and await _first_byte(accepted) == PREFACE[:1]:
                await self._serve_lease(accepted, self._lend)
            else:
                await self._serve_http(accepted)

    async def _serve_http(self, accepted: socket.socket) -> None:
        gone = asyncio.Event()
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: self._make(gone),
            accepted,
            ssl=self._context,
            ssl_handshake_timeout=_HANDSHAKE_S,
            ssl_shutdown_timeout=_GOODBYE_S,
        )
        self._admit(asyncio.current_task())
        try:
            async with asyncio.timeout(_LONGEST_S):
                await gone.wait()
        except TimeoutError:
            transport.abort()

    async def _serve_lease(self, accepted: socket.socket, lend: Lending) -> None:
        loop, this, gone = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()

        def tell(what: Callable[[], object]) -> None:
            with suppress(RuntimeError):  # the loop has ended before the lease
                loop.call_soon_threadsafe(what)

        threads_own = accepted.dup()
        Background(
            lambda: lend(threads_own, lambda: tell(lambda: self._admit(this))),
            done=lambda: tell(gone.set),
        )
        try:
            await gone.wait()
        finally:
            with suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)

    def _admit(self, task: asyncio.Task[None] | None) -> None:
        """Note that a connection is past its handshake, so that it need not make place."""
        self._at_handshake = {other for other in self._at_handshake if other is not task}


async def _first_byte(accepted: socket.socket) -> bytes:
    """Wait for the first byte, which stays to be read."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(accepted, arrived.set)
    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            await arrived.wait()
    finally:
        loop.remove_reader(accepted)
    return accepted.recv(1, socket.MSG_PEEK)
