"""What is lent with llama.cpp's own rpc server, through a lease and its tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.core.registry import Device
from hgx.engine.hello import Protocol, hello
from hgx.errors import PeerError, StorageError
from hgx.net.lease_client import Lease, Worker
from hgx.net.lease_lines import LeaseWish
from hgx.node.lender import EngineLender, Limits
from hgx.store.home import Home
from tests.net.certificates import node_at
from tests.node.test_lease import soon, trust
from tests.node.worker import working

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.engine.binaries import Toolkit
    from hgx.node.held import Lent

_PROCESSOR = Device(
    id="tower/cpu:0",
    node="tower",
    backend="cpu",
    memory_total_bytes=1 << 30,
    memory_bandwidth_bytes_per_s=1e10,
    compute_flops_per_s=1e11,
)


def wish(device: str = "cpu:0", threads: int | None = None) -> LeaseWish:
    """Return a wish for a device."""
    return LeaseWish(
        coordinator="laptop", protocol=(7, 99, 0), devices=(device,), threads=threads, cache=True
    )


def lender(toolkit: Toolkit, path: Path) -> EngineLender:
    """Return what lends the processor, one thread of it at most."""
    folder = toolkit.server.parent
    return EngineLender(Home(path), lambda: [_PROCESSOR], folder, Limits(threads=1))


def test_through_a_tunnel(llama_cpp: Toolkit, tmp_path: Path) -> None:
    """A coordinator speaks with llama.cpp's rpc server, which listens on loopback alone."""
    lent: list[Lent] = []
    lend = lender(llama_cpp, tmp_path / "tower")

    def keeping(wanted: LeaseWish) -> Lent:
        lent.append(lend(wanted))
        return lent[-1]

    laptop = node_at(tmp_path / "laptop")
    with working(tmp_path / "tower", keeping) as tower:
        trust(tower.home, laptop)
        worker = Worker("tower", tower.target, tower.identity.fingerprint)
        with Lease(laptop, worker, wish(threads=8)) as lease:
            (device,) = lease.granted.devices
            assert (device.device, device.engine) == ("cpu:0", "CPU")
            host, port = lease.endpoint.split(":")
            assert hello(host, int(port), 30) == Protocol(*lease.granted.protocol)
            process = psutil.Process(lent[0].server.pid)
            listening = [one.laddr for one in process.net_connections() if one.status == "LISTEN"]
            assert listening == [("127.0.0.1", lent[0].server.port)]
            command = process.cmdline()
            assert command[command.index("--threads") + 1] == "1"
            process.kill()
            assert soon(lambda: lease.lost is not None)
            assert "tower has ended the lease, its rpc server ended" in str(lease.lost)
        with pytest.raises(PeerError, match=r"tower has no cuda:0 that its llama\.cpp can use"):
            Lease(laptop, worker, wish("cuda:0")).__enter__()


def test_no_place_for_a_log(llama_cpp: Toolkit, tmp_path: Path) -> None:
    """Where its log cannot be written nothing is lent, and the file is named."""
    (tmp_path / "logs").write_text("")
    with pytest.raises(StorageError, match=r"rpc-CPU\.log"):
        lender(llama_cpp, tmp_path)(wish())
