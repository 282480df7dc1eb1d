"""One connection to a peer's agent: TCP, TLS 1.3, HTTP, each step with a name for its failure.

Every wait is bounded by one deadline, so that a peer which sends a byte now and then holds nobody.
"""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING, NamedTuple, Self

import h11

from hgx.errors import PeerError
from hgx.net.identity import client_context, fingerprint_of
from hgx.net.windows import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgx.errors import PeerFault

CONNECT_S = 1.0

_NO_ROUTE = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.EINVAL,  # a link-local address without its zone
        errno.ENODEV,  # or with one that is gone
    }
)


class Target(NamedTuple):
    """Where an agent should be.

    Attributes:
        host: A name or an address; link-local ones with their zone.
        port: Of the agent.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Answered(NamedTuple):
    """The head of an HTTP answer.

    Attributes:
        status: Its code.
        body: The body as it comes.
    """

    status: int
    body: Iterator[bytes]


def connect(target: Target, timeout_s: float = CONNECT_S) -> socket.socket:
    """Open a TCP connection.

    Raises:
        PeerError: "name", "refused", "no route" or "timeout", each with its own remedy.
    """
    try:
        return socket.create_connection(target, timeout=timeout_s)
    except (socket.gaierror, UnicodeError) as error:
        msg = f"{target.host} is not a name or address this machine knows"
        raise PeerError(msg, "name", "check the spelling") from error
    except OSError as error:
        raise _not_connected(target, error) from error


class Connection:
    """TLS to a peer; the peer is whoever the fingerprint says it is.

    Args:
        target: Where to connect.
        within_s: How long everything may take from now on, to the last byte.

    Attributes:
        fingerprint: Of the certificate that the peer holds the key of.

    Raises:
        PeerError: It was not reached, or does not speak TLS 1.3.
    """

    def __init__(self, target: Target, within_s: float) -> None:
        self._target = target
        self._within_s = within_s
        self._deadline_s = time.monotonic() + within_s
        raw = connect(target, min(CONNECT_S, within_s))
        try:
            raw.settimeout(self._left_s())
            self._socket = client_context().wrap_socket(raw)
            self.fingerprint = fingerprint_of(self._socket.getpeercert(binary_form=True) or b"")
        except OSError as error:
            raw.close()
            raise self._failed(error, tls=True) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, method: str, path: str, body: Iterable[bytes] | None = None) -> Answered:
        """Send a request and wait for the head of the answer; once per connection.

        Args:
            method: Of HTTP.
            path: With its query.
            body: Sent as it comes, once the peer says that it wants it.

        Raises:
            PeerError: Also while the answer's body is taken: it does not speak HTTP, closed the
                connection, or is too slow.
        """
        http = h11.Connection(h11.CLIENT)
        events = self._events(http)
        headers = [("Host", "hgx"), ("Connection", "close")]
        if body is None:
            self._send(http.send(h11.Request(method=method, target=path, headers=headers)))
            self._send(http.send(h11.EndOfMessage()))
        else:
            headers += [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")]
            self._send(http.send(h11.Request(method=method, target=path, headers=headers)))
            early = next(events, None)
            if isinstance(early, h11.Response):
                return Answered(early.status_code, _data(events))
            for chunk in body:
                self._send(http.send(h11.Data(data=chunk)))
            self._send(http.send(h11.EndOfMessage()))
        head = next(event for event in events if isinstance(event, h11.Response))
        return Answered(head.status_code, _data(events))

    def _events(self, http: h11.Connection) -> Iterator[h11.Event]:
        ended = False
        while True:
            try:
                event = http.next_event()
            except h11.RemoteProtocolError as error:
                raise (self._closed() if ended else self._not_http()) from error
            if event is h11.NEED_DATA:
                received = self._receive()
                ended = not received
                http.receive_data(received)
            elif isinstance(event, h11.Response | h11.InformationalResponse | h11.Data):
                yield event
            else:
                return

    def _send(self, data: bytes | None) -> None:
        try:
            self._socket.settimeout(self._left_s())
            self._socket.sendall(data or b"")
        except OSError as error:
            raise self._failed(error) from error

    def _receive(self) -> bytes:
        try:
            self._socket.settimeout(self._left_s())
            return self._socket.recv(CHUNK_BYTES)
        except OSError as error:
            raise self._failed(error) from error

    def _left_s(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _failed(self, error: OSError, *, tls: bool = False) -> PeerError:
        if isinstance(error, TimeoutError):
            why = f"took the connection but did not answer within {self._within_s:g} s"
            return PeerError(f"{self._target} {why}", "timeout", "see whether hgx hangs there")
        if not tls:
            return self._closed()
        msg = f"{self._target} does not speak TLS 1.3, so it is not an hgx node"
        return PeerError(msg, "not TLS", "check the port")

    def _closed(self) -> PeerError:
        msg = f"{self._target} closed the connection"
        return PeerError(msg, "closed", "see whether `hgx serve` still runs there")

    def _not_http(self) -> PeerError:
        msg = f"{self._target} is not an hgx node, it does not speak HTTP"
        return PeerError(msg, "not hgx", "check the port")


def _data(events: Iterator[h11.Event]) -> Iterator[bytes]:
    return (bytes(event.data) for event in events if isinstance(event, h11.Data))


def _not_connected(target: Target, error: OSError) -> PeerError:
    fault: PeerFault
    if isinstance(error, TimeoutError):
        fault, said = "timeout", "does not answer"
        remedy = "see whether it is on and awake, and whether a firewall there drops the port"
    elif isinstance(error, ConnectionRefusedError):
        fault, said = "refused", "refuses the connection"
        remedy = "start `hgx serve` there, or check the port"
    elif error.errno in _NO_ROUTE:
        fault, said = "no route", "cannot be reached from here, there is no route to it"
        remedy = "see whether both machines are in the same network"
    else:
        fault, said = "closed", f"cannot be connected to ({error.strerror or error})"
        remedy = "see whether `hgx serve` is running there"
    return PeerError(f"{target} {said}", fault, remedy)
