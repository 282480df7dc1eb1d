"""The coordinator's side of a lease: devices of a paired worker, as a port on loopback.

Whoever connects to that port talks to the worker's rpc server through a TLS tunnel; any user of
this machine can, as with every port on loopback. A worker that is gone, frozen or has ended the
lease is noticed within seconds, and then the tunnel is closed: llama.cpp itself would wait forever.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, NamedTuple, Self

from hgx.errors import PeerError
from hgx.net.lease_lines import (
    BEAT_S,
    HANDSHAKE_S,
    LEASE_ANSWERS,
    PREFACE,
    TUNNEL_ANSWERS,
    WORKER_SILENCE_S,
    Beat,
    Ended,
    Granted,
    LeaseWish,
    Opened,
    Refused,
    TunnelWish,
    read,
    receive,
    send,
)
from hgx.net.pinned import mutual_client_context
from hgx.net.relay import Relay, Traffic
from hgx.net.tls_stream import TlsStream
from hgx.net.wire import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from hgx.errors import PeerFault
    from hgx.net.identity import Identity
    from hgx.net.wire import Target

HOST = "127.0.0.1"

_TUNNEL_S = 10.0
"""How long a tunnel may take to open: the one before it may have to end first."""

_TICK_S = 0.2
_JOIN_S = 2.0

_AGAIN = "start the model again"
_AWAKE = f"see whether that machine is on and awake, and {_AGAIN}"

_FAULTS: dict[str, tuple[PeerFault, str]] = {
    "held": ("busy", "end that model, or plan without this worker"),
    "busy": ("busy", "see what else connects to this port"),
    "version": ("version", "install the same build of llama.cpp on both machines"),
    "engine": ("engine", "run `hgx doctor` there"),
    "devices": ("devices", "run `hgx discover`, and plan again"),
    "lease": ("lost", _AGAIN),
}
_OTHER: tuple[PeerFault, str] = ("version", "install the same version of hgx on both machines")


class Worker(NamedTuple):
    """A paired node to lease devices of.

    Attributes:
        name: What to call it.
        target: Where its agent is.
        fingerprint: Of its certificate, as it was pinned.
    """

    name: str
    target: Target
    fingerprint: str


class Lease:
    """Devices of a worker for this machine alone, as long as the context lasts.

    Args:
        identity: This node's.
        worker: Whose devices.
        wish: Which, and how.
        on_lost: Called once, in a thread of the lease, if it ends before the context does.

    Attributes:
        endpoint: ``HOST:PORT`` of the worker's rpc server, for ``--rpc``.
        granted: What the worker answered.
        traffic: What went through the tunnels; ``to_plain`` came from the worker.
        beat: The worker's last.
        lost: Why the lease ended before its time; null while it lives.

    Raises:
        PeerError: On entering: the worker was not reached or is not itself, does not trust this
            machine, or refuses (fault "busy", "version", "engine" or "devices").
    """

    def __init__(
        self,
        identity: Identity,
        worker: Worker,
        wish: LeaseWish,
        on_lost: Callable[[PeerError], object] = lambda _: None,
    ) -> None:
        self._dial = _Dial(identity, worker)
        self._name = worker.name
        self._wish = wish
        self._on_lost = on_lost
        self._over = Event()
        self._ending = Lock()
        self._relay: Relay | None = None
        self.traffic = Traffic()
        self.beat: Beat | None = None
        self.lost: PeerError | None = None

    def __enter__(self) -> Self:
        self._stream = self._dial.open()
        try:
            with self._dial.explained():
                self.granted = self._ask()
            self._listener = socket.create_server((HOST, 0))
        except BaseException:
            self._stream.abort()
            self._stream.close()
            raise
        self._listener.settimeout(_TICK_S)
        self.endpoint = f"{HOST}:{self._listener.getsockname()[1]}"
        self._threads = [
            Thread(target=work, daemon=True) for work in (self._listen, self._say, self._accept)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for thread in self._threads:
            thread.join(_JOIN_S)
        self._stream.close()

    def check(self) -> None:
        """Do nothing while the lease lives.

        Raises:
            PeerError: It is lost.
        """
        if self.lost is not None:
            raise self.lost

    def _ask(self) -> Granted:
        """Say the wish and wait for the answer; the worker's beats say that it is at it."""
        send(self._stream, self._wish)
        while True:
            line = receive(self._stream, time.monotonic() + WORKER_SILENCE_S)
            match read(LEASE_ANSWERS, line):
                case Beat():
                    send(self._stream, Beat(beat=0))
                case Granted() as granted:
                    return granted
                case answer:
                    raise self._dial.refused(answer, line)

    def _listen(self) -> None:
        """Hear the worker's beats until they stop."""
        said = "has ended the lease"
        try:
            while line := receive(self._stream, time.monotonic() + WORKER_SILENCE_S):
                match read(LEASE_ANSWERS, line):
                    case Beat() as beat:
                        self.beat = beat
                    case Ended(ended=why):
                        self._lose(f"has ended the lease, {_shown(why)}", _AGAIN)
                    case _:
                        said = "said something that no worker says"
                        break
        except TimeoutError:
            said = f"has not been heard of for {WORKER_SILENCE_S:g} s"
        except OSError:
            said = "has closed the connection"
        self._lose(said)

    def _say(self) -> None:
        """Send beats; that they cannot be sent is noticed by whoever listens."""
        number = 0
        with suppress(OSError):
            while not self._over.wait(BEAT_S):
                number += 1
                send(self._stream, Beat(beat=number))

    def _accept(self) -> None:
        """Take connections to the endpoint, one after the other, each through its own tunnel."""
        with self._listener:
            while not self._over.is_set():
                try:
                    plain, _ = self._listener.accept()
                except TimeoutError:
                    continue
                with plain:
                    self._serve(plain)

    def _serve(self, plain: socket.socket) -> None:
        if self._over.is_set():
            return
        try:
            tunnel = self._tunnel()
        except PeerError as error:
            self._lose_by(error)
            return
        relay = Relay(plain, tunnel, self.traffic)
        with self._ending:
            self._relay = relay
            if self._over.is_set():
                relay.abort()
        relay.run()

    def _tunnel(self) -> TlsStream:
        stream = self._dial.open()
        try:
            with self._dial.explained():
                send(stream, TunnelWish(lease=self.granted.lease))
                line = receive(stream, time.monotonic() + _TUNNEL_S)
                answer = read(TUNNEL_ANSWERS, line)
                if not isinstance(answer, Opened):
                    raise self._dial.refused(answer, line)
        except BaseException:
            stream.close()
            raise
        return stream

    def _lose(self, said: str, remedy: str = _AWAKE) -> None:
        self._lose_by(PeerError(f"{self._name} {said}", "lost", remedy))

    def _lose_by(self, error: PeerError) -> None:
        with self._ending:
            if self._over.is_set():
                return
            self.lost = error
            self._over.set()
        self._end()
        self._on_lost(error)

    def _end(self) -> None:
        with self._ending:
            self._over.set()
            self._stream.abort()
            if self._relay is not None:
                self._relay.abort()


class _Dial:
    """Connects to a worker's agent as a paired coordinator, and says what goes wrong."""

    def __init__(self, identity: Identity, worker: Worker) -> None:
        self._identity = identity
        self._worker = worker

    def open(self) -> TlsStream:
        """Connect, and make sure who is there.

        Raises:
            PeerError: It was not reached, or it is another machine.
        """
        worker = self._worker
        try:
            raw = connect(worker.target)
        except PeerError as error:
            said = f"{worker.name}: {error.reason}"
            raise PeerError(said, error.fault, error.remedy) from error
        raw.settimeout(HANDSHAKE_S)
        stream = TlsStream(raw, mutual_client_context(self._identity), server_side=False)
        try:
            with self.explained():
                raw.sendall(PREFACE)
                found = stream.handshake(HANDSHAKE_S)
            if found != worker.fingerprint:
                said = f"{worker.target} shows another certificate than {worker.name} was paired by"
                remedy = f"if that machine is new, `hgx peers revoke {worker.name}` and pair again"
                raise PeerError(said, "unknown", remedy)
        except BaseException:
            stream.close()
            raise
        return stream

    @contextmanager
    def explained(self) -> Generator[None]:
        """Turn errors of the network into ones that name the worker."""
        try:
            yield
        except OSError as error:
            raise self._explain(error) from error

    def refused(self, answer: object, line: bytes) -> PeerError:
        """Return what to raise for an answer that is no yes."""
        name = self._worker.name
        if isinstance(answer, Refused):
            fault, remedy = _FAULTS.get(answer.fault, _OTHER)
            return PeerError(f"{name} {_shown(answer.error)}", fault, remedy)
        if not line:
            return self._explain(ConnectionError())
        return PeerError(f"{name} answers as no worker of this hgx does", *_OTHER)

    def _explain(self, error: OSError) -> PeerError:
        name = self._worker.name
        if isinstance(error, TimeoutError):
            said = f"{name} took the connection but does not answer"
            return PeerError(said, "timeout", "see whether hgx hangs there")
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            said = f"{name} does not trust this machine"
            return PeerError(said, "trust", "pair them again with `hgx pair`")
        said = f"{name} closed the connection"
        remedy = "see whether hgx there is of the same version and still paired with this machine"
        return PeerError(said, "closed", remedy)


def _shown(sentence: str) -> str:
    return sentence if sentence.isprintable() else ascii(sentence)[1:-1]
