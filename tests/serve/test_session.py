"""Serving from the first request until a signal or the engine's end."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING

import httpx2
import pytest

from hgx.engine.base import Endpoint
from hgx.errors import EngineError, Unavailable
from hgx.serve.gateway import Gateway
from hgx.serve.session import listen, serve_until_signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.engine.base import Progress


class _Engine:
    """A process that lives as long as the test says."""

    def __init__(self) -> None:
        self.running = True

    def start(self, progress: Progress | None = None) -> Endpoint:  # noqa: ARG002 - as in Engine
        return Endpoint("http://127.0.0.1:9", "")

    def alive(self) -> bool:
        return self.running

    def obituary(self) -> str:
        return "the engine was killed by signal 9"

    def stop(self, grace_s: float = 3.0) -> None:
        del grace_s
        self.running = False


def _serve(engine: _Engine, then: Callable[[str], None]) -> int:
    """Serve, and do something as soon as requests are answered."""
    with listen("127.0.0.1", 0) as listener:
        gateway = Gateway(engine.start(), engine.alive)
        gateway.obituary = engine.obituary
        return serve_until_signal(gateway, "x", listener, lambda: then(listener.url))


@pytest.mark.parametrize(
    ("numbers", "status"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 0),
        ([signal.SIGTERM, signal.SIGINT], 130),
    ],
)
def test_a_signal_ends_it(numbers: list[signal.Signals], status: int) -> None:
    """An interrupt ends with 130, a service manager's SIGTERM with 0; handlers are put back."""
    before = signal.getsignal(signal.SIGINT)

    def send(_: str) -> None:
        for number in numbers:
            signal.raise_signal(number)

    assert _serve(_Engine(), send) == status
    assert signal.getsignal(signal.SIGINT) is before


def test_it_answers_when_it_says_so() -> None:
    """By the time it says where it answers, it does."""
    seen: list[int] = []

    def ask(url: str) -> None:
        seen.append(httpx2.get(f"{url}/health", timeout=30).status_code)
        signal.raise_signal(signal.SIGINT)

    def ask_elsewhere(url: str) -> None:  # the loop that answers must not wait for the answer
        threading.Thread(target=ask, args=(url,)).start()

    assert _serve(_Engine(), ask_elsewhere) == 130
    assert seen == [200]


def test_the_engine_ends_by_itself() -> None:
    """When the engine's process ends, so does serving, with an error that says how."""
    engine = _Engine()
    with pytest.raises(EngineError, match="killed by signal 9"):
        _serve(engine, lambda _: engine.stop())


def test_a_port_in_use() -> None:
    """A port in use is an error with its remedy."""
    with (
        listen("127.0.0.1", 0) as listener,
        pytest.raises(Unavailable, match=r"in use: choose another with --port"),
    ):
        listen("127.0.0.1", int(listener.url.rpartition(":")[2]))


def test_an_address_that_is_not_here() -> None:
    """An address the system refuses is an error with the system's reason."""
    with pytest.raises(Unavailable, match=r"203\.0\.113\.1, "):
        listen("203.0.113.1", 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_the_other_loopback() -> None:
    """The URL of an IPv6 address has brackets."""
    try:
        with listen("::1", 0) as listener:
            assert listener.url.startswith("http://[::1]:")
    except Unavailable:
        pytest.skip("this system has IPv6 but no ::1")
