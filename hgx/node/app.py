"""What a node's agent answers: what it has, and how fast the link to it is. Nothing else."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hgx._version import __version__
from hgx.net.advert import API, PATH
from hgx.net.peer import DOWN_PATH, UP_PATH
from hgx.net.windows import CHUNK_BYTES, MOST_BYTES, MOST_S, Windows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pydantic import JsonValue
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

MOST_HEADER_BYTES = 16 * 1024
"""Of the headers of a request; none of a peer's has a kilobyte."""

_HELD_S = MOST_S + 5
"""How long one may keep the link for a test: what is on the way still has to arrive."""


def create_app(describe: Callable[[], dict[str, JsonValue]]) -> Starlette:
    """Put together what the agent answers.

    Args:
        describe: Returns ``{"node": {...}, "devices": [...]}``; called in a thread.
    """
    link = _Link()

    def node(_: Request) -> Response:
        try:
            described = describe()
        except Exception:  # noqa: BLE001 - its words may hold paths, which are not for strangers
            return JSONResponse({"error": "this node cannot say what it has now"}, 503)
        return JSONResponse({"api": API, "hgx": __version__, **described})

    return Starlette(
        routes=[
            Route(PATH, node),
            Route(DOWN_PATH, link.down),
            Route(UP_PATH, link.up, methods=["POST"]),
        ],
        middleware=[Middleware(ShortHeaders)],
    )


class ShortHeaders:
    """ASGI middleware that refuses requests with long headers.

    The server itself bounds only headers that have not all arrived: those that come in one piece,
    as a quick sender's do, pass it whatever their length.

    Args:
        app: What comes behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request as ASGI prescribes."""
        app = self._app
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
            app = JSONResponse({"error": "these headers are too long"}, 400)
        await app(scope, receive, send)


MOST_STREAMS = 4
"""Streams that one test may have at the same time."""


class _Link:
    """Tests of the link, of one peer at a time: two would measure each other."""

    def __init__(self) -> None:
        self._holder: str | None = None
        self._streams = 0
        self._chunk = os.urandom(CHUNK_BYTES)

    async def down(self, request: Request) -> Response:
        """Send as much as asked for, until the limits."""
        asked = request.query_params.get("bytes", "")
        if not (asked.isascii() and asked.isdecimal()) or len(asked) > 12:
            return JSONResponse({"error": "say how much: ?bytes=N"}, 400)
        return _Held(self, StreamingResponse(self._sent(min(int(asked), MOST_BYTES))))

    async def up(self, request: Request) -> Response:
        """Take what is sent, until the limits, and say how fast it came."""
        return _Held(self, _Counted(request))

    def take(self, peer: str) -> bool:
        """Take a stream of the link for a peer, unless another peer has it.

        Args:
            peer: Its address; machines behind one share the link, too.
        """
        if self._streams and (self._holder != peer or self._streams == MOST_STREAMS):
            return False
        self._holder = peer
        self._streams += 1
        return True

    def release(self) -> None:
        """Give a stream back."""
        self._streams -= 1

    async def _sent(self, size_bytes: int) -> AsyncIterator[bytes]:
        end_s = time.monotonic() + MOST_S
        for at in range(0, size_bytes, CHUNK_BYTES):
            if time.monotonic() > end_s:
                return
            yield self._chunk[: size_bytes - at]


class _Held(Response):
    """An answer during which the link is taken; who takes no data loses it after a while."""

    def __init__(self, link: _Link, inner: Response) -> None:
        self._link = link
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if not self._link.take(client[0] if client else ""):
            busy = JSONResponse({"error": "busy with another test"}, 429, {"Retry-After": "10"})
            await busy(scope, receive, send)
            return
        try:
            async with asyncio.timeout(_HELD_S):
                await self._inner(scope, receive, send)
        except (TimeoutError, ClientDisconnect):
            pass  # the server closes the connection, as the answer is not complete
        finally:
            self._link.release()


class _Counted(Response):
    """Counts what arrives and answers how fast it did."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin_s = time.monotonic()
        windows = Windows(begin_s)
        arrived = 0
        async for data in self._request.stream():
            now_s = time.monotonic()
            arrived += len(data)
            if arrived > MOST_BYTES:
                break
            if now_s - begin_s <= MOST_S:
                windows.add(now_s, len(data))
        await JSONResponse({"rates": windows.rates()})(scope, receive, send)
