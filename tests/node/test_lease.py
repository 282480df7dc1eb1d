"""What a node lends, to whom, and how each lease ends; with an echo server for llama.cpp's."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.errors import EngineError, PeerError
from hgx.net import lease_client
from hgx.net.lease_client import Lease, Worker
from hgx.net.lease_lines import (
    PREFACE,
    WORKER_SILENCE_S,
    Beat,
    LeaseWish,
    TunnelWish,
    receive,
    send,
)
from hgx.net.peer import PeerClient
from hgx.net.pinned import mutual_client_context
from hgx.net.tls_stream import TlsStream
from hgx.net.wire import Target
from hgx.node import door, held
from hgx.node import lease as lease_module
from hgx.node.held import RefusedWish
from hgx.store.home import Home
from hgx.store.trust import TrustedPeer, add_trusted, remove_trusted, trust_file
from tests.net.certificates import made, node_at, pem_of
from tests.net.coordinator import a_wish
from tests.net.tls import is_over
from tests.node.worker import EchoLender, working

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from hgx.net.identity import Identity
    from hgx.node.held import Lent
    from tests.node.worker import Node


def trust(home: Home, identity: Identity, name: str = "laptop") -> None:
    """Pair a coordinator with a worker, as far as the worker is concerned."""
    peer = TrustedPeer(fingerprint=identity.fingerprint, name=name, certificate=pem_of(identity))
    add_trusted(home, peer)


@pytest.fixture(scope="session")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """A coordinator that is paired with all workers here."""
    return node_at(tmp_path_factory.mktemp("laptop"))


@pytest.fixture
def lender() -> EchoLender:
    """What the worker lends."""
    return EchoLender()


@pytest.fixture
def tower(tmp_path: Path, laptop: Identity, lender: EchoLender) -> Generator[Node]:
    """A worker."""
    with working(tmp_path / "tower", lender) as node:
        trust(node.home, laptop)
        yield node
    assert soon(lambda: not any(server.alive() for server in lender.servers))


def soon(condition: Callable[[], bool], within_s: float = 30) -> bool:
    """Wait until something holds."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def at(node: Node) -> Worker:
    """Return how a coordinator knows a worker."""
    return Worker("tower", node.target, node.identity.fingerprint)


def connected(lease: Lease) -> socket.socket:
    """Connect to what a lease offers, through a tunnel that works."""
    host, port = lease.endpoint.split(":")
    connection = socket.create_connection((host, int(port)), 30)
    connection.sendall(b"hello")
    assert connection.recv(5) == b"hello"
    return connection


def opened(node: Node, identity: Identity) -> TlsStream:
    """Connect to a worker as far as it takes to say a wish."""
    raw = socket.create_connection(node.target, 30)
    raw.sendall(PREFACE)
    stream = TlsStream(raw, mutual_client_context(identity), server_side=False)
    stream.handshake(30)
    return stream


def answer(stream: TlsStream) -> bytes:
    """Receive a line."""
    return receive(stream, time.monotonic() + 30)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_lease_from_beginning_to_end(tower: Node, laptop: Identity, lender: EchoLender) -> None:
    """A trusted coordinator gets a port to the rpc server, news of it, and leaves nothing."""
    with Lease(laptop, at(tower), a_wish()) as lease:
        granted = lease.granted
        assert (granted.protocol, granted.build) == ((7, 0, 1), 11434)
        assert [device.device for device in granted.devices] == ["cpu:0"]
        for _ in range(3):  # one after the other
            with connected(lease):
                assert soon(lambda: (lease.beat or Beat(beat=0)).sent_bytes >= 5)
        assert soon(lambda: (lease.beat or Beat(beat=0)).received_bytes == 15)
        beat = lease.beat
        assert beat is not None
        assert (beat.stopped, beat.owes_s) == (False, None)
        assert (beat.cpu_s or 0) > 0
        assert lease.traffic.to_tls.moved_bytes == lease.traffic.to_plain.moved_bytes == 15
        lease.check()
    assert lease.lost is None
    assert soon(lambda: not lender.servers[0].alive())
    with pytest.raises(ConnectionRefusedError):
        connected(lease)


def test_an_rpc_server_that_hangs(tower: Node, laptop: Identity, lender: EchoLender) -> None:
    """The beats say that it is suspended, and for how long it owes an answer."""
    with Lease(laptop, at(tower), a_wish()) as lease, connected(lease) as connection:
        psutil.Process(lender.servers[0].pid).suspend()
        connection.sendall(b"question")
        assert soon(lambda: bool(lease.beat and lease.beat.stopped and lease.beat.owes_s))
        assert lease.lost is None


def test_a_stranger(tower: Node, tmp_path: Path, lender: EchoLender) -> None:
    """Who is not trusted is told so, and nothing is started."""
    stranger = node_at(tmp_path / "stranger")
    with pytest.raises(PeerError, match="tower does not trust this machine: pair") as caught:
        Lease(stranger, at(tower), a_wish()).__enter__()
    assert caught.value.fault == "trust"
    assert lender.servers == []


def test_a_certificate_signed_by_a_trusted_one(
    tower: Node, tmp_path: Path, laptop: Identity, lender: EchoLender
) -> None:
    """Only the very certificate that was pinned counts, no other that it vouches for."""
    forged = made(tmp_path / "forged.pem", issuer=laptop)
    with pytest.raises(PeerError) as caught:
        Lease(forged, at(tower), a_wish()).__enter__()
    assert caught.value.fault in {"trust", "closed"}
    assert lender.servers == []


def test_an_impostor(tower: Node, laptop: Identity) -> None:
    """A worker with another certificate than the pinned one is told nothing."""
    elsewhere = at(tower)._replace(fingerprint="0" * 64)
    with pytest.raises(PeerError, match="another certificate than tower was paired by") as caught:
        Lease(laptop, elsewhere, a_wish()).__enter__()
    assert caught.value.fault == "unknown"


def test_a_device_has_one_holder(
    tower: Node, laptop: Identity, tmp_path: Path, lender: EchoLender
) -> None:
    """A second coordinator is told who has a device since when; later it is free."""
    desktop = node_at(tmp_path / "desktop")
    trust(tower.home, desktop, "desktop")
    with Lease(laptop, at(tower), a_wish(devices=("cpu:0", "cuda:1"))):
        year = time.strftime("%Y", time.gmtime())
        said = rf"tower has lent cpu:0, cuda:1 to laptop since {year}-[0-9-]+ [0-9:]+ UTC: end that"
        with pytest.raises(PeerError, match=said) as caught:
            Lease(desktop, at(tower), a_wish("desktop", ("cuda:1", "cpu:0"))).__enter__()
        assert caught.value.fault == "busy"
        with Lease(desktop, at(tower), a_wish("desktop", ("cuda:0",))) as other:
            assert len(lender.servers) == 2
            connected(other).close()

    def is_free() -> bool:
        try:
            with Lease(desktop, at(tower), a_wish("desktop")):
                return True
        except PeerError:
            return False

    assert soon(is_free)


@pytest.mark.parametrize(
    ("protocol", "fits"),
    [((7, 0, 0), True), ((7, 1, 0), True), ((6, 9, 0), False), ((8, 0, 0), False)],
)
def test_versions(
    tower: Node,
    laptop: Identity,
    lender: EchoLender,
    protocol: tuple[int, int, int],
    fits: bool,
) -> None:
    """A coordinator whose llama.cpp does not fit is refused with both versions."""
    wish = a_wish(protocol=protocol)
    if fits:
        with Lease(laptop, at(tower), wish):
            return
    ours = ".".join(map(str, protocol))
    with pytest.raises(
        PeerError, match=rf"tower .* RPC protocol 7\.0\.1, .* speaks {ours}"
    ) as caught:
        Lease(laptop, at(tower), wish).__enter__()
    assert caught.value.fault == "version"
    assert soon(lambda: not lender.servers[0].alive())


@pytest.mark.parametrize(
    ("error", "fault", "words"),
    [
        (EngineError("the rpc server did not start"), "engine", "tower cannot lend this: the rpc"),
        (RefusedWish("has no cuda:7", "devices"), "devices", "tower has no cuda:7: run `hgx disc"),
        (EngineError("é\n" * 3000), "engine", "tower cannot lend this"),
    ],
)
def test_what_cannot_be_lent(
    tmp_path: Path, laptop: Identity, error: Exception, fault: str, words: str
) -> None:
    """The reason why nothing is lent reaches the coordinator on one line; the device is free."""

    def lend(_: LeaseWish) -> Lent:
        raise error

    with working(tmp_path / "tower", lend) as tower:
        trust(tower.home, laptop)
        for _ in range(2):
            with pytest.raises(PeerError, match=words) as caught:
                Lease(laptop, at(tower), a_wish()).__enter__()
            assert caught.value.fault == fault
            assert caught.value.message.isprintable()


def test_revoked(tower: Node, laptop: Identity, lender: EchoLender) -> None:
    """Who is not trusted any more loses the live tunnel at once, and the rpc server ends."""
    lost: list[PeerError] = []
    with Lease(laptop, at(tower), a_wish(), lost.append) as lease, connected(lease) as connection:
        remove_trusted(tower.home, "laptop")
        assert is_over(connection, 10)
        assert soon(lambda: bool(lost))
        assert (
            "tower has ended the lease, it does not trust this machine any more" in lost[0].message
        )
        with pytest.raises(PeerError, match="trust"):
            lease.check()
    assert soon(lambda: not lender.servers[0].alive())
    with pytest.raises(PeerError, match="does not trust this machine"):
        Lease(laptop, at(tower), a_wish()).__enter__()


def test_damaged_trust(tower: Node, laptop: Identity) -> None:
    """Where it cannot be known who is trusted, nobody is."""
    with Lease(laptop, at(tower), a_wish()) as lease:
        trust_file(tower.home).write_text("{")
        assert soon(lambda: lease.lost is not None)
    with pytest.raises(PeerError, match="does not trust this machine"):
        Lease(laptop, at(tower), a_wish()).__enter__()


def test_a_dead_rpc_server(tower: Node, laptop: Identity, lender: EchoLender) -> None:
    """The coordinator is told within seconds whose rpc server ended, and how."""
    with Lease(laptop, at(tower), a_wish()) as lease, connected(lease) as connection:
        psutil.Process(lender.servers[0].pid).kill()
        assert soon(lambda: lease.lost is not None, 10)
        assert is_over(connection)
        assert "tower has ended the lease, its rpc server ended: it was killed (SIGKILL)" in str(
            lease.lost
        )


@contextmanager
def program(module: str, *arguments: str) -> Generator[tuple[subprocess.Popen[str], list[str]]]:
    """Run a program of the tests; gives what it prints, line by line."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        lines: list[str] = []

        def gather() -> None:
            assert process.stdout is not None
            lines.extend(line.strip() for line in process.stdout)

        thread = threading.Thread(target=gather)
        thread.start()
        try:
            yield process, lines
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            thread.join(30)


def test_a_killed_coordinator(
    tower: Node, tmp_path: Path, laptop: Identity, lender: EchoLender
) -> None:
    """When a coordinator is killed the rpc server ends, and the device is free."""
    desktop = node_at(tmp_path / "desktop")
    trust(tower.home, desktop, "desktop")
    arguments = (str(tmp_path / "desktop"), str(tower.target.port), tower.identity.fingerprint)
    with program("tests.net.coordinator", *arguments) as (process, lines):
        assert soon(lambda: len(lines) == 1)
        process.kill()
        assert soon(lambda: not lender.servers[0].alive())

    def is_free() -> bool:
        try:
            with Lease(laptop, at(tower), a_wish()):
                return True
        except PeerError:
            return False

    assert soon(is_free)


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_stops(tmp_path: Path, laptop: Identity, how: signal.Signals) -> None:
    """A worker that freezes, dies or ends is noticed by name, and its tunnel is closed."""
    path = tmp_path / "tower"
    trust(Home(path), laptop)
    identity = node_at(path)
    with program("tests.node.worker", str(path)) as (process, lines):
        assert soon(lambda: len(lines) == 1)
        worker = Worker("tower", Target("127.0.0.1", int(lines[0])), identity.fingerprint)
        with Lease(laptop, worker, a_wish()) as lease, connected(lease) as connection:
            assert soon(lambda: len(lines) == 2)
            process.send_signal(how)
            assert soon(lambda: lease.lost is not None, WORKER_SILENCE_S + 20)
            assert is_over(connection)
            lost = lease.lost
        assert lost is not None
        assert (lost.fault, lost.message.split()[0]) == ("lost", "tower")
        assert ("has not been heard of for 4 s" in lost.message) == (how == signal.SIGSTOP)
        if how != signal.SIGSTOP:
            assert soon(lambda: is_gone(int(lines[1])))


def test_a_silent_coordinator(
    tower: Node, laptop: Identity, lender: EchoLender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that sends no beats any more loses its lease."""
    monkeypatch.setattr(held, "COORDINATOR_SILENCE_S", 0.5)
    with opened(tower, laptop) as stream:
        send(stream, a_wish())
        while b"lease" not in answer(stream):
            pass
        assert soon(lambda: not lender.servers[0].alive())


def test_while_the_rpc_server_starts(
    tmp_path: Path, laptop: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start may take longer than silence may; one that nobody waits for any more is undone."""
    monkeypatch.setattr(lease_client, "WORKER_SILENCE_S", 1.8)
    echo, go_on = EchoLender(), threading.Event()

    def lend(wish: LeaseWish) -> Lent:
        go_on.wait(30)
        return echo(wish)

    with working(tmp_path / "tower", lend) as tower:
        trust(tower.home, laptop)
        with opened(tower, laptop) as stream:
            send(stream, a_wish("desktop"))
            assert b'"beat":1' in answer(stream)
        with pytest.raises(PeerError, match="lent cpu:0 to desktop"):
            Lease(laptop, at(tower), a_wish()).__enter__()
        go_on.set()
        assert soon(lambda: bool(echo.servers) and not echo.servers[0].alive())
        go_on.clear()
        timer = threading.Timer(2.5, go_on.set)
        timer.start()
        with Lease(laptop, at(tower), a_wish()) as lease:
            connected(lease).close()
        timer.join()


def test_a_node_that_ends(tmp_path: Path, laptop: Identity, lender: EchoLender) -> None:
    """With the node its leases end, and their rpc servers with them."""
    with ExitStack() as stack:
        with working(tmp_path / "tower", lender) as tower:
            trust(tower.home, laptop)
            lease = stack.enter_context(Lease(laptop, at(tower), a_wish()))
        assert not lender.servers[0].alive()
        assert soon(lambda: lease.lost is not None)


def test_tunnels(
    tower: Node, laptop: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who holds a lease gets tunnels to it, one at a time."""
    monkeypatch.setattr(held, "_TURN_S", 0.2)
    desktop = node_at(tmp_path / "desktop")
    trust(tower.home, desktop, "desktop")
    with Lease(laptop, at(tower), a_wish()) as lease:
        wish = TunnelWish(lease=lease.granted.lease)
        for identity, wanted in ((desktop, wish), (laptop, TunnelWish(lease="0" * 32))):
            with opened(tower, identity) as stream:
                send(stream, wanted)
                assert b"knows no such lease" in answer(stream)
                assert answer(stream) == b""
        with opened(tower, laptop) as stream, opened(tower, laptop) as another:
            send(stream, wish)
            assert answer(stream) == b'{"ok":true}\n'
            send(another, wish)
            assert b"has a tunnel for this lease already" in answer(another)
            stream.send(b"to and fro")
            assert stream.receive_into(memoryview(bytearray(100))) == 10


def test_no_such_question(tower: Node, laptop: Identity, lender: EchoLender) -> None:
    """What no coordinator asks is refused, on one line."""
    for said in (
        b"{}\n",
        b"\n",
        b"GET / HTTP/1.1\r\n",
        b'{"want":"lease"}\n',
        b'{"want":"tunnel","lease":"../../etc"}\n',
        b'{"want":"lease","coordinator":"a\\nb","protocol":[7,0,1],"devices":["cpu:0"]}\n',
        b'{"want":"lease","coordinator":"a","protocol":[7,0],"devices":["cpu:0"]}\n',
        b'{"want":"lease","coordinator":"a","protocol":[7,0,1],"devices":[]}\n',
        b"[" * 5000 + b"\n",
    ):
        with opened(tower, laptop) as stream:
            stream.send(said)
            line = answer(stream)
            assert b'"fault":"request"' in line
            assert answer(stream) == b""
    assert lender.servers == []


def test_lines_without_end(tower: Node, laptop: Identity) -> None:
    """A line that is too long is not waited for."""
    with opened(tower, laptop) as stream:
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                stream.send(b"x" * 10_000)
                time.sleep(0.001)
        assert is_answering(tower)


def is_answering(node: Node) -> bool:
    """Tell whether a node still says what it has."""
    return PeerClient(*node.target).node().node.id == "tower"


@pytest.mark.parametrize(
    "said",
    [
        PREFACE,
        PREFACE[:2],
        PREFACE[:1] + b"TTP/1.1 GET / ",
        PREFACE + b"GET / HTTP/1.1\r\n\r\n",
        PREFACE + b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 600,
        b"",
    ],
)
def test_who_says_nothing_useful(
    tower: Node, lender: EchoLender, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Garbage and silence end the connection; the node goes on."""
    monkeypatch.setattr(lease_module, "HANDSHAKE_S", 0.3)
    monkeypatch.setattr(door, "_HANDSHAKE_S", 0.3)
    with socket.create_connection(tower.target, 30) as connection:
        connection.sendall(said)
        while not is_over(connection):
            pass
    assert is_answering(tower)
    assert lender.servers == []


def test_a_slow_one(tower: Node, laptop: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wish that comes a byte now and then is not waited for."""
    monkeypatch.setattr(lease_module, "HANDSHAKE_S", 0.5)
    with opened(tower, laptop) as stream, pytest.raises(ConnectionError):
        for byte in a_wish().model_dump_json().encode() * 100:
            stream.send(bytes([byte]))
            time.sleep(0.02)


def test_the_silent_make_place(
    tower: Node, laptop: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that say the preface and nothing else do not keep others out; leases stay."""
    monkeypatch.setattr(door, "MOST_OF_ONE_ADDRESS", 4)
    with ExitStack() as stack:
        lease = stack.enter_context(Lease(laptop, at(tower), a_wish()))
        for _ in range(10):
            silent = stack.enter_context(socket.create_connection(tower.target, 30))
            silent.sendall(PREFACE)
        connected(lease).close()
        assert is_answering(tower)
        lease.check()
