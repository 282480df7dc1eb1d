"""What the tunnel costs: tokens per second through it beside a plain connection, in one run.

    python benchmarks/tunnel.py [--engine-dir DIR] [--rounds 7]

One rpc server on loopback has all layers of Gemma 3 270M and one thread. llama-server uses it over
plain TCP and through a lease, in turn; at the other end of the lease is a node of its own, so that
four processes take part, as with two machines. Once tokens are sampled where the output head is, as
hgx has it; once all logits cross, 1 MB per token. Then an echo server in the place of the rpc
server: messages of 4 KB to and fro, 1 MB for each 4 KB, and much in one direction.
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
LAYERS = 19
"""Of Gemma 3 270M, the output head counted."""
REQUESTS = 4
"""Per start of llama-server, after one that warms it up."""
TOKENS = 64
ROUND_TRIPS = 200

HEAD = struct.Struct("<QQ")
SMALL = 4096
BULK_BYTES = 256 * MIB


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


def be_node(home: str, *ports: str) -> None:
    """Lend the servers at some ports as ``cpu:0``, ``cpu:1`` and so on, until stdin ends."""
    servers = {f"cpu:{n}": Served(int(port), os.getpid()) for n, port in enumerate(ports)}
    identity, stop = own_identity(Home(Path(home))), threading.Event()

    def lend(wish: LeaseWish) -> Lent:
        device = wish.devices[0]
        lent = LentDevice(device=device, engine="CPU", memory_total_bytes=0)
        return Lent(servers[device], PROTOCOL, None, (lent,))

    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    with listen("127.0.0.1", 0) as listening, LeaseService(identity, Home(Path(home)), lend) as it:
        print(listening.port, identity.fingerprint, flush=True)
        serve_node(
            identity,
            "node",
            lambda _: {"node": {}, "devices": []},
            listening,
            lend=it.serve,
            stop=stop,
        )


def be_coordinator(home: str, port: str, fingerprint: str, device: str) -> None:
    """Hold a lease until stdin ends."""
    worker = Worker("node", Target("127.0.0.1", int(port)), fingerprint)
    wish = LeaseWish(coordinator="here", protocol=PROTOCOL, devices=(device,))
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
def tunnels(folder: Path, *ports: int) -> Generator[list[int]]:
    """Open a tunnel to each port; gives the near ends."""
    near, far = folder / "near", folder / "far"
    fingerprint = own_identity(Home(near)).fingerprint
    certificate = ssl.DER_cert_to_PEM_cert(own_certificate(own_identity(Home(near))))
    add_trusted(Home(far), TrustedPeer(fingerprint=fingerprint, certificate=certificate))
    with (
        process("node", str(far), *map(str, ports)) as (port, theirs),
        process("coordinator", str(near), port, theirs, "cpu:0") as (first,),
        process("coordinator", str(near), port, theirs, "cpu:1") as (second,),
    ):
        yield [int(first), int(second)]


# What is measured: each function does it once and returns one number.


def decode_rate(model: Path, toolkit: Toolkit, logs: Path, port: int, *, sampling: bool) -> float:
    """Start llama-server with all layers on an rpc server; return its median tokens per second."""
    spec = ServerSpec(
        model=str(model),
        alias="demo",
        ctx=1024,
        gpu_layers=LAYERS,
        devices=("RPC0",),
        tensor_split=(LAYERS,),
        rpc=(f"127.0.0.1:{port}",),
        backend_sampling=sampling,
    )
    engine = LlamaCppEngine(toolkit.server, spec, logs)
    try:
        endpoint = engine.start()
        ask = {"prompt": "Once upon a time", "n_predict": TOKENS, "ignore_eos": True}
        headers = {"Authorization": f"Bearer {endpoint.api_key}"}
        with httpx2.Client(trust_env=False, timeout=120, headers=headers) as client:
            answers = [
                client.post(f"{endpoint.url}/completion", json=ask | {"temperature": 0}).json()
                for _ in range(1 + REQUESTS)
            ]
        return statistics.median(one["timings"]["predicted_per_second"] for one in answers[1:])
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
    what: str, unit: str, measure: Callable[[int], float], ways: tuple[int, int], rounds: int
) -> None:
    """Measure over plain TCP and through the tunnel in turn, and print medians and their ratio."""
    plain, tunnel = ways
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            second = measure(tunnel)
            pairs.append((measure(plain), second))
        else:
            pairs.append((measure(plain), measure(tunnel)))
    one, other = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(second / first for first, second in pairs)
    print(
        f"{what:38} {one:8.2f} {other:8.2f} {unit:8} {ratio:6.3f}   (medians of {rounds} pairs)",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--engine-dir", type=Path)
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    toolkit = find_toolkit(given.engine_dir)
    cores = f"{psutil.cpu_count(logical=False)} cores, {psutil.cpu_count()} threads"
    print(f"{platform.system()} {platform.machine()}, {processor()}, {cores}; llama.cpp ", end="")
    print(f"{toolkit.version} build {toolkit.build}; Python {platform.python_version()}")
    load = psutil.getloadavg()[0]
    print(f"load of the last minute before the start: {load:.1f}")
    print(f"{'':38} {'plain':>8} {'tunnel':>8} {'':8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = demo_model_path(folder)
        rpc = RpcServer(toolkit, folder / "rpc.log", RpcOptions(devices=("CPU",), threads=1))
        with rpc, process("echo") as (echo,), tunnels(folder, rpc.port, int(echo)) as near:
            decoding, echoing = (rpc.port, near[0]), (int(echo), near[1])
            for what, sampling in (("sampled by the worker", True), ("logits cross", False)):
                compare(
                    f"decode, {what}",
                    "tokens/s",
                    lambda port, s=sampling: decode_rate(model, toolkit, folder, port, sampling=s),
                    decoding,
                    given.rounds,
                )
            echoes: tuple[tuple[str, str, Callable[[int], float]], ...] = (
                ("4 KB to and fro", "ms", lambda port: round_trip_s(port, SMALL) * 1e3),
                ("4 KB there, 1 MB back", "ms", lambda port: round_trip_s(port, MIB) * 1e3),
                ("256 MiB in one direction", "Gbit/s", lambda port: bulk_rate(port) * 8e-9),
            )
            for what, unit, measure in echoes:
                compare(what, unit, measure, echoing, 3 * given.rounds)


def processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["node", home, *ports]:
            be_node(home, *ports)
        case ["coordinator", home, port, fingerprint, device]:
            be_coordinator(home, port, fingerprint, device)
        case ["echo"]:
            be_echo()
        case _:
            main()
