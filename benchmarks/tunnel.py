"""What the tunnel costs: tokens per second through it beside a plain connection, in one run.

    python benchmarks/tunnel.py [--engine-dir DIR] [--pairs 60]

Two equal pairs of llama-server and rpc server on loopback, one of them with plain TCP between both
and one with a lease: a node of its own lends the rpc server, and another process holds the lease.
The rpc servers have all layers and one thread. The pairs answer in turn, so that both meet the same
load: once tokens are sampled where the output head is, once all logits cross; hgx plans whichever
is quicker on a link. The models are the two ends of what is run on several machines: Gemma 3 270M,
tiny and with the largest vocabulary, so that 1 MB crosses every 20 ms, and invented weights in the
shape of a llama of 1.1 billion with 32,000 tokens. Then the same with an echo server: messages of
4 KB to and fro, 1 MB back for each 4 KB, and much in one direction.
Target: at least 95 % of the plain connection's rate.
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx2
import psutil

from hgx.engine.binaries import find_toolkit
from hgx.engine.demo import demo_model_path
from hgx.engine.hello import Protocol
from hgx.engine.llama_cpp import LlamaCppEngine
from hgx.engine.rpc_server import RpcOptions, RpcServer
from hgx.engine.server_arguments import ServerSpec
from hgx.engine.synthetic import Shape, write_model
from hgx.net.identity import own_identity
from hgx.net.lease_client import Lease, Worker
from hgx.net.lease_lines import LeaseWish, LentDevice
from hgx.net.proof import own_certificate
from hgx.net.wire import Target
from hgx.node.agent import serve_node
from hgx.node.held import Lent
from hgx.node.lease import LeaseService
from hgx.node.listening import listen
from hgx.store.home import Home
from hgx.store.trust import TrustedPeer, add_trusted
from hgx.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from hgx.engine.binaries import Toolkit

PROTOCOL = Protocol(7, 0, 0)
LLAMA = Shape(n_block=22, n_embd=2048, n_ff=5632, n_head=32, n_head_kv=4, n_vocab=32000)
TOKENS = 24
"""Per measurement: long enough for a rate, short enough that its pair meets the same load."""
ROUND_TRIPS = 200

HEAD = struct.Struct("<QQ")
SMALL = 4096
BULK_BYTES = 256 * MIB


class Subject(NamedTuple):
    """A model, and its layers, the output head counted."""

    name: str
    model: Path
    layers: int


class Served(NamedTuple):
    """A server that is there already, for a node to lend; it outlives each lease."""

    port: int
    pid: int

    def alive(self) -> bool:
        """Always."""
        return True

    def obituary(self) -> str:
        """Never needed."""
        return ""

    def stop(self) -> None:
        """It goes on."""


# The processes of a tunnel, started by this file itself.


def be_node(home: str, port: str) -> None:
    """Lend what listens at a port, until stdin ends."""
    identity, stop = own_identity(Home(Path(home))), threading.Event()

    def lend(wish: LeaseWish) -> Lent:
        lent = LentDevice(device=wish.devices[0], engine="CPU", memory_total_bytes=0)
        return Lent(Served(int(port), os.getpid()), PROTOCOL, None, (lent,))

    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    with (
        listen("127.0.0.1", 0) as listening,
        LeaseService(identity, Home(Path(home)), lend) as leases,
    ):
        print(listening.port, identity.fingerprint, flush=True)
        serve_node(identity, "node", lambda _: {}, listening, lend=leases.serve, stop=stop)


def be_coordinator(home: str, port: str, fingerprint: str) -> None:
    """Hold a lease until stdin ends."""
    worker = Worker("node", Target("127.0.0.1", int(port)), fingerprint)
    wish = LeaseWish(coordinator="here", protocol=PROTOCOL, devices=("cpu:0",))
    with Lease(own_identity(Home(Path(home))), worker, wish) as lease:
        print(lease.endpoint.rpartition(":")[2], flush=True)
        sys.stdin.read()
        lease.check()


def be_echo() -> None:
    """Answer each message with as much as it asks for, one client at a time."""
    buffer = memoryview(bytearray(1 << 20))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with client:
                while take(client, HEAD.size, buffer):
                    coming, wanted = HEAD.unpack(buffer[: HEAD.size])
                    take(client, coming, buffer)
                    client.sendall(buffer[:wanted])


@contextmanager
def process(*arguments: str) -> Generator[list[str]]:
    """Run this file as one of the processes; gives the words of its first line."""
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield next(iter(running.stdout or ())).split()
        finally:
            try:
                running.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                running.kill()


@contextmanager
def tunnel(folder: Path, port: int) -> Generator[int]:
    """Open a tunnel to a port, between two nodes that are paired; gives the near end."""
    near, far = folder / "near", folder / "far"
    identity = own_identity(Home(near))
    certificate = ssl.DER_cert_to_PEM_cert(own_certificate(identity))
    add_trusted(Home(far), TrustedPeer(fingerprint=identity.fingerprint, certificate=certificate))
    with (
        process("node", str(far), str(port)) as (agent, theirs),
        process("coordinator", str(near), agent, theirs) as (end,),
    ):
        yield int(end)


# What is measured: each function does it once and returns one number.


@contextmanager
def decoding(
    subject: Subject, toolkit: Toolkit, logs: Path, port: int, *, sampling: bool
) -> Generator[Callable[[], float]]:
    """Run llama-server with all layers on an rpc server; gives what returns tokens per second."""
    spec = ServerSpec(
        model=str(subject.model),
        alias="demo",
        ctx=1024,
        gpu_layers=subject.layers,
        devices=("RPC0",),
        tensor_split=(subject.layers,),
        rpc=(f"127.0.0.1:{port}",),
        backend_sampling=sampling,
    )
    logs.mkdir()
    engine = LlamaCppEngine(toolkit.server, spec, logs)
    question = {"prompt": "Once", "n_predict": TOKENS, "ignore_eos": True, "temperature": 0}
    try:
        endpoint = engine.start()
        headers = {"Authorization": f"Bearer {endpoint.api_key}"}
        with httpx2.Client(trust_env=False, timeout=120, headers=headers) as client:

            def rate() -> float:
                answer = client.post(f"{endpoint.url}/completion", json=question).json()
                return answer["timings"]["predicted_per_second"]

            rate()
            yield rate
    except httpx2.HTTPError as error:
        raise SystemExit(f"{error}: {engine.obituary()}") from error
    finally:
        engine.stop()


def round_trip_s(port: int, answer_bytes: int) -> float:
    """Return the median seconds from a message of 4 KB to the end of its answer."""
    buffer = memoryview(bytearray(max(answer_bytes, SMALL)))
    message = HEAD.pack(SMALL, answer_bytes) + bytes(SMALL)
    with connected(port) as connection:
        times: list[float] = []
        for _ in range(ROUND_TRIPS):
            began = time.perf_counter()
            connection.sendall(message)
            take(connection, answer_bytes, buffer)
            times.append(time.perf_counter() - began)
    return statistics.median(times[ROUND_TRIPS // 10 :])


def bulk_rate(port: int) -> float:
    """Send much and wait for one answer; return bytes per second."""
    chunk = memoryview(bytes(MIB))
    with connected(port) as connection:
        began = time.perf_counter()
        connection.sendall(HEAD.pack(BULK_BYTES, 1))
        for _ in range(BULK_BYTES // MIB):
            connection.sendall(chunk)
        take(connection, 1, memoryview(bytearray(1)))
        return BULK_BYTES / (time.perf_counter() - began)


def connected(port: int) -> socket.socket:
    """Connect to a port of loopback."""
    connection = socket.create_connection(("127.0.0.1", port), 60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def take(connection: socket.socket, count: int, buffer: memoryview) -> bool:
    """Receive so many bytes, whatever they are; false at the end of the connection."""
    while count:
        got = connection.recv_into(buffer, min(count, len(buffer)))
        if not got:
            return False
        count -= got
    return True


# Both ways in turn.


def compare(
    what: str, unit: str, plain: Callable[[], float], tunnel: Callable[[], float], count: int
) -> None:
    """Measure over plain TCP and through the tunnel in turn; print medians and that of ratios."""
    pairs: list[tuple[float, float]] = []
    for number in range(count):
        if number % 2:
            second = tunnel()
            pairs.append((plain(), second))
        else:
            pairs.append((plain(), tunnel()))
    one, other = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(second / first for first, second in pairs)
    print(
        f"{what:38} {one:8.2f} {other:8.2f} {unit:8} {ratio:6.3f}   (median of {count} pairs)",
        flush=True,
    )


def compare_decoding(toolkit: Toolkit, subject: Subject, folder: Path, pairs: int) -> None:
    """Compare two llama-servers with an rpc server each, one of them behind a tunnel."""
    folder.mkdir()
    options = RpcOptions(devices=("CPU",), threads=1)
    with (
        RpcServer(toolkit, folder / "plain.log", options) as plain,
        RpcServer(toolkit, folder / "tunnel.log", options) as far,
        tunnel(folder, far.port) as near,
    ):
        for what, sampling in (("sampled by the worker", True), ("logits cross", False)):
            with (
                decoding(
                    subject, toolkit, folder / f"plain {what}", plain.port, sampling=sampling
                ) as one,
                decoding(
                    subject, toolkit, folder / f"tunnel {what}", near, sampling=sampling
                ) as other,
            ):
                compare(f"{subject.name}, {what}", "tokens/s", one, other, pairs)


def compare_echo(folder: Path, pairs: int) -> None:
    """Compare what an echo server answers with and without a tunnel."""
    ways: tuple[tuple[str, str, Callable[[int], float]], ...] = (
        ("4 KB to and fro", "ms", lambda port: round_trip_s(port, SMALL) * 1e3),
        ("4 KB there, 1 MB back", "ms", lambda port: round_trip_s(port, MIB) * 1e3),
        ("256 MiB in one direction", "Gbit/s", lambda port: bulk_rate(port) * 8e-9),
    )
    with process("echo") as (echo,), tunnel(folder, int(echo)) as near:
        for what, unit, measure in ways:
            compare(what, unit, partial(measure, int(echo)), partial(measure, near), pairs)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--engine-dir", type=Path)
    options.add_argument("--pairs", type=int, default=60)
    given = options.parse_args()
    toolkit = find_toolkit(given.engine_dir)
    cores = f"{psutil.cpu_count(logical=False)} cores, {psutil.cpu_count()} threads"
    print(f"{platform.system()} {platform.machine()}, {processor()}, {cores}; llama.cpp ", end="")
    print(f"{toolkit.version}; Python {platform.python_version()}")
    print(f"load of the minute before the start: {psutil.getloadavg()[0]:.1f}")
    print(f"{'':38} {'plain':>8} {'tunnel':>8} {'':8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        llama = folder / "llama.gguf"
        write_model(llama, LLAMA, "Q4_K")
        subjects = (
            Subject("270M", demo_model_path(folder), 19),
            Subject("1.1B", llama, LLAMA.n_block + 1),
        )
        for subject in subjects:
            compare_decoding(toolkit, subject, folder / subject.name, given.pairs)
        compare_echo(folder, given.pairs)


def processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["node", home, port]:
            be_node(home, port)
        case ["coordinator", home, port, fingerprint]:
            be_coordinator(home, port, fingerprint)
        case ["echo"]:
            be_echo()
        case _:
            main()
