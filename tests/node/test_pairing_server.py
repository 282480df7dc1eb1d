"""A pairing between two ends that reach each other by TLS on loopback, and who may disturb it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hgx.errors import PeerError, StorageError
from hgx.net.identity import client_context
from hgx.net.pairing import Offer, Own, Partner
from hgx.net.pairing_client import join
from hgx.net.pairing_code import parse_code
from hgx.net.pairing_lines import MOST_LINE_BYTES
from hgx.net.wire import Target
from hgx.node.door import MOST_OF_ONE_ADDRESS
from hgx.node.pairing_server import wait_for_attempt
from hgx.process.background import Background
from tests.net.certificates import node_at, pem_of
from tests.net.relay import relay
from tests.net.servers import server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator
    from pathlib import Path

CODE = parse_code("7-velvet-otter")
OTHER_CODE = parse_code("7-velvet-onion")


class Waiting(NamedTuple):
    """A machine that shows a code.

    Attributes:
        port: Where.
        kept: Whom it trusts since.
        outcome: What came of it.
    """

    port: int
    kept: list[Partner]
    outcome: Background[Partner]

    def error(self) -> PeerError:
        """Wait for the end, which is an error, and nobody is trusted."""
        with pytest.raises(PeerError) as caught:
            self.outcome.result()
        assert caught.value.fault == "code"
        assert self.kept == []
        return caught.value


@pytest.fixture
def tower(tmp_path: Path) -> Own:
    """The machine that shows the code."""
    return Own("tower", node_at(tmp_path / "tower"))


@pytest.fixture
def laptop(tmp_path: Path) -> Own:
    """The machine where it is typed."""
    return Own("laptop", node_at(tmp_path / "laptop"))


@pytest.fixture
def eve(tmp_path: Path) -> Own:
    """Somebody else."""
    return Own("eve", node_at(tmp_path / "eve"))


@contextmanager
def waiting(
    own: Own, lasts_s: float = 20, keep: Callable[[Partner], None] = lambda _: None
) -> Generator[Waiting]:
    """Show the code; it is waited for the end, so each test brings one about."""
    kept: list[Partner] = []

    def kept_then(partner: Partner) -> None:
        keep(partner)
        kept.append(partner)

    with socket.create_server(("127.0.0.1", 0)) as opened:
        offer = Offer(CODE, own, lasts_s)

        def wait() -> Partner:
            return asyncio.run(wait_for_attempt(opened, own.identity, offer, kept_then))

        outcome = Background(wait)
        yield Waiting(opened.getsockname()[1], kept, outcome)


def local(port: int) -> list[Target]:
    """Return the one way to a port of loopback."""
    return [Target("127.0.0.1", port)]


def test_paired(tower: Own, laptop: Own) -> None:
    """Both ends trust each other by the certificates that they really have."""
    with waiting(tower) as shown:
        joined = join(local(shown.port), CODE, laptop)
        partner = shown.outcome.result()
        assert joined.target == Target("127.0.0.1", shown.port)
        assert joined.partner.certificate == pem_of(tower.identity)
        assert shown.kept == [partner]
        assert partner.certificate == pem_of(laptop.identity)
        assert partner.words == joined.partner.words


def test_wrong_code(tower: Own, laptop: Own) -> None:
    """A wrong code ends it on both sides, with an error and without trust."""
    with waiting(tower) as shown:
        with pytest.raises(PeerError, match="has another code") as caught:
            join(local(shown.port), OTHER_CODE, laptop)
        assert caught.value.fault == "code"
        assert "without the code, which is void now" in shown.error().message


def test_second_attempt(tower: Own, laptop: Own, eve: Own) -> None:
    """After one attempt there is no other: nobody answers any more."""
    with waiting(tower) as shown:
        with pytest.raises(PeerError):
            join(local(shown.port), OTHER_CODE, eve)
        shown.error()
    with pytest.raises(PeerError, match="refuses the connection: run `hgx pair` there"):
        join(local(shown.port), CODE, laptop)


def test_attempts_at_once(tower: Own, laptop: Own, eve: Own) -> None:
    """While one attempt goes on another is told that the code is used up, and disturbs nothing."""
    told: list[PeerError] = []
    with waiting(tower) as shown:

        def meanwhile(number: int, line: bytes) -> bytes:
            if number == 1:
                with pytest.raises(PeerError) as caught:
                    join(local(shown.port), CODE, eve)
                told.append(caught.value)
            return line

        with relay(shown.port, tower.identity, meanwhile) as port:
            assert join(local(port), CODE, laptop).partner.name == "tower"
        assert shown.outcome.result().name == "laptop"
    assert ["is used up or too old" in error.message for error in told] == [True]


def test_nobody_came(tower: Own) -> None:
    """Where nobody types the code in time it ends with an error that says what to do."""
    with waiting(tower, lasts_s=0.05) as shown:
        message = shown.error().message
    assert message == (
        "nobody used the code in time, and it is void now: run `hgx pair` again for a new one"
    )


def test_too_late(tower: Own, laptop: Own) -> None:
    """A code that was not typed in time is void: whoever types it is told."""
    with waiting(tower, lasts_s=0.05) as shown:
        shown.error()
    with pytest.raises(PeerError, match="refuses the connection"):
        join(local(shown.port), CODE, laptop)


@pytest.mark.parametrize("swapped", [False, True])
def test_in_between(tower: Own, laptop: Own, eve: Own, *, swapped: bool) -> None:
    """Whoever relays with their own certificate pairs with neither side, whatever they swap."""

    def change(number: int, line: bytes) -> bytes:
        if number or not swapped:
            return line
        return json.dumps(json.loads(line) | {"certificate": pem_of(eve.identity)}).encode() + b"\n"

    with waiting(tower) as shown, relay(shown.port, eve.identity, change) as port:
        with pytest.raises(PeerError, match="somebody in between") as caught:
            join(local(port), CODE, laptop)
        assert caught.value.fault == "code"
        shown.error()


def test_replayed(tower: Own, laptop: Own) -> None:
    """The lines of a pairing that went well, said again to the same code, are worth nothing."""
    said: dict[int, bytes] = {}

    def record(number: int, line: bytes) -> bytes:
        said[number] = line
        return line

    # By the tower's own relay, which nobody else could have, so that it goes well.
    with waiting(tower) as shown, relay(shown.port, tower.identity, record) as port:
        join(local(port), CODE, laptop)
        shown.outcome.result()
    with waiting(tower) as again, connected(again.port) as replaying:
        with replaying.makefile("rb") as lines:
            replaying.sendall(said[0])
            assert lines.readline()
            replaying.sendall(said[2])
            assert lines.readline() == b""
        again.error()


@contextmanager
def connected(port: int) -> Generator[ssl.SSLSocket]:
    """Connect by TLS, to say anything."""
    with (
        socket.create_connection(("127.0.0.1", port), 20) as raw,
        client_context().wrap_socket(raw) as wrapped,
    ):
        yield wrapped


@pytest.mark.parametrize(
    "line", [b"\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * (4 * MOST_LINE_BYTES), b'{"pair": 1}\n']
)
def test_what_is_no_attempt_does_not_count(tower: Own, laptop: Own, line: bytes) -> None:
    """Garbage, lines without end and other protocols are closed, and the code is still good."""
    with waiting(tower) as shown:
        with connected(shown.port) as other:
            other.sendall(line)
            try:
                rest = other.recv(9999)
            except ConnectionResetError:
                rest = b""
            assert rest in {b"", b'{"error":"hello"}\n'}
        join(local(shown.port), CODE, laptop)
        assert shown.outcome.result().name == "laptop"


def test_silent_connections_do_not_count(tower: Own, laptop: Own) -> None:
    """More silent connections than have a place, without TLS or with, hold nobody up for long."""
    with waiting(tower) as shown, ExitStack() as stack:
        for _ in range(MOST_OF_ONE_ADDRESS - 2):
            stack.enter_context(socket.create_connection(("127.0.0.1", shown.port)))
        stack.enter_context(connected(shown.port))
        for _ in range(MOST_OF_ONE_ADDRESS):
            stack.enter_context(socket.create_connection(("127.0.0.1", shown.port)))
        join(local(shown.port), CODE, laptop)
        assert shown.outcome.result().name == "laptop"


def test_not_written_down(tower: Own, laptop: Own) -> None:
    """Where the one side cannot write down whom it trusts, the other does not trust it either."""

    def fail(_: Partner) -> None:
        msg = "the disk is full"
        raise StorageError(msg)

    with waiting(tower, keep=fail) as shown:
        with pytest.raises(PeerError, match="broke the pairing off"):
            join(local(shown.port), CODE, laptop)
        with pytest.raises(StorageError, match="the disk is full"):
            shown.outcome.result()


def test_begun_in_time(tower: Own, laptop: Own) -> None:
    """An attempt that began in time comes to its end, also where that is later."""
    over = threading.Event()

    def keep(_: Partner) -> None:
        assert over.wait(20)

    with waiting(tower, lasts_s=0.5, keep=keep) as shown:
        joining = Background(lambda: join(local(shown.port), CODE, laptop))
        time.sleep(0.6)
        assert not shown.outcome.done()
        over.set()
        assert joining.result().partner.name == "tower"
        assert shown.outcome.result().name == "laptop"


def test_own_code(tower: Own) -> None:
    """A code that is typed on the machine that shows it is not tried."""
    with waiting(tower, lasts_s=2) as shown:
        with pytest.raises(PeerError, match="this machine itself: type the code on the other"):
            join(local(shown.port), CODE, tower)
        shown.error()


def test_first_address_that_leads_there(tower: Own, laptop: Own, eve: Own) -> None:
    """Addresses that lead nowhere or to somebody else are passed over, without using the code."""
    with (
        waiting(tower) as shown,
        waiting(eve, lasts_s=2) as other,
        server(b"no TLS here") as plain,
        socket.create_server(("127.0.0.1", 0)) as closed,
    ):
        port = closed.getsockname()[1]
        closed.close()
        targets = [Target("127.0.0.1", one) for one in (port, plain, other.port, shown.port)]
        joined = join(targets, CODE, laptop, tower.identity.fingerprint)
        assert joined.target.port == shown.port
        assert shown.outcome.result().name == "laptop"
        assert "nobody used the code" in other.error().message


def test_no_address_leads_there(laptop: Own, eve: Own) -> None:
    """Where only another machine answers it is not tried."""
    with waiting(eve, lasts_s=1) as other:
        with pytest.raises(PeerError, match="another machine than the one that shows the code"):
            join(local(other.port), CODE, laptop, "ab" * 32)
        assert "nobody used the code" in other.error().message


def test_no_tls(laptop: Own) -> None:
    """What does not even speak TLS is an error that says so."""
    with server(b"hello") as port, pytest.raises(PeerError, match=r"does not speak TLS 1\.3"):
        join(local(port), CODE, laptop)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "broke the pairing off"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as a machine"),
        (b"x" * (2 * MOST_LINE_BYTES), "broke the pairing off"),
    ],
)
def test_not_a_machine_that_shows_a_code(
    laptop: Own, tmp_path: Path, answer: bytes, said: str
) -> None:
    """What answers otherwise, endlessly or not at all is an error, in one line."""
    with server(answer, tmp_path / "other") as port, pytest.raises(PeerError, match=said) as caught:
        join(local(port), CODE, laptop)
    assert "\n" not in caught.value.message
