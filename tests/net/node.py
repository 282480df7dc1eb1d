"""A node as a program, with devices that are made up: ``python -m tests.net.node NAME``."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from hgx.net import announcer
from hgx.net.identity import own_identity
from hgx.node.agent import serve_node
from hgx.node.listening import listen
from hgx.store.home import Home

if TYPE_CHECKING:
    from pydantic import JsonValue

    from hgx.node.agent import Running


def a_device(name: str) -> dict[str, JsonValue]:
    """Return the processor of a node."""
    return {
        "id": f"{name}/cpu:0",
        "node": name,
        "backend": "cpu",
        "memory_total_bytes": 8 * 1024**3,
        "memory_bandwidth_bytes_per_s": 2e10,
        "compute_flops_per_s": 1e11,
    }


def described(name: str) -> dict[str, JsonValue]:
    """Return a node of that name with a processor."""
    return {"node": {"id": name, "name": name, "os": "linux"}, "devices": [a_device(name)]}


def _ready(running: Running) -> None:
    sys.stdout.write(json.dumps(running._asdict()) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until a signal comes."""
    options = argparse.ArgumentParser()
    options.add_argument("name")
    options.add_argument("--host")
    options.add_argument("--port", type=int, default=9474)
    options.add_argument("--home", type=Path)
    options.add_argument("--follow", type=float, help="seconds between looks at the interfaces")
    options.add_argument("--names", type=int, help="how many names to try")
    options.add_argument("--stopped", action="store_true")
    given = options.parse_args()
    identity = own_identity(Home(given.home))
    if given.follow:
        setattr(announcer, "_FOLLOW_S", given.follow)  # noqa: B010 - it is private
    if given.names:
        setattr(announcer, "_MOST_NAMES_TRIED", given.names)  # noqa: B010 - it is private
    stop = threading.Event()
    if given.stopped:
        stop.set()
    with listen(given.host, given.port) as listening:
        status = serve_node(identity, given.name, described, listening, ready=_ready, stop=stop)
    sys.exit(status)


if __name__ == "__main__":
    main()
