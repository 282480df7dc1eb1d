"""The first question to an rpc server, to servers that answer well and badly."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from hgx.engine.hello import Protocol, fits, hello
from hgx.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

GOOD = struct.pack("<Q", 28) + bytes([7, 1, 2]) + bytes(25)
QUESTION = b"\x0e" + struct.pack("<Q", 24) + bytes(24)


def question_of(connection: socket.socket) -> bytes:
    """Receive a question, whatever its size."""
    head = connection.recv(9, socket.MSG_WAITALL)
    return head + connection.recv(head[1] if len(head) > 1 else 0, socket.MSG_WAITALL)


@contextmanager
def server(behave: Callable[[socket.socket], None], connections: int = 2) -> Generator[int]:
    """Serve some connections on loopback, one after the other, and give the port."""

    def serve() -> None:
        for _ in range(connections):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(30)
                if not over.is_set():
                    behave(connection)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            over.set()
            for _ in range(connections):  # lets it come to its end
                socket.create_connection(("127.0.0.1", port)).close()
            thread.join(30)


def answer(*parts: bytes, pause_s: float = 0) -> Callable[[socket.socket], None]:
    """Answer the question with some bytes, a pause after each part."""

    def behave(connection: socket.socket) -> None:
        assert question_of(connection)[:1] == b"\x0e"
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)

    return behave


@pytest.mark.parametrize("parts", [(GOOD,), tuple(bytes([b]) for b in GOOD)])
def test_a_good_answer(parts: tuple[bytes, ...]) -> None:
    """The protocol comes back, however the answer is cut on its way."""
    with server(answer(*parts, pause_s=0.002)) as port:
        protocol = hello("127.0.0.1", port, 30)
    assert protocol == Protocol(7, 1, 2)
    assert str(protocol) == "7.1.2"


def test_the_question() -> None:
    """The question is llama.cpp's own, to the byte."""
    asked: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        asked.append(question_of(connection))
        connection.sendall(GOOD)

    with server(behave, connections=1) as port:
        hello("127.0.0.1", port, 30)
    assert asked == [QUESTION]


def test_an_old_server() -> None:
    """A server that hangs up on today's question is asked in the old way."""

    def behave(connection: socket.socket) -> None:
        if question_of(connection) == b"\x0e" + bytes(8):
            connection.sendall(struct.pack("<Q", 3) + bytes([3, 6, 1]))

    with server(behave) as port:
        assert hello("127.0.0.1", port, 30) == Protocol(3, 6, 1)


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (GOOD[:8],),
        (GOOD[:-1],),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (struct.pack("<Q", 2**63) + b"x" * 64,),
        (struct.pack("<Q", 2) + b"\x07\x01",),
    ],
    ids=["nothing", "no answer", "cut off", "another protocol", "endless", "too short"],
)
def test_a_wrong_answer(parts: tuple[bytes, ...]) -> None:
    """Whatever is not an rpc server's answer is told as that, at once."""
    with (
        server(answer(*parts)) as port,
        pytest.raises(EngineError, match=f"127.0.0.1:{port} did not answer like llama.cpp's"),
    ):
        hello("127.0.0.1", port, 30)


def test_a_reset() -> None:
    """A connection that is reset is no crash of hgx."""

    def behave(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with server(behave) as port, pytest.raises(EngineError, match=r"did not answer like|reset"):
        hello("127.0.0.1", port, 30)


@pytest.mark.parametrize("parts", [(), (GOOD[:8],), tuple(bytes([b]) for b in GOOD)])
def test_a_slow_answer(parts: tuple[bytes, ...]) -> None:
    """The time is for all of it: neither silence nor a trickle makes it longer."""
    done = threading.Event()

    def behave(connection: socket.socket) -> None:
        question_of(connection)
        for part in parts:
            connection.sendall(part)
            if done.wait(0.1):
                return
        done.wait(30)

    with server(behave, connections=1) as port:
        try:
            with pytest.raises(EngineError, match=r"did not answer within 0\.4 s: it hangs, or"):
                hello("127.0.0.1", port, 0.4)
        finally:
            done.set()


def test_no_time_at_all() -> None:
    """With no time left nobody is asked."""
    with pytest.raises(EngineError, match="did not answer within 0 s"):
        hello("127.0.0.1", 1, 0)


def test_nobody_there() -> None:
    """A port where nobody listens is said to be unreachable."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(EngineError, match=f"127.0.0.1:{port} cannot be reached: .*refused"):
            hello("127.0.0.1", port, 30)


@pytest.mark.parametrize(
    ("client", "server_", "fit"),
    [
        ((7, 0, 0), (7, 0, 0), True),
        ((7, 1, 0), (7, 0, 5), True),
        ((7, 0, 0), (7, 1, 0), False),
        ((7, 0, 0), (6, 0, 0), False),
        ((6, 9, 0), (7, 0, 0), False),
        ((7, 0, 0), (7, 0, 9), True),
    ],
)
def test_which_fit(
    client: tuple[int, int, int], server_: tuple[int, int, int], *, fit: bool
) -> None:
    """The major version must be the same, and the client's minor no older."""
    assert fits(Protocol(*client), Protocol(*server_)) is fit
