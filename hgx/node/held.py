"""One lease of this node's devices: the rpc server, who has it, and when that ends.

It ends when its coordinator says so or falls silent, is not trusted any more, or when the rpc
server ends; then its tunnels are closed and the rpc server is killed.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, NamedTuple
from typing import Protocol as Interface

import psutil

from hgx.engine.hello import Protocol, fits
from hgx.errors import HgxError
from hgx.net.lease_lines import (
    BEAT_S,
    BEATS,
    COORDINATOR_SILENCE_S,
    MOST_WORDS,
    Beat,
    Ended,
    Granted,
    LeaseWish,
    LentDevice,
    Opened,
    Refused,
    read,
    receive,
    send,
)
from hgx.net.relay import Relay, Traffic
from hgx.process.background import Background

if TYPE_CHECKING:
    from hgx.net.lease_lines import RefusalFault
    from hgx.net.tls_stream import TlsStream

HOST = "127.0.0.1"

_TICK_S = 0.2
_CONNECT_S = 5.0
_TURN_S = 5.0
"""How long a tunnel waits for the one before it to end."""


class RpcServer(Interface):
    """An rpc server of llama.cpp that runs; fakes need no inheritance."""

    @property
    def pid(self) -> int | None:
        """Its process id."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        raise NotImplementedError

    def alive(self) -> bool:
        """Whether it runs."""
        raise NotImplementedError

    def obituary(self) -> str:
        """Say in one sentence how it ended."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it at once; idempotent."""
        raise NotImplementedError


class Lent(NamedTuple):
    """What was started for a lease.

    Attributes:
        server: It runs and has answered.
        protocol: What it speaks.
        build: Of llama.cpp; null where it has none.
        devices: In the order in which its clients number them.
    """

    server: RpcServer
    protocol: Protocol
    build: int | None
    devices: tuple[LentDevice, ...]


Lend = Callable[[LeaseWish], Lent]
"""Starts an rpc server for a wish; raises ``RefusedWish`` or another ``HgxError``."""


class RefusedWish(HgxError):
    """A wish that cannot be granted.

    Args:
        message: A sentence without its subject, which is this node.
        fault: The same for programs.
    """

    def __init__(self, message: str, fault: RefusalFault) -> None:
        super().__init__(message)
        self.answer = Refused(error=message[:MOST_WORDS], fault=fault)


class HeldLease:
    """A lease from its wish to its end.

    Args:
        stream: The connection that is the lease.
        wish: What the coordinator wants.
        fingerprint: Whose it is.
        is_trusted: Whether that peer is trusted now.
    """

    def __init__(
        self,
        stream: TlsStream,
        wish: LeaseWish,
        fingerprint: str,
        is_trusted: Callable[[], bool],
    ) -> None:
        self.id = secrets.token_hex(16)
        self.wish = wish
        self.fingerprint = fingerprint
        self.since = datetime.now(UTC)
        self._stream = stream
        self._is_trusted = is_trusted
        self._over = Event()
        self._turn = Lock()
        self._changing = Lock()
        self._relay: Relay | None = None
        self._traffic = Traffic()
        self._lent: Lent | None = None

    def run(self, lend: Lend) -> None:
        """Start the rpc server, and hold the lease until it ends.

        Args:
            lend: Starts an rpc server.
        """
        starting = Background(lambda: lend(self.wish))
        Thread(target=self._listen, daemon=True).start()
        try:
            self._hold(starting)
        except RefusedWish as refused:
            self._say(refused.answer)
        except HgxError as error:
            self._say(RefusedWish(f"cannot lend this: {error.message}", "engine").answer)
        except OSError:
            pass  # whoever asked is gone
        finally:
            self.end()
            with suppress(HgxError):
                starting.result().server.stop()

    def relay(self, stream: TlsStream) -> None:
        """Connect a tunnel with the rpc server until either ends.

        Args:
            stream: The connection that is to be the tunnel.

        Raises:
            RefusedWish: The lease has a tunnel already, or no rpc server.
            OSError: The tunnel's peer is gone.
        """
        if self._lent is None or not self._turn.acquire(timeout=_TURN_S):
            msg = "has a tunnel for this lease already"
            raise RefusedWish(msg, "busy")
        try:
            plain = socket.create_connection((HOST, self._lent.server.port), _CONNECT_S)
            with plain:
                send(stream, Opened())
                relay = Relay(plain, stream, self._traffic)
                with self._changing:
                    self._relay = relay
                    if self._over.is_set():
                        relay.abort()
                relay.run()
        finally:
            self._relay = None
            self._turn.release()

    def end(self) -> None:
        """End it at once, from any thread."""
        with self._changing:
            self._over.set()
            if self._relay is not None:
                self._relay.abort()

    def _listen(self) -> None:
        """Hear the coordinator's beats until they stop."""
        with suppress(OSError):
            while line := receive(self._stream, time.monotonic() + COORDINATOR_SILENCE_S):
                if read(BEATS, line) is None:
                    break
        self._over.set()

    def _hold(self, starting: Background[Lent]) -> None:
        beats = 0
        next_s = time.monotonic() + BEAT_S
        while not self._over.wait(_TICK_S):
            if self._lent is None and starting.done():
                self._lent = starting.result()
                self._grant(self._lent)
            if self._lent is not None and not self._lent.server.alive():
                words = self._lent.server.obituary()
                self._say(Ended(ended=f"its rpc server ended: {words}"[:MOST_WORDS]))
                return
            if time.monotonic() >= next_s:
                next_s += BEAT_S
                if not self._is_trusted():
                    self._say(Ended(ended="it does not trust this machine any more"))
                    return
                beats += 1
                send(self._stream, self._beat(beats))

    def _grant(self, lent: Lent) -> None:
        """Tell the coordinator that it has the lease.

        Raises:
            RefusedWish: Its llama.cpp cannot use this one's.
        """
        wanted = Protocol(*self.wish.protocol)
        if not fits(wanted, lent.protocol):
            msg = (
                f"has a llama.cpp that speaks RPC protocol {lent.protocol}, and the coordinator's "
                f"speaks {wanted}, which does not fit"
            )
            raise RefusedWish(msg, "version")
        send(
            self._stream,
            Granted(
                lease=self.id,
                protocol=lent.protocol,
                build=lent.build,
                devices=lent.devices,
            ),
        )

    def _beat(self, number: int) -> Beat:
        cpu_s, stopped = _state_of(self._lent.server.pid) if self._lent else (None, None)
        sent, answered = self._traffic.to_plain, self._traffic.to_tls
        owes = self._relay is not None and (sent.at_s or 0.0) > (answered.at_s or 0.0)
        return Beat(
            beat=number,
            cpu_s=cpu_s,
            stopped=stopped,
            sent_bytes=sent.moved_bytes,
            received_bytes=answered.moved_bytes,
            owes_s=time.monotonic() - (sent.at_s or 0.0) if owes else None,
        )

    def _say(self, last: Ended | Refused) -> None:
        with suppress(OSError):
            send(self._stream, last)
            self._stream.finish()


def _state_of(pid: int | None) -> tuple[float | None, bool | None]:
    """Return the processor time of a process, and whether it is suspended."""
    if pid is None:
        return None, None
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return times.user + times.system, process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return None, None
