"""Pass requests on to the engine and its answers back, byte for byte as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import httpx2
from starlette.responses import Response, StreamingResponse

from hgx.serve.activity import Activity
from hgx.serve.errors import error_event, error_response
from hgx.serve.gate import Gate
from hgx.serve.timings import TAIL_BYTES, timings_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from hgx.engine.base import Endpoint
    from hgx.serve.activity import Ongoing
    from hgx.serve.gate import Ticket

    Served = Callable[[dict[str, float]], None]
    """Told llama.cpp's timings of each answer that had the engine for itself."""

MAX_BODY_BYTES = 32 * 1024**2
"""Largest request; a context of a million tokens is some 5 MiB of text."""

_EVENT_STREAM = "text/event-stream"
_GONE = 499
"""Status of an answer nobody waits for any more; it is never sent."""

_KNOCK_S = 0.05
"""A request that has to wait asks so often whether it may go on."""

_DYING_S = 1.0
"""How long a process takes to end, once its connections are closed."""

T = TypeVar("T")


class Gateway:
    """The way to one engine.

    Every request has a connection of its own, since the engine closes idle ones without notice;
    on loopback that costs a fraction of a millisecond. There is no time limit on answers: as long
    as the engine lives it may think, and when it dies its connections break.

    Args:
        endpoint: Where the engine listens, and its key.
        alive: Whether the engine still runs.
        served: Told of each answer that no other request slowed down.
        gate: Lets requests through; all of them at once where null.

    Attributes:
        activity: What is being answered now.
        obituary: Says what became of an engine that no longer runs; it may take a moment.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        alive: Callable[[], bool],
        served: Served = lambda _: None,
        gate: Gate | None = None,
    ) -> None:
        self.alive = alive
        self._gate = gate or Gate()
        self.activity = Activity()
        self._served = served
        self.obituary: Callable[[], str] = lambda: "the engine has stopped: start hgx serve again"
        self._client = httpx2.AsyncClient(
            base_url=endpoint.url,
            headers={
                "authorization": f"Bearer {endpoint.api_key}",
                "accept-encoding": "identity",
                "connection": "close",
            },
            timeout=httpx2.Timeout(None, connect=10),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=False,  # a proxy has no business on loopback
        )

    async def close(self) -> None:
        """Drop all connections to the engine."""
        await self._client.aclose()

    async def forward(self, request: Request) -> Response:
        """Answer a request with what the engine answers, status and error bodies included.

        When the client goes away, the connection to the engine is closed, which makes it stop
        generating.

        Args:
            request: Its path is the engine's path.

        Returns:
            The engine's answer; a stream where it is a stream of events. An error of hgx's own
            (413, 503) where there is none.
        """
        body = await _body(request)
        if body is None:
            limit = f"the request is larger than {MAX_BODY_BYTES // 1024**2} MiB: send less"
            return error_response(413, limit, "invalid_request_error", "request_too_large")
        ticket = self._gate.ticket()
        try:
            refused = await self._let_in(request, ticket)
            if refused is not None:
                ticket.leave()
                return refused
            # Only now: who waits at the gate is no sign that the engine should get on.
            ongoing = self.activity.begin()
        except BaseException:
            ticket.leave()
            raise

        def end() -> None:
            ongoing.end()
            ticket.leave()

        try:
            answered = await self._answer(request, body, ongoing)
        except BaseException:
            end()
            raise
        return _Ending(answered, end)

    async def _let_in(self, request: Request, ticket: Ticket) -> Response | None:
        """Wait for the gate; return what to answer where it does not let the request in."""
        if ticket.enter():
            return None

        async def knock() -> bool:
            while self.alive() and not self._gate.refusal and not ticket.enter():
                await asyncio.sleep(_KNOCK_S)
            return True

        if await _unless_gone(request, knock()) is None:
            return Response(status_code=_GONE)
        if self._gate.refusal and not ticket.enter():
            return error_response(503, self._gate.refusal, "server_error", "resting")
        return None

    async def _answer(self, request: Request, body: bytes, ongoing: Ongoing) -> Response:
        if not self.alive():
            return await self._stopped()
        try:
            answer = await _unless_gone(request, self._ask(request, body))
        except httpx2.TransportError:
            return await self._stopped()
        if answer is None:
            return Response(status_code=_GONE)
        kind = answer.headers.get("content-type", "application/json")
        if answer.is_closed:
            self._measured(answer.content[-TAIL_BYTES:], ongoing)
            return Response(answer.content, answer.status_code, media_type=kind)
        return StreamingResponse(
            self._relay(answer, ongoing), answer.status_code, {"cache-control": "no-cache"}, kind
        )

    async def _ask(self, request: Request, body: bytes) -> httpx2.Response:
        """Send the request; read the answer too, unless it is a stream of events."""
        headers = {"content-type": request.headers.get("content-type", "application/json")}
        question = self._client.build_request(
            request.method, request.url.path, content=body, headers=headers
        )
        answer = await self._client.send(question, stream=True)
        if answer.headers.get("content-type", "").startswith(_EVENT_STREAM):
            return answer
        try:
            await answer.aread()
        finally:
            await answer.aclose()
        return answer

    async def _relay(self, answer: httpx2.Response, ongoing: Ongoing) -> AsyncIterator[bytes]:
        tail = b""
        try:
            async for piece in answer.aiter_raw():
                self.activity.pieces += 1
                tail = (tail + piece)[-TAIL_BYTES:]
                yield piece
            self._measured(tail, ongoing)
        except httpx2.TransportError:
            yield error_event(await self._what_happened(), "server_error", "engine_stopped")
        finally:
            await answer.aclose()

    def _measured(self, tail: bytes, ongoing: Ongoing) -> None:
        timings = timings_in(tail)
        if timings and ongoing.alone:
            self._served(timings)

    async def _stopped(self) -> Response:
        return error_response(503, await self._what_happened(), "server_error", "engine_stopped")

    async def _what_happened(self) -> str:
        """Say why an answer broke off; that the engine ended shows a moment later."""
        end_s = asyncio.get_running_loop().time() + _DYING_S
        while self.alive():
            if asyncio.get_running_loop().time() > end_s:
                return "the engine closed the connection without an answer: try again"
            await asyncio.sleep(_DYING_S / 10)
        return await asyncio.to_thread(self.obituary)


class _Ending(Response):
    """An answer that ends a request, however it ends."""

    def __init__(self, inner: Response, end: Callable[[], None]) -> None:
        super().__init__(status_code=inner.status_code)
        self._inner = inner
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._inner(scope, receive, send)
        finally:
            self._end()


async def _body(request: Request) -> bytes | None:
    """Read the request's body, or return null when it is too large."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


async def _unless_gone(request: Request, work: Coroutine[None, None, T]) -> T | None:
    """Do the work, but give it up and return null when the client goes away first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_departure(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _departure(request: Request) -> None:
    """Return when the client has gone; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
