"""A worker that lends an echo server instead of llama.cpp's; also as a program.

``python -m tests.node.worker HOME`` prints its port and the process ids of what it starts.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hgx.engine.hello import Protocol
from hgx.net.lease_lines import LentDevice
from hgx.net.wire import Target
from hgx.node.agent import serve_node
from hgx.node.held import Lent
from hgx.node.lease import LeaseService
from hgx.node.listening import listen
from hgx.process.program import Program, how_it_ended
from hgx.store.home import Home
from tests.net.certificates import node_at
from tests.net.node import described

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from hgx.net.identity import Identity
    from hgx.net.lease_lines import LeaseWish
    from hgx.node.agent import Running

PROTOCOL = Protocol(7, 0, 1)


class EchoServer:
    """A program that listens on loopback and ends with its parent."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        program = str(Path(__file__).with_name("echo_server.py"))
        log = Path(tempfile.gettempdir()) / "hgx-echo-server.log"
        self._program = Program([sys.executable, program, str(self.port)], log)
        self._program.start()
        while self.alive():
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            self._program.wait(0.02)

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._program.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._program.poll() is None

    def obituary(self) -> str:
        """Say how it ended."""
        status = self._program.poll()
        return f"it {how_it_ended(status)}" if status is not None else "it runs"

    def stop(self) -> None:
        """End it."""
        self._program.stop(0)


class EchoLender:
    """Lends echo servers, and keeps them for the tests to look at."""

    def __init__(self, told: Callable[[EchoServer], object] = lambda _: None) -> None:
        self.servers: list[EchoServer] = []
        self._told = told

    def __call__(self, wish: LeaseWish) -> Lent:
        """Start one."""
        server = EchoServer()
        self.servers.append(server)
        self._told(server)
        devices = tuple(
            LentDevice(device=device, engine="CPU", memory_total_bytes=1) for device in wish.devices
        )
        return Lent(server, PROTOCOL, 11434, devices)


class Node(NamedTuple):
    """A worker that runs in a thread."""

    home: Home
    identity: Identity
    target: Target


@contextmanager
def working(path: Path, lend: Callable[[LeaseWish], Lent]) -> Generator[Node]:
    """Run a worker on loopback, in a thread."""
    home, identity = Home(path), node_at(path)
    is_ready, stop = threading.Event(), threading.Event()

    def ready(_: Running) -> None:
        is_ready.set()

    with (
        listen("127.0.0.1", 0) as listening,
        LeaseService(identity, home, lend) as leases,
    ):
        thread = threading.Thread(
            target=serve_node,
            args=(identity, "tower", described, listening),
            kwargs={"lend": leases.serve, "ready": ready, "stop": stop},
        )
        thread.start()
        try:
            assert is_ready.wait(30)
            yield Node(home, identity, Target("127.0.0.1", listening.port))
        finally:
            stop.set()
            thread.join(30)


def main() -> None:
    """Be a worker until a signal comes."""
    home = Home(Path(sys.argv[1]))

    def say(number: int | None) -> None:
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()

    def ready(running: Running) -> None:
        say(running.port)

    lend = EchoLender(lambda server: say(server.pid))
    identity = node_at(home.path)
    with (
        listen("127.0.0.1", 0) as listening,
        LeaseService(identity, home, lend) as leases,
    ):
        sys.exit(
            serve_node(identity, "tower", described, listening, lend=leases.serve, ready=ready)
        )


if __name__ == "__main__":
    main()
