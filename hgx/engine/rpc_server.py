"""llama.cpp's rpc server: offers this machine's devices to a llama-server, on loopback alone.

It believes whoever connects, so its port is for tunnels of hgx only. It has one client at a time.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hgx.engine.hello import hello
from hgx.engine.log import reason
from hgx.engine.weight_cache import settle
from hgx.errors import EngineError
from hgx.process.program import Program, how_it_ended

if TYPE_CHECKING:
    from typing import Self

    from hgx.engine.binaries import Toolkit
    from hgx.engine.hello import Protocol

HOST = "127.0.0.1"

_START_S = 60.0
"""Longest time to answer the first question, in seconds: GPUs take some to get ready."""

_TRIES = 3
"""How often a port is looked for: another program may be quicker to take a free one."""

_TICK_S = 0.02
_HELLO_S = 1.0
_LOG_BYTES = 64 * 1024

_DEVICE = re.compile(
    r"^  (?P<name>\S+): (?P<text>.*) \((?P<total>\d+) MiB, (?P<free>\d+) MiB free\)$", re.MULTILINE
)
"""A line of its log for each device, in the order in which clients number them."""

_FAULT = re.compile(r"error|fail|invalid|abort|assert|no devices|terminate|what\(\)", re.IGNORECASE)
_KILLED = -9
_PORT_TAKEN = "Failed to create server socket"


class RpcDevice(NamedTuple):
    """A device as the rpc server describes it.

    Attributes:
        name: llama.cpp's name for it on this machine, as ``CUDA0``; a client says ``RPC0``.
        description: The vendor's name.
        memory_total_bytes: All its memory, in bytes.
        memory_free_bytes: What was free when the server started, in bytes.
    """

    name: str
    description: str
    memory_total_bytes: int
    memory_free_bytes: int


class RpcOptions(NamedTuple):
    """What an rpc server may use.

    Attributes:
        devices: llama.cpp's names of devices, in the order in which clients number them. Where
            there are none, all GPUs, or the CPU on a machine without any.
        threads: Threads of the CPU; llama.cpp's own choice, half of them, where null.
        memory_bytes: Memory of the host that it may take, in bytes (Linux); null for no limit.
        cache: Folder that keeps weights for the next time (``hgx.engine.weight_cache``); null for
            none.
    """

    devices: tuple[str, ...] = ()
    threads: int | None = None
    memory_bytes: int | None = None
    cache: Path | None = None


class RpcServer:
    """One rpc server, run once; as a context it is started and stopped.

    Args:
        toolkit: llama.cpp's programs.
        log: File for what it prints.
        options: What it may use.

    Attributes:
        port: Where it listens on ``HOST``; 0 before the start.
        protocol: What it speaks; null before the start.
        devices: What it offers, in the order in which clients number it; empty before the start.
    """

    def __init__(self, toolkit: Toolkit, log: Path, options: RpcOptions | None = None) -> None:
        self._program = toolkit.need("rpc_server")
        self._log = log
        self._options = options or RpcOptions()
        self._process: Program | None = None
        self._log_began = 0
        self._stopped = False
        self.port = 0
        self.protocol: Protocol | None = None
        self.devices: tuple[RpcDevice, ...] = ()

    @property
    def pid(self) -> int | None:
        """Process id of the rpc server, or null before the start."""
        return self._process.pid if self._process else None

    def start(self, timeout_s: float = _START_S) -> Protocol:
        """Start it, and wait until it answers.

        Args:
            timeout_s: Longest time for that, in seconds.

        Returns:
            The protocol that it speaks.

        Raises:
            Unavailable: It cannot be started.
            EngineError: It ended or did not answer, with the reason it gave.
        """
        deadline = time.monotonic() + timeout_s
        try:
            for _ in range(_TRIES):
                protocol = self._try(deadline)
                if protocol is not None:
                    self.protocol = protocol
                    self.devices = _devices(self._words())
                    return protocol
                if _PORT_TAKEN not in self._words():
                    break
            raise EngineError(f"the rpc server did not start: {self.obituary()}")
        except BaseException:
            self.stop()
            raise

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def obituary(self) -> str:
        """Say in one sentence how it ended, what it said of that, and where its log is."""
        if self._stopped:
            return f"it was stopped (log: {self._log})"
        status = self._process.poll() if self._process else None
        how = "it runs" if status is None else f"it {how_it_ended(status)}"
        if status == _KILLED:
            how += ", as the system does where memory runs out"
        words = reason(self._log) or next(filter(_FAULT.search, self._words().splitlines()), None)
        said = f", saying {words.strip()!r}" if words else ""
        return f"{how}{said} (log: {self._log})"

    def stop(self) -> None:
        """End it at once, as it has nothing to save; idempotent."""
        self._stopped = True
        if self._process is not None:
            self._process.stop(0)
            if self._options.cache is not None:
                settle(self._options.cache)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _try(self, deadline: float) -> Protocol | None:
        """Start it on some free port; null where it ended before it answered."""
        self._log_began = self._log.stat().st_size if self._log.exists() else 0
        self.port = _free_port()
        environment = {
            "GGML_RPC_NO_RDMA": "1",  # it would be negotiated around the tunnel
            # GNU OpenMP's threads spin long before they sleep, which other load on the cores
            # punishes.
            "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "1000"),
        }
        if self._options.cache is not None:
            environment["LLAMA_CACHE"] = str(self._options.cache)
        process = self._process = Program(
            self._command(), self._log, environment, self._options.memory_bytes
        )
        process.start()
        while process.wait(_TICK_S) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise EngineError(f"the rpc server did not answer in time: {self.obituary()}")
            try:
                protocol = hello(HOST, self.port, min(left, _HELLO_S))
            except EngineError:  # not yet
                continue
            if process.wait(_TICK_S) is None:  # else it was another program that answered
                return protocol
        return None

    def _command(self) -> tuple[str, ...]:
        given = self._options
        return (
            *(str(self._program), "--host", HOST, "--port", str(self.port)),
            *(("--threads", str(given.threads)) if given.threads else ()),
            *(("--device", ",".join(given.devices)) if given.devices else ()),
            *(("--cache",) if given.cache else ()),
        )

    def _words(self) -> str:
        """Return what this try has printed, the end of it where it is much."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(self._log_began, log.seek(0, os.SEEK_END) - _LOG_BYTES))
                return log.read().decode(errors="replace")
        except OSError:
            return ""


def rpc_protocol(toolkit: Toolkit) -> Protocol:
    """Ask a toolkit for its protocol: its rpc server is started and ended; no model is loaded.

    Args:
        toolkit: llama.cpp's programs.

    Raises:
        Unavailable: It has no rpc server, or that cannot be started.
        EngineError: The rpc server does not work on this machine.
    """
    with tempfile.TemporaryDirectory(prefix="hgx-") as folder:
        server = RpcServer(toolkit, Path(folder) / "log", RpcOptions(devices=("CPU",), threads=1))
        try:
            return server.start()
        except EngineError as error:  # its log goes with the folder
            raise EngineError(str(error).partition(" (log: ")[0]) from error
        finally:
            server.stop()


def _devices(printed: str) -> tuple[RpcDevice, ...]:
    return tuple(
        RpcDevice(
            name=line["name"],
            description=line["text"],
            memory_total_bytes=int(line["total"]) * 1024**2,
            memory_free_bytes=int(line["free"]) * 1024**2,
        )
        for line in _DEVICE.finditer(printed)
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
