"""The node's agent, as a peer and as a stranger see it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

import psutil
import pytest

from hgx._version import __version__
from hgx.errors import HgxError, PeerError
from hgx.net import peer, windows
from hgx.net.identity import client_context, own_identity
from hgx.net.peer import PeerClient
from hgx.node import agent, app, door
from hgx.node.agent import Running, serve_node
from hgx.node.listening import listen
from hgx.store.home import Home
from tests.net.node import described

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, MutableMapping
    from pathlib import Path

    from pydantic import JsonValue

    from hgx.net.identity import Identity


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """Who the nodes of these tests are."""
    return own_identity(Home(tmp_path_factory.mktemp("agent")))


@contextmanager
def node(
    identity: Identity, describe: Callable[[str], dict[str, JsonValue]] = described
) -> Generator[Running]:
    """Run a node on loopback, in a thread."""
    told: list[Running] = []
    is_ready, stop = threading.Event(), threading.Event()

    def ready(running: Running) -> None:
        told.append(running)
        is_ready.set()

    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(
            target=serve_node,
            args=(identity, "tower", describe, listening),
            kwargs={"ready": ready, "stop": stop},
        )
        thread.start()
        try:
            assert is_ready.wait(30)
            yield told[0]
        finally:
            stop.set()
            thread.join(30)


def raw(port: int, request: bytes) -> bytes:
    """Send bytes over TLS and return all that comes back."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        client_context().wrap_socket(plain) as connection,
    ):
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def get(port: int, path: str, method: str = "GET", *headers: str) -> tuple[int, bytes]:
    """Ask for a path; return status and body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: evil.example", "Connection: close", *headers]
    head, _, body = raw(port, ("\r\n".join(lines) + "\r\n\r\n").encode()).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_what_the_node_has(identity: Identity) -> None:
    """A peer gets what the node has, under its name, and sees its certificate."""
    with node(identity) as running:
        said = PeerClient("127.0.0.1", running.port).node()
        status, body = get(running.port, "/v1/node")
    assert (said.fingerprint, said.hgx) == (identity.fingerprint, __version__)
    assert (said.node.id, said.devices[0].id) == ("tower", "tower/cpu:0")
    assert (status, set(json.loads(body))) == (200, {"api", "hgx", "node", "devices"})
    why = "127.0.0.1 is not for other machines"
    assert running == ("tower", ("127.0.0.1",), running.port, why, None)


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/", "GET", 404),
        ("/v1/node/", "GET", 404),
        ("/docs", "GET", 404),
        ("/openapi.json", "GET", 404),
        ("/v1/node", "POST", 405),
        ("/v1/link/up", "GET", 405),
        ("/v1/link/down", "POST", 405),
        ("/v1/link/down", "GET", 400),
        ("/v1/link/down?bytes=-1", "GET", 400),
        ("/v1/link/down?bytes=1e3", "GET", 400),
        ("/v1/link/down?bytes=9999999999999", "GET", 400),
        ("/v1/link/down?bytes=%D9%A3", "GET", 400),
    ],
)
def test_nothing_else(identity: Identity, path: str, method: str, expected: int) -> None:
    """There are three paths, each with one method, and nothing else."""
    with node(identity) as running:
        status, body = get(running.port, path, method, "Content-Length: 0")
    assert status in {expected, 307 if path.endswith("/") else expected}
    assert b"evil.example" not in body


def test_long_headers(identity: Identity) -> None:
    """Headers without end are refused."""
    with node(identity) as running:
        status, _ = get(running.port, "/v1/node", "GET", "X: " + "x" * 70_000)
    assert status == 400


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 400)])
def test_long_headers_that_come_at_once(more: int, status: int) -> None:
    """Headers are bounded also where the server got all of them in one piece."""
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: MutableMapping[str, object]) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/node",
        "headers": [(b"x", b"x" * (app.MOST_HEADER_BYTES - 1 + more))],
    }
    asyncio.run(app.create_app(lambda: described("tower"))(scope, receive, send))
    assert sent[0]["status"] == status


def test_tls_only(identity: Identity) -> None:
    """Without TLS, or with an older one, there is no answer at all."""
    old = client_context()
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with node(identity) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=30) as plain:
            plain.sendall(b"GET /v1/node HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP" not in plain.recv(100)
        with (
            socket.create_connection(("127.0.0.1", running.port), timeout=30) as plain,
            pytest.raises(ssl.SSLError),
        ):
            old.wrap_socket(plain)


def test_idle_connections_are_closed(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that asks nothing is closed; one that asked is left alone."""
    monkeypatch.setattr(agent, "_FIRST_REQUEST_S", 0.2)
    with node(identity) as running:
        assert raw(running.port, b"") == b""
        assert raw(running.port, b"GET /v1/no") == b""
        with KeptConnection(running.port) as stream:
            assert stream.ask().startswith(b"HTTP/1.1 200")
            assert stream.ask().startswith(b"HTTP/1.1 200")


@contextmanager
def silent(port: int, count: int, source: str = "127.0.0.1") -> Generator[list[socket.socket]]:
    """Open connections from an address that never begin TLS."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", port), 30, source_address=(source, 0))
            )
            for _ in range(count)
        ]


def is_closed(connection: socket.socket, *, wait_s: float = 0.0) -> bool:
    """Tell whether the other side has closed a connection on which it says nothing."""
    connection.settimeout(wait_s)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except (BlockingIOError, TimeoutError):
        return False


def test_very_many_silent_connections(identity: Identity) -> None:
    """Of hundreds that never begin TLS few stay, and a real peer is answered all the same."""
    with node(identity) as running, silent(running.port, 300) as opened:
        assert PeerClient("127.0.0.1", running.port).node().node.id == "tower"
        left = [one for one in opened if not is_closed(one)]
        assert len(left) <= door.MOST_OF_ONE_ADDRESS
        assert PeerClient("127.0.0.1", running.port).node().node.id == "tower"


def test_silent_connections_of_many_addresses(identity: Identity) -> None:
    """However many addresses take part, few connections stay, and a real peer is answered."""
    with node(identity) as running, ExitStack() as stack:
        opened = [
            one
            for number in range(2, 12)
            for one in stack.enter_context(silent(running.port, 20, f"127.0.0.{number}"))
        ]
        assert PeerClient("127.0.0.1", running.port).node().node.id == "tower"
        left = [one for one in opened if not is_closed(one)]
        assert len(left) <= door.MOST_CONNECTIONS


def test_silent_connections_are_closed(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that does not begin TLS in time is closed."""
    monkeypatch.setattr(door, "_HANDSHAKE_S", 0.2)
    with node(identity) as running, silent(running.port, 3) as opened:
        assert [is_closed(one, wait_s=30) for one in opened] == [True] * 3


def test_connections_end_at_last(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that goes on for longer than any question is closed."""
    monkeypatch.setattr(door, "_LONGEST_S", 0.2)
    with node(identity) as running, held(running.port, 1, "127.0.0.1") as streams:
        assert is_closed(streams[0], wait_s=30)


def test_no_place_is_left(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all places are taken by who finished the handshake, one more is turned away."""
    monkeypatch.setattr(door, "MOST_OF_ONE_ADDRESS", 2)
    with (
        node(identity) as running,
        KeptConnection(running.port) as first,
        KeptConnection(running.port) as second,
    ):
        for stream in (first, second):
            assert stream.ask().startswith(b"HTTP/1.1 200")
        with silent(running.port, 1) as opened:
            assert is_closed(opened[0], wait_s=30)
        for stream in (first, second):
            assert stream.ask().startswith(b"HTTP/1.1 200")
        with KeptConnection(running.port, "127.0.0.2") as other:
            assert other.ask().startswith(b"HTTP/1.1 200")


def test_a_port_that_takes_none_for_a_while(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors of the system on taking a connection, as without files left, end nothing."""
    monkeypatch.setattr(door, "_RETRY_S", 0.01)
    errors = [ConnectionAbortedError(), OSError(errno.EMFILE, "Too many open files")]
    take = asyncio.SelectorEventLoop.sock_accept

    async def failing(loop: asyncio.SelectorEventLoop, opened: socket.socket) -> object:
        if errors:
            raise errors.pop()
        return await take(loop, opened)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_accept", failing)
    with node(identity) as running:
        assert PeerClient("127.0.0.1", running.port).node().node.id == "tower"
    assert errors == []


def test_links_are_tested_by_many_handshakes(identity: Identity) -> None:
    """As many handshakes in a row as a test of a link makes, and its streams, come through."""
    with node(identity) as running:
        client = PeerClient("127.0.0.1", running.port)
        for _ in range(5):
            assert len(client.tcp_handshakes(51)) == 51
            with held(running.port, app.MOST_STREAMS - 1, "127.0.0.1"):
                assert client.upload(1000)


class KeptConnection:
    """A connection that is kept between requests."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        plain = socket.create_connection(("127.0.0.1", port), 30, source_address=(source, 0))
        self._socket = client_context().wrap_socket(plain)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self) -> bytes:
        """Ask for the node and return the answer."""
        self._socket.sendall(b"GET /v1/node HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while b"devices" not in answer:
            answer += self._socket.recv(65536)
        return answer


def test_description_that_fails_at_the_start(identity: Identity) -> None:
    """A node that cannot describe itself does not start."""

    def fail(_: str) -> dict[str, JsonValue]:
        raise HgxError("no devices: plug one in")

    with listen("127.0.0.1", 0) as listening, pytest.raises(HgxError, match="no devices"):
        serve_node(identity, "tower", fail, listening)


def test_description_that_fails_later(identity: Identity) -> None:
    """Why a node cannot describe itself is not for strangers."""
    calls: list[str] = []

    def fail_later(name: str) -> dict[str, JsonValue]:
        calls.append(name)
        if len(calls) > 1:
            raise HgxError("could not read /home/me/secret")
        return described(name)

    with node(identity, fail_later) as running:
        status, body = get(running.port, "/v1/node")
    assert status == 503
    assert b"secret" not in body
    assert calls == ["tower", "tower"]


def test_transfers(identity: Identity) -> None:
    """Both directions give rates, one after the other."""
    with node(identity) as running:
        client = PeerClient("127.0.0.1", running.port)
        for transfer in (client.download, client.upload, client.download):
            rates = transfer(8 * 1024**2 + 1)
            assert rates
            assert min(rates) > 0


def test_download_has_the_size_asked_for(identity: Identity) -> None:
    """As many bytes come as were asked for, none where none were."""
    with node(identity) as running:
        _, body = get(running.port, "/v1/link/down?bytes=5")
        _, nothing = get(running.port, "/v1/link/down?bytes=0")
    assert body.split(b"\r\n")[0] == b"5"
    assert nothing == b"0\r\n\r\n"


def test_download_ends_in_time(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download ends after its time, however much was asked for."""
    monkeypatch.setattr(app, "MOST_S", -1.0)
    with node(identity) as running:
        assert PeerClient("127.0.0.1", running.port).download(10**9) == []


def test_upload_beyond_the_limit(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the limit is not read: the answer comes before the end."""
    monkeypatch.setattr(app, "MOST_BYTES", 1000)
    with node(identity) as running:
        assert PeerClient("127.0.0.1", running.port).upload(2000) == []


def test_upload_stops_sending_in_time(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client stops sending when its time is over, and gets the rates of what it sent."""
    monkeypatch.setattr(peer, "_SENDING_S", -1.0)
    with node(identity) as running:
        assert PeerClient("127.0.0.1", running.port).upload(1000) == []


def test_upload_too_late_to_count(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives after the time of the test is taken and not counted."""
    monkeypatch.setattr(app, "MOST_S", -1.0)
    with node(identity) as running:
        assert PeerClient("127.0.0.1", running.port).upload(1000) == []


@contextmanager
def held(port: int, streams: int, source: str) -> Generator[list[socket.socket]]:
    """Hold so many streams of the link from an address, without sending anything."""
    opened: list[socket.socket] = []
    with ExitStack() as stack:
        for _ in range(streams):
            plain = stack.enter_context(
                socket.create_connection(("127.0.0.1", port), 30, source_address=(source, 0))
            )
            stream = stack.enter_context(client_context().wrap_socket(plain))
            stream.sendall(
                b"POST /v1/link/up HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
                b"Expect: 100-continue\r\n\r\n"
            )
            assert b"100" in stream.recv(100)
            opened.append(stream)
        yield opened


@pytest.mark.parametrize("path", ["/v1/link/down?bytes=1", "/v1/link/up"])
@pytest.mark.parametrize(("streams", "source"), [(1, "127.0.0.2"), (app.MOST_STREAMS, "127.0.0.1")])
def test_one_test_at_a_time(identity: Identity, path: str, streams: int, source: str) -> None:
    """Another peer's test, and too many streams, are told to come later; the end frees the link."""
    with node(identity) as running:
        with held(running.port, streams, source):
            method = "GET" if "down" in path else "POST"
            head = raw(
                running.port,
                f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                "Connection: close\r\n\r\n".encode(),
            )
            assert head.startswith(b"HTTP/1.1 429")
            assert b"retry-after: 10" in head
        client = PeerClient("127.0.0.1", running.port)
        for _ in range(100):  # the server sees the end of the first a moment later
            try:
                assert client.upload(1000)
                break
            except PeerError as error:
                assert error.fault == "busy"


def test_several_streams_of_one_test(identity: Identity) -> None:
    """One peer may use several streams at the same time."""
    with node(identity) as running, held(running.port, app.MOST_STREAMS - 1, "127.0.0.1"):
        assert PeerClient("127.0.0.1", running.port).upload(1000)


def test_who_takes_no_data_loses_the_link(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that does not go on is given up, so that others can have the link."""
    monkeypatch.setattr(app, "_HELD_S", 0.3)
    with node(identity) as running:
        request = b"POST /v1/link/up HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        raw(running.port, request)
        assert PeerClient("127.0.0.1", running.port).upload(1000)


def test_limits_are_those_of_the_protocol() -> None:
    """Both sides of a test of the link know the same limits."""
    assert (app.MOST_BYTES, app.MOST_S) == (windows.MOST_BYTES, windows.MOST_S)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "x" * 64])
def test_bad_name(identity: Identity, name: str) -> None:
    """What is no name is the caller's mistake."""
    with listen("127.0.0.1", 0) as listening, pytest.raises(ValueError, match="no name for a node"):
        serve_node(identity, name, described, listening)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_signals(tmp_path: Path, number: int, status: int) -> None:
    """A signal ends the node as its status says, and no process of it is left."""
    command = [sys.executable, "-m", "tests.net.node", "tower", "--host", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HGX_HOME": str(tmp_path)},
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["name"] == "tower"
            children = psutil.Process(process.pid).children()
            process.send_signal(number)
            _, messages = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, messages, children) == (status, "", [])
