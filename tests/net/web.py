"""Web servers on loopback that give one file, each in a thread; well, or as they should not."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.gguf.ggufs import build

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from tests.gguf.ggufs import Tensor, Value

    Answer = Callable[["Handler"], None]

PIECE: Final = 1 << 16


class Body(NamedTuple):
    """A file that takes little memory, whatever its size: zeros after its beginning."""

    head: bytes
    size: int

    def part(self, first: int, count: int) -> bytes:
        """Return so many bytes from an offset; fewer where it ends."""
        count = max(0, min(count, self.size - first))
        return self.head[first : first + count].ljust(count, b"\0")


class Asked(NamedTuple):
    """A request that came."""

    path: str
    headers: dict[str, str]


class Site:
    """A server that runs.

    Attributes:
        asked: What was asked of it, in order.
        sent: Bytes of bodies that it sent.
        ended: Set when it ends, for those who wait.
    """

    def __init__(self, port: int) -> None:
        self.port: Final = port
        self.url: Final = f"http://127.0.0.1:{port}/model.gguf"
        self.asked: list[Asked] = []
        self.sent = 0
        self.ended = threading.Event()

    @property
    def ranges(self) -> list[str]:
        """The ranges that were asked for."""
        return [one.headers.get("range", "") for one in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    site: Site
    answer: Answer

    def do_GET(self) -> None:
        """Note what is asked and answer it."""
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.site.asked.append(Asked(self.path, headers))
        type(self).answer(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
        """Say nothing."""

    def span(self, size: int) -> tuple[int, int]:
        """Return the offsets of the first and the last byte that are asked for."""
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["range"])
        assert match
        return int(match[1]), min(int(match[2]), size - 1)

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status and headers."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        self.wfile.write(data)
        self.site.sent += len(data)

    def drip(self, data: bytes = b"x") -> None:
        """Send a piece now and then, until the server ends or nobody listens."""
        while not self.site.ended.wait(0.02):
            self.send(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Take no notice of whoever has enough and leaves."""


@contextmanager
def web(answer: Answer) -> Generator[Site]:
    """Answer every request in the same way, for the length of a ``with`` block."""
    with _Server(("127.0.0.1", 0), Handler) as server:
        site = Site(server.server_address[1])
        server.RequestHandlerClass = type("H", (Handler,), {"site": site, "answer": answer})
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield site
        finally:
            site.ended.set()
            server.shutdown()
            thread.join(timeout=30)


def body_of(metadata: Mapping[str, Value], tensors: list[Tensor]) -> Body:
    """Return a GGUF file as a body."""
    head, data = build(metadata, tensors)
    return Body(head, len(head) + data)


def ranged(body: Body, **changes: str) -> Answer:
    """Give ranges, as a good server does; changes replace headers, an empty one leaves it out."""

    def answer(handler: Handler) -> None:
        first, last = handler.span(body.size)
        if first >= body.size:
            handler.start(416, {"Content-Range": f"bytes */{body.size}", "Content-Length": "0"})
            return
        headers = {
            "Content-Range": f"bytes {first}-{last}/{body.size}",
            "Content-Length": f"{last - first + 1}",
            "ETag": '"1"',
        }
        headers |= {key.replace("_", "-"): value for key, value in changes.items()}
        handler.start(206, {key: value for key, value in headers.items() if value})
        handler.send(body.part(first, last - first + 1))

    return answer


def whole(body: Body, **changes: str) -> Answer:
    """Know nothing of ranges and give all, as a simple server does; changes as in ``ranged``."""

    def answer(handler: Handler) -> None:
        headers = {"Content-Length": f"{body.size}"}
        headers |= {key.replace("_", "-"): value for key, value in changes.items()}
        handler.start(200, {key: value for key, value in headers.items() if value})
        handler.close_connection = True
        for first in range(0, body.size, PIECE):
            handler.send(body.part(first, PIECE))

    return answer


def plain(status: int, **headers: str) -> Answer:
    """Answer with a status and no body."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler: handler.start(status, {"Content-Length": "0", **named})


def in_turn(*answers: Answer) -> Answer:
    """Answer the first request in the first way, and so on; the last way stays."""
    left = list(answers)

    def answer(handler: Handler) -> None:
        (left.pop(0) if left[1:] else left[0])(handler)

    return answer


def by_path(answers: Mapping[str, Answer]) -> Answer:
    """Answer by what is asked for; what is not listed does not exist."""

    def answer(handler: Handler) -> None:
        answers.get(handler.path, plain(404))(handler)

    return answer
