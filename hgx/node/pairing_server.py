"""Wait for the machine where this one's code is typed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from hgx.errors import HgxError, PeerError
from hgx.net.identity import server_context
from hgx.net.pairing import DONE, Refused
from hgx.net.pairing_lines import MOST_LINE_BYTES
from hgx.node.door import Door

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from hgx.net.identity import Identity
    from hgx.net.pairing import Offer, Partner

_LINE_S = 5.0


async def wait_for_attempt(
    opened: socket.socket, identity: Identity, offer: Offer, keep: Callable[[Partner], None]
) -> Partner:
    """Let one attempt be made; connections that make none do not count.

    Args:
        opened: The port, listening.
        identity: This machine's.
        offer: The code and what follows from it.
        keep: Writes down that a machine is trusted, in a thread, before the machine hears of it.

    Raises:
        PeerError: The attempt was made without the code, or nobody made one in time (fault
            "code").
        HgxError: What ``keep`` raises.
    """
    waiting = _Waiting(offer, keep)
    try:
        async with Door(opened, server_context(identity), waiting.make):
            await asyncio.wait([waiting.result], timeout=offer.left_s)
            if offer.used:  # what was begun in time comes to its end
                return await waiting.result
    finally:
        await waiting.send_away()
    msg = "nobody used the code in time, and it is void now"
    raise PeerError(msg, "code", "run `hgx pair` again for a new one")


class _Waiting:
    """What goes on behind the door, until there is a result."""

    def __init__(self, offer: Offer, keep: Callable[[Partner], None]) -> None:
        self._offer = offer
        self._keep = keep
        self._inside: dict[asyncio.StreamWriter, asyncio.Event] = {}
        self.result: asyncio.Future[Partner] = asyncio.get_running_loop().create_future()

    def make(self, gone: asyncio.Event) -> asyncio.Protocol:
        """Make what serves a connection."""
        reader = asyncio.StreamReader(limit=MOST_LINE_BYTES)
        return asyncio.StreamReaderProtocol(reader, partial(self._serve, gone))

    async def send_away(self) -> None:
        """Close all connections, and wait until they are gone."""
        for writer in self._inside:
            writer.transport.abort()
        for gone in tuple(self._inside.values()):
            await gone.wait()

    async def _serve(
        self, gone: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        partner: Partner | None = None
        self._inside[writer] = gone
        try:
            answer = await self._answer(reader, writer)
            if answer is not None:
                partner = await self._finish(answer, reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            gone.set()
            del self._inside[writer]
            if partner is not None and not self.result.done():
                self.result.set_result(partner)

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Return the answer to an attempt; null where it is none."""
        hello = await _line(reader)
        try:
            return self._offer.answer(hello) if hello else None
        except Refused as refused:
            writer.write(refused.line)
            return None

    async def _finish(
        self, answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Partner | None:
        """Go through with the one attempt; whatever its end is, it is the result."""
        try:
            writer.write(answer)
            partner = self._offer.finish(await _line(reader))
            await asyncio.to_thread(self._keep, partner)
        except HgxError as error:
            if not self.result.done():
                self.result.set_exception(error)
            return None
        writer.write(DONE)
        return partner


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Read a line; nothing where it does not come, or is too long."""
    try:
        async with asyncio.timeout(_LINE_S):
            return await reader.readline()
    except (OSError, TimeoutError, ValueError):
        return b""
