"""The node's agent: it announces this machine and says what it has, over TLS 1.3 alone.

Whoever is in the network may ask, so no answer holds a secret, and every request is bounded in
size and time. The Host header means nothing here: the certificate says who answers.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hgx._version import __version__
from hgx.errors import Unavailable
from hgx.net.advert import Advert, is_name, is_reachable
from hgx.net.announcer import Announcer
from hgx.net.identity import server_context
from hgx.node.app import MOST_HEADER_BYTES, create_app
from hgx.node.door import Door

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from pydantic import JsonValue

    from hgx.net.identity import Identity
    from hgx.node.door import Lending
    from hgx.node.listening import Listening

_POLL_S = 0.1
_GRACE_S = 2
_FIRST_REQUEST_S = 5


class Running(NamedTuple):
    """A node that answers.

    Attributes:
        name: What it is really called in the network: ``tower-2`` where ``tower`` was taken.
        addresses: Where it is reached, without port; loopback where this machine has no network.
        port: Of all of them.
        unannounced: Why it is not announced, so that others need ``--peer``; null where it is.
        renamed_from: The name that was taken; null where the wanted one was free.
    """

    name: str
    addresses: tuple[str, ...]
    port: int
    unannounced: str | None
    renamed_from: str | None = None


def serve_node(
    identity: Identity,
    name: str,
    describe: Callable[[str], dict[str, JsonValue]],
    listening: Listening,
    *,
    lend: Lending | None = None,
    ready: Callable[[Running], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> int:
    """Announce this machine and answer what it has, until a signal or the stop event.

    Args:
        identity: ``hgx.net.identity.own_identity(home)``.
        name: Wanted name, letters, digits, hyphens and underscores, at most 63
            (``hgx.net.advert.is_name``). ``hgx.store.home.id_from_host_name`` gives such.
        describe: Given the name it really got, returns ``{"node": {...}, "devices": [...]}`` in
            the registry's JSON, ids carrying that name. Called in a thread at the start and per
            request, so it should be quick.
        listening: The open port to answer on, as ``hgx.node.listening.listen`` gives it; where
            it is open is what is announced.
        lend: ``hgx.node.lease.LeaseService.serve``; nothing is lent when absent.
        ready: Called once, when requests are answered.
        stop: Set it to end; signals are only handled in the main thread.

    Returns:
        The exit status: 130 after SIGINT, else 0.

    Raises:
        ValueError: The name is none.
        HgxError: What ``describe`` raises at the start.
    """
    if not is_name(name):
        msg = f"{name!r} is no name for a node"
        raise ValueError(msg)
    with _stopping(stop or threading.Event()) as stopped:
        agent = _Agent(identity, name, describe, listening, lend)
        # Of this kind on Windows, too: the door looks at a connection before it reads from it.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(agent.run(ready, stopped.event))
        return 130 if signal.SIGINT in stopped.signals else 0


class _Agent:
    """The server and the announcement, which needs the port that the server has."""

    def __init__(
        self,
        identity: Identity,
        name: str,
        describe: Callable[[str], dict[str, JsonValue]],
        listening: Listening,
        lend: Lending | None,
    ) -> None:
        self._identity = identity
        self._name = name
        self._describe = describe
        self._listening = listening
        self._lend = lend

    async def run(self, ready: Callable[[Running], None], stop: threading.Event) -> None:
        async with AsyncExitStack() as stack:
            running = await self._announced(stack, stop)
            if stop.is_set():
                return
            # Once now, so that what is wrong with it shows here and not at the first peer.
            await asyncio.to_thread(self._describe, running.name)
            server = self._server(running.name)
            # It opens no port itself: whoever comes, comes in by the door.
            serving = asyncio.create_task(server.serve(sockets=[]))

            def make(gone: asyncio.Event) -> _Impatient:
                return _Impatient(server, gone)

            context = server_context(self._identity)
            async with Door(self._listening.opened, context, make, self._lend):
                ready(running)
                while not (stop.is_set() or serving.done()):
                    await asyncio.sleep(_POLL_S)
            server.should_exit = True
            await serving

    async def _announced(self, stack: AsyncExitStack, stop: threading.Event) -> Running:
        """Announce the node until the stack ends; a name is only known once that is done."""
        listening, address = self._listening, self._listening.address
        running = Running(self._name, listening.addresses(), listening.port, None)
        if address and not is_reachable(address):
            return running._replace(unannounced=f"{address} is not for other machines")
        fingerprint = self._identity.fingerprint
        advert = Advert(
            self._name, self._name, running.addresses, running.port, __version__, fingerprint
        )
        announcer = Announcer(advert, address, listening.addresses)
        entering = asyncio.create_task(stack.enter_async_context(announcer))
        while not entering.done() and not stop.is_set():
            await asyncio.wait([entering], timeout=_POLL_S)
        if not entering.done():
            entering.cancel()
            await asyncio.gather(entering, return_exceptions=True)
            return running._replace(unannounced="it was stopped")
        try:
            name = entering.result().advert.name
        except Unavailable as reason:
            running = running._replace(unannounced=reason.message)
        else:
            renamed_from = None if name == self._name else self._name
            running = running._replace(name=name, renamed_from=renamed_from)
        return running if running.addresses else self._without_network(running)

    def _without_network(self, running: Running) -> Running:
        """Say what works once there is a network; until then only this machine reaches the node."""
        version = self._listening.version
        address = f"an IPv{version} address" if version else "an address"
        found = f"`hgx discover --peer ADDRESS:{running.port}` on another machine finds it"
        later = f"it is announced there, and {found} too"
        if running.unannounced:
            later = f"{found}, and it is announced if it is started again"
        why = f"no network interface is up with {address}: once one is, {later}"
        return running._replace(addresses=self._listening.loopback(), unannounced=why)

    def _server(self, name: str) -> uvicorn.Server:
        config = uvicorn.Config(
            create_app(lambda: self._describe(name)),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # what strangers send wrongly is no news for the terminal
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            timeout_graceful_shutdown=_GRACE_S,
        )
        return _Server(config)


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals, which would raise them again at the end."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class _Impatient(H11Protocol):
    """Closes connections that ask nothing, of which somebody might open very many.

    Args:
        server: Whose connection it is.
        gone: Set when the connection is closed.
    """

    def __init__(self, server: uvicorn.Server, gone: asyncio.Event) -> None:
        super().__init__(server.config, server.server_state, {})
        self._gone = gone

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as in the parent
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.loop.call_later(_FIRST_REQUEST_S, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the end."""
        super().connection_lost(exc)
        self._gone.set()

    def _close_if_idle(self) -> None:
        if self.scope is None:  # pyright: ignore[reportUnnecessaryComparison] - until it asks
            self.transport.close()


class _Stopped(NamedTuple):
    event: threading.Event
    signals: list[int]


@contextmanager
def _stopping(event: threading.Event) -> Generator[_Stopped]:
    """Set an event when SIGINT or SIGTERM comes; the old handlers are back afterwards."""
    caught: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        caught.append(number)
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield _Stopped(event, caught)
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield _Stopped(event, caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
