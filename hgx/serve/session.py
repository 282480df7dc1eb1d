"""A model being served: engine, gateway and port, from the start until a signal or a failure."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import uvicorn

from hgx.errors import EngineError, Unavailable
from hgx.serve.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from hgx.serve.gateway import Gateway

_POLL_S = 0.1
_GRACE_S = 4
"""Seconds that open answers get to end by themselves at shutdown; why the engine ended is known
sooner (``Overseer.obituary``)."""


class Listener:
    """An open port that nobody answers on yet.

    Attributes:
        socket: It is closed at the end of a ``with`` block.
        url: What the server will be called.
    """

    def __init__(self, opened: socket.socket, host: str) -> None:
        shown = f"[{host}]" if ":" in host else host
        self.socket = opened
        self.url = f"http://{shown}:{opened.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def listen(host: str, port: int) -> Listener:
    """Open a port; who connects before the server is ready waits for it.

    Args:
        host: ``127.0.0.1`` or ``::1``.
        port: 0 for any free one.

    Raises:
        Unavailable: The port is in use, or the system does not allow it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return Listener(socket.create_server((host, port), family=family), host)
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        why = "it is in use" if used else error.strerror or str(error)
        msg = f"cannot listen on port {port} of {host}, {why}"
        raise Unavailable(msg, "choose another with --port (0 takes any free one)") from error


def serve_until_signal(
    gateway: Gateway, model_id: str, listener: Listener, ready: Callable[[], None]
) -> int:
    """Answer requests until SIGINT or SIGTERM comes or the engine ends.

    Args:
        gateway: The way to the engine, which runs.
        model_id: What the model is called.
        listener: The port to answer on.
        ready: Called once, as soon as requests are answered.

    Returns:
        The exit status: 130 after SIGINT, 0 after SIGTERM, which is how service managers ask.

    Raises:
        EngineError: The engine ended by itself.
    """
    app = create_app(gateway, model_id)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE_S, lifespan="on"
    )
    server = _Server(config)
    with _stopped_by_signals(server) as caught:
        asyncio.run(_serve(server, gateway, listener, ready))
    if not caught:
        raise EngineError(gateway.obituary())
    return 130 if signal.SIGINT in caught else 0


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals, which would raise them again at the end."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _serve(
    server: _Server, gateway: Gateway, listener: Listener, ready: Callable[[], None]
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener.socket]))
    announced = False
    while not serving.done():
        if server.started and not announced:
            announced = True
            ready()
        if not gateway.alive():
            server.should_exit = True
        await asyncio.sleep(_POLL_S)
    await serving


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Generator[list[int]]:
    """Let the first signal end the server in order, the second one at once."""
    caught: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        server.force_exit = bool(caught)
        server.should_exit = True
        caught.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
