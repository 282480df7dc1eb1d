"""Links: what windows of transfers add up to, against a peer on loopback and made-up rates."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.bench.conditions import Watch
from hgx.bench.device import Tools
from hgx.bench.link import (
    NORMAL,
    QUICK,
    LinkEffort,
    bandwidth,
    best_bandwidth,
    name_of,
    round_trip,
    summed,
    without_slow_start,
)
from hgx.errors import PeerError
from tests.bench.doubles import NOON, Clock, benchmark

if TYPE_CHECKING:
    from collections.abc import Generator

TOOLS = Tools(lambda: NOON, Watch)
SHORT = LinkEffort(0.05, 51)


class Loopback:
    """A peer of plain TCP on this machine: it sends as many bytes as a connection asks for."""

    def __init__(self, port: int) -> None:
        self.port = port

    def tcp_handshakes(self, count: int) -> list[float]:
        """Connect so many times."""
        times: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            times.append(time.perf_counter() - began)
        return times

    def download(self, size_bytes: int) -> list[float]:
        """Receive; the rate of each quarter of it."""
        rates: list[float] = []
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(size_bytes.to_bytes(8, "big"))
            for _ in range(4):
                began, left = time.perf_counter(), size_bytes // 4
                while left:
                    left -= len(connection.recv(min(left, 1 << 20)))
                rates.append(size_bytes / 4 / (time.perf_counter() - began))
        return rates

    def upload(self, size_bytes: int) -> list[float]:
        """Be as fast the other way."""
        return self.download(size_bytes)


@contextmanager
def loopback() -> Generator[Loopback]:
    """Run the peer for as long as the context lasts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=answer, args=(connection,)).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Loopback(server.getsockname()[1])
        finally:
            stop.set()
            thread.join()


def answer(connection: socket.socket) -> None:
    """Send what is asked for."""
    with connection:
        connection.settimeout(5)
        asked = connection.recv(8)
        if asked:
            connection.sendall(bytes(int.from_bytes(asked, "big")))


def test_a_real_round_trip() -> None:
    """Handshakes give a median and a tail in seconds."""
    with loopback() as peer:
        found = round_trip(peer, SHORT, TOOLS).benchmark
    assert (found.name, found.unit, len(found.samples)) == ("rtt", "s", 51)
    assert found.p95 is not None
    assert 0 < found.median <= found.p95 < 1


@pytest.mark.parametrize("streams", [1, 4])
def test_a_real_transfer(streams: int) -> None:
    """One stream and four carry bytes at a rate, slow start left out."""
    with loopback() as peer:
        found = bandwidth(peer.download, streams, SHORT, TOOLS).benchmark
    assert found.name == name_of(streams)
    assert found.samples
    assert found.median > 0


class Wire:
    """A link of so many bytes per second, shared by its streams, on a clock of its own."""

    def __init__(self, rate: float, most_bytes: int = 1 << 62) -> None:
        self.rate = rate
        self.most_bytes = most_bytes
        self.clock = Clock()
        self.asked: list[int] = []

    def transfer(self, size_bytes: int) -> list[float]:
        """Carry bytes in windows of 0.1 s, the first and the last at half speed."""
        self.asked.append(size_bytes)
        took_s = min(size_bytes, self.most_bytes) / self.rate
        self.clock.now_s += took_s
        full = [self.rate] * max(0, round(took_s / 0.1) - 2)
        return [self.rate / 2, *full, self.rate / 2]


def test_how_much_is_carried() -> None:
    """A first transfer tells how many bytes fill the time, and is no sample itself."""
    wire = Wire(1e8)
    found = bandwidth(wire.transfer, 1, LinkEffort(2.0, 51), wire.clock.tools()).benchmark
    first, second, *_ = wire.asked
    assert first == 4 * 1024**2
    assert second == pytest.approx(1e8 / 2 * (2 - 0.042), rel=0.01)
    assert found.median == 1e8
    assert 2 <= wire.clock() < 3


def test_four_streams() -> None:
    """Streams share the bytes, and their rates add up."""
    wire = Wire(1e8)
    found = bandwidth(wire.transfer, 4, LinkEffort(2.0, 51), wire.clock.tools()).benchmark
    assert wire.asked[:4] == [4 * 1024**2] * 4
    assert len(set(wire.asked[4:8])) == 1
    assert found.median == 4e8


def test_a_peer_that_ends_early() -> None:
    """Where a peer carries less than asked for, there are more transfers, up to a number."""
    wire = Wire(1e8, most_bytes=100)
    found = bandwidth(wire.transfer, 1, LinkEffort(2.0, 51), wire.clock.tools()).benchmark
    assert len(wire.asked) == 1 + len(found.samples) / 2 <= 30


def test_a_slow_link() -> None:
    """A link too slow for the first transfer is measured by that alone."""
    wire = Wire(1e6)
    found = bandwidth(wire.transfer, 1, LinkEffort(2.0, 51), wire.clock.tools()).benchmark
    assert wire.asked == [4 * 1024**2]
    assert found.median == 1e6


def test_nothing_arrives() -> None:
    """A peer that takes nothing is an error with a remedy."""
    with pytest.raises(PeerError, match="nothing arrived: see"):
        bandwidth(lambda _: [], 1, SHORT, TOOLS)


@pytest.mark.parametrize(
    ("rates", "left"),
    [
        ([], []),
        ([5.0], [5.0]),
        ([1.0, 5.0], [1.0, 5.0]),
        ([1.0, 5.0, 6.0, 10.0, 10.0, 10.0, 3.0], [10.0, 10.0]),
        ([10.0, 10.0, 10.0, 10.0], [10.0, 10.0]),
        ([1.0, 2.0, 9.0], [2.0]),
    ],
)
def test_slow_start(rates: list[float], left: list[float]) -> None:
    """What comes before full speed goes, with its first window, and so does the last window."""
    assert without_slow_start(rates) == left


@given(st.lists(st.floats(0, 1e12), min_size=1))
def test_something_is_left(rates: list[float]) -> None:
    """Whatever the rates are, at least one is left, and what is left was there."""
    left = without_slow_start(rates)
    assert left
    assert len(left) <= len(rates)
    assert set(left) <= set(rates)


def test_streams_add_up() -> None:
    """Rates of the same window add up, as long as all streams ran."""
    assert summed([[1.0, 2.0, 3.0], [10.0, 20.0]]) == [11.0, 22.0]
    assert summed([]) == []


def test_best_counts() -> None:
    """Of several bandwidths the quickest counts."""
    slow, quick = benchmark("one", (1.0,) * 5), benchmark("four", (2.0,) * 5)
    assert best_bandwidth([slow, quick]) == quick
    assert best_bandwidth([]) is None
    assert min(QUICK.handshakes, NORMAL.handshakes) >= 51
