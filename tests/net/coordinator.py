"""A coordinator as a program: ``python -m tests.net.coordinator HOME PORT FINGERPRINT``.

It leases ``cpu:0`` of the worker at that port of loopback, and prints the endpoint, then why it
lost the lease.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from hgx.net.lease_client import Lease, Worker
from hgx.net.lease_lines import LeaseWish
from hgx.net.wire import Target
from tests.net.certificates import node_at

if TYPE_CHECKING:
    from hgx.errors import PeerError


def a_wish(
    coordinator: str = "laptop",
    devices: tuple[str, ...] = ("cpu:0",),
    protocol: tuple[int, int, int] = (7, 0, 1),
) -> LeaseWish:
    """Return a wish that can be granted."""
    return LeaseWish(coordinator=coordinator, protocol=protocol, devices=devices)


def main() -> None:
    """Hold the lease until it is lost."""
    home, port, fingerprint = sys.argv[1:]
    lost = threading.Event()

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def on_lost(error: PeerError) -> None:
        say(error.message)
        lost.set()

    worker = Worker("tower", Target("127.0.0.1", int(port)), fingerprint)
    with Lease(node_at(Path(home)), worker, a_wish(), on_lost) as lease:
        say(lease.endpoint)
        lost.wait(120)


if __name__ == "__main__":
    main()
