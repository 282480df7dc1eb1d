"""An engine of a few lines that does what prompts say, and servers on real loopback sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.responses import JSONResponse, StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


class SmallEngine:
    """What a test tells the engine to do, and what it saw.

    Attributes:
        running: Whether its process counts as alive.
        more: Set by the test to let a stream go on after its first event.
        left: Set when a client left before its answer was complete.
        asked: Bodies of the requests, in order.
        keys: Values of their authorization headers.
    """

    def __init__(self) -> None:
        self.running = True
        self.more = threading.Event()
        self.left = threading.Event()
        self.asked: list[object] = []
        self.keys: list[str | None] = []
        self.url = ""

    def alive(self) -> bool:
        """Whether its process counts as alive."""
        return self.running

    async def answer(self, request: Request) -> Response:
        """Do what the prompt says."""
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers.get("authorization"))
        match body.get("prompt"):
            case "refuse":
                error = {"message": "no", "type": "invalid_request_error", "code": 400}
                return JSONResponse({"error": error}, 400)
            case "hang":
                await self._hang(request)
            case _:
                pass
        if body.get("stream"):
            return StreamingResponse(self._events(body), media_type="text/event-stream")
        return JSONResponse({"choices": [{"text": "hello"}], "path": request.url.path})

    async def _hang(self, request: Request) -> None:
        for _ in range(600):
            if await request.is_disconnected():
                self.left.set()
                return
            await asyncio.sleep(0.05)

    async def _events(self, body: dict[str, object]) -> AsyncIterator[bytes]:
        done = False
        try:
            yield b'data: {"n": 1}\n\n'
            for _ in range(600):
                if self.more.is_set():
                    break
                await asyncio.sleep(0.05)
            if body.get("prompt") == "break":
                yield b'data: {"n"'
                msg = "the connection breaks here"
                raise ConnectionResetError(msg)
            yield b'data: {"n": 2}\n\ndata: [DONE]\n\n'
            done = True
        finally:
            if not done:
                self.left.set()


@contextmanager
def serving(app: Starlette) -> Generator[str]:
    """Serve an application on a free port of loopback, in a thread; yield its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        for _ in range(600):
            if server.started:
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
