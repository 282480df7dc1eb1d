"""Holds leases of workers, so that any llama-server can use their tunnels.

    python cluster_tunnels.py HOME ADDRESS:PORT,FINGERPRINT ...

Prints the tunnels' near ends in one line, and ends with its stdin. Part of
``benchmarks/cluster.py``.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from hgx.engine.binaries import find_toolkit
from hgx.engine.rpc_server import rpc_protocol
from hgx.net.identity import own_identity
from hgx.net.lease_client import Lease, Worker
from hgx.net.lease_lines import LeaseWish
from hgx.net.wire import Target
from hgx.store.home import Home


def main() -> None:
    """Hold a lease of each worker that is named."""
    home, *workers = sys.argv[1:]
    identity, protocol = own_identity(Home(Path(home))), rpc_protocol(find_toolkit(None))
    wish = LeaseWish(coordinator="m1", protocol=protocol, devices=("cpu:0",))
    with ExitStack() as stack:
        ends: list[str] = []
        for worker in workers:
            place, _, fingerprint = worker.partition(",")
            address, _, port = place.rpartition(":")
            lease = Lease(identity, Worker(place, Target(address, int(port)), fingerprint), wish)
            ends.append(stack.enter_context(lease).endpoint)
        print(",".join(ends), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
