"""Two paired nodes on loopback: one lends its processor, the other serves the demo model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from hgx.net.identity import own_identity
from hgx.store.home import Home
from hgx.store.trust import TrustedPeer, add_trusted
from hgx.units import MIB
from tests.net.certificates import pem_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from hgx.engine.binaries import Toolkit

CTX = 512
PROMPT = {"prompt": "Once upon a time", "max_tokens": 400, "stream": True, "ignore_eos": True}


class Nodes(NamedTuple):
    """A coordinator's home, and the worker.

    Attributes:
        home: The coordinator's.
        registry: In which the demo model fits on both machines only.
        worker: The worker's hgx.
        environment: Where llama.cpp's programs are.
    """

    home: Path
    registry: Path
    worker: psutil.Process
    environment: dict[str, str]

    def command(self, *options: str) -> list[str]:
        """Return the command that serves the demo model on both."""
        hgx = [sys.executable, "-m", "hgx", "--home", str(self.home), "serve", "demo"]
        given = ["--devices", str(self.registry), "--ctx", str(CTX), "--threads", "1"]
        return [*hgx, *given, *options]

    def rpc_server(self) -> psutil.Process:
        """Return the worker's rpc server; it is there within half a minute."""
        for _ in range(300):
            found = [one for one in self.worker.children(recursive=True) if "rpc" in one.name()]
            if found:
                return found[0]
            time.sleep(0.1)
        raise AssertionError


@contextmanager
def two_nodes(folder: Path, toolkit: Toolkit) -> Generator[Nodes]:
    """Start the worker; it is ended with the context."""
    homes = {name: Home(folder / name) for name in ("far", "near")}
    for name, home in homes.items():
        home.create()
        home.node_file.write_text(json.dumps({"id": name}))
    for own, other in (("far", "near"), ("near", "far")):
        identity = own_identity(homes[other])
        trusted = TrustedPeer(
            fingerprint=identity.fingerprint, name=other, certificate=pem_of(identity)
        )
        add_trusted(homes[own], trusted)
    environment = os.environ | {"HGX_LLAMA_CPP": str(toolkit.server.parent)}
    command = [sys.executable, "-m", "hgx", "--home", str(homes["far"].path), "serve", "--json"]
    command += ["--host", "127.0.0.1", "--port", "0", "--no-telemetry"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            fingerprint = own_identity(homes["far"]).fingerprint
            registry = folder / "registry.json"
            registry.write_text(json.dumps(_registry(port, fingerprint)))
            yield Nodes(homes["near"].path, registry, psutil.Process(process.pid), environment)
        finally:
            process.kill()


def _registry(port: int, fingerprint: str) -> dict[str, Any]:
    far = {"paired": True, "fingerprint": fingerprint, "address": f"127.0.0.1:{port}"}
    return {
        "version": 1,
        "nodes": [{"id": "near"}, {"id": "far", **far}],
        "devices": [_device("near", 750 * MIB, 3e10, 1e11), _device("far", 2048 * MIB, 5e9, 1e10)],
        "links": [{"from": "near", "to": "far", "rtt_s": 1e-4, "bandwidth_bytes_per_s": 1e9}],
    }


def _device(node: str, memory: int, bandwidth: float, compute: float) -> dict[str, Any]:
    return {
        "id": f"{node}/cpu:0",
        "node": node,
        "backend": "cpu",
        "memory_total_bytes": memory,
        "memory_bandwidth_bytes_per_s": bandwidth,
        "compute_flops_per_s": compute,
    }


def all_gone(processes: Sequence[psutil.Process], within_s: float) -> bool:
    """Whether all processes end in time."""
    return not psutil.wait_procs(processes, timeout=within_s)[1]
