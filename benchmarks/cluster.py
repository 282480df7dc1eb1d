"""How good the plan is: clusters of unequal machines, hgx's split beside all others, in one run.

    python benchmarks/cluster.py [--engine-dir DIR] [--only N,...] [--finer 3]

Machines are network namespaces whose processors have a quota (``benchmarks/lab.py``); each of them
is measured with ``hgx bench --engine`` as it would be at home. Gemma 3 270M then runs, one stream,
one thread per machine,

- as hgx plans it, through leases and encrypted tunnels (``hgx serve``),
- as llama.cpp splits it by itself, by free memory, over plain connections,
- in every other split, over plain connections: blocks in steps, the host's first, workers in both
  orders, the output head last. Where memory is given, splits that do not fit are left out, and
  llama.cpp's own split is that of the memory given, since it would see the real one.

The quickest few of all splits then run again, with tokens drawn where the output head is and on the
host, in rounds with hgx's and llama.cpp's own: medians of those rounds are in the table, since the
quickest of many single runs would be so by chance too. The very best runs through tunnels as well,
which tells the price of encryption from that of a poor plan.

Targets: in the geometric mean at least 1.3 times llama.cpp's own split, over plain connections, and
0.97 of the best one found; predicted against measured tokens per second within 10 % at the median,
20 % at the 90th percentile.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
from cluster_child import PROMPT, TOKENS
from lab import lab

from hgx.core.options import PlanOptions
from hgx.core.registry import Registry
from hgx.engine.binaries import find_toolkit
from hgx.engine.demo import demo_model_path
from hgx.errors import Infeasible
from hgx.flows.served import learn
from hgx.gguf.workload import read_workload
from hgx.net.identity import own_identity
from hgx.net.proof import own_certificate
from hgx.planner.evaluate import evaluate
from hgx.planner.solve import solve
from hgx.store.home import Home
from hgx.store.ledger import Ledger
from hgx.store.trust import TrustedPeer, add_trusted
from hgx.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab import Lab, Machine

    from hgx.core.workload import Workload
    from hgx.engine.binaries import Toolkit

CTX, RPC_PORT, AGENT_PORT = 512, 50052, 9474
TUNNEL_PORT = 9475
"""Of a second agent on each worker, which lends to the tunnels that all splits may use."""
TUNNEL = ", tunnel"
DRAWN = ", drawn there"
"""Of a split whose tokens are drawn where the output head is."""

STEPS = {2: 3, 3: 6, 4: 9}
"""Blocks per step of the splits that are tried, by the number of machines."""

HERE = Path(__file__).parent
PLENTY = 8192 * MIB
FINALISTS, ROUNDS = 2, 3


class Cluster(NamedTuple):
    """Machines, the coordinator first.

    Attributes:
        cores: Share of the processors of each.
        memory: Of each, in MiB; enough where it is not given.
    """

    cores: tuple[float, ...]
    memory: tuple[int, ...] = ()


CLUSTERS = (
    Cluster((0.25, 1.0)),
    Cluster((1.0, 0.25)),
    Cluster((0.5, 1.0)),
    Cluster((1.0, 1.0)),
    Cluster((0.5, 1.0, 0.25)),
    Cluster((0.25, 0.5, 1.0)),
    Cluster((0.5, 1.0, 1.0), (800, 1260, 560)),
    Cluster((1.0, 0.25, 0.5), (790, 560, 1260)),
    Cluster((0.25, 0.5, 1.0, 0.5)),
    Cluster((0.5, 0.25, 1.0, 0.5), (780, 560, 1250, 560)),
)
"""Memory is counted without hgx's headroom of 512 MiB per machine, which is on top of it here."""


class Split(NamedTuple):
    """Blocks of each machine with any, in order: (machine, blocks); the head is on the last."""

    parts: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return " ".join(
            f"{'host' if machine == 0 else f'w{machine}'}:{n}" for machine, n in self.parts
        )


class Outcome(NamedTuple):
    """What one cluster gave, in tokens per second.

    Attributes:
        cluster: Its machines.
        plan: What hgx planned.
        planned: What that gave.
        predicted: What it should have given, by what was measured of the machines.
        learnt: The same after the requests of this benchmark, by what they taught.
        default: What llama.cpp's own split gave; null where it failed.
        best: What the quickest split gave, over plain connections.
        best_split: Which one that was.
        tunnelled: What the split that was quickest at first gave through tunnels.
        tried: How many splits were tried.
    """

    cluster: Cluster
    plan: str
    planned: float
    predicted: float
    learnt: float
    default: float | None
    best: float
    best_split: str
    tunnelled: float
    tried: int


def main() -> None:
    """Measure, and print the table."""
    signal.signal(signal.SIGTERM, end)
    options = argparse.ArgumentParser()
    options.add_argument("--engine-dir", type=Path)
    options.add_argument("--only")
    options.add_argument("--finer", type=int, default=1, help="divides the steps of the splits")
    options.add_argument("--folder", type=Path, help="keeps what was measured of machines")
    given = options.parse_args()
    toolkit = find_toolkit(given.engine_dir)
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(toolkit, given.folder or Path(folder), given.finer)
        chosen = [int(n) for n in given.only.split(",")] if given.only else range(len(CLUSTERS))
        print_header(toolkit)
        outcomes: list[Outcome] = []
        for number in chosen:
            outcome = bench.outcome(number, CLUSTERS[number])
            if outcome is None:
                print(f"| {number}: hgx did not serve{' |' * 10}", flush=True)
            else:
                outcomes.append(outcome)
                print_row(number, outcome)
        print_summary(outcomes)


def end(*_: object) -> None:
    """End when told to, with all that runs in the machines."""
    sys.exit(1)


class _Bench:
    def __init__(self, toolkit: Toolkit, folder: Path, finer: int) -> None:
        self._toolkit = toolkit
        self._folder = folder
        self._finer = finer
        self._model = demo_model_path(folder)
        self._workload: Workload = read_workload(self._model)
        self._rates: dict[float, dict[str, Any]] = {}
        self._env = os.environ | {"HGX_LLAMA_CPP": f"{toolkit.server.parent}"}

    def outcome(self, number: int, cluster: Cluster) -> Outcome | None:
        """Measure one cluster; null where hgx did not serve."""
        for cores in sorted(set(cluster.cores) - set(self._rates)):
            self._rates[cores] = self._calibrated(cores)
        with lab(cluster.cores) as network:
            if not network.quotas:
                print("no quotas here: all machines are equally fast")
            homes = self._nodes(number, network)
            registry = self._registry(cluster, network, homes)
            file = homes[0].path / "given.json"
            file.write_text(registry.model_dump_json(by_alias=True, exclude_none=True))
            splits = list(self._splits(cluster, registry))
            prompt = len(PROMPT) // 4
            asked = PlanOptions(
                ctx=CTX, prompt_tokens=prompt, output_tokens=TOKENS, coordinator="m1"
            )
            plan = solve(registry, self._workload, asked)
            self._start_engines(network)
            rpc = ",".join(f"{machine.address}:{RPC_PORT}" for machine in network.machines[1:])
            base, through = self._server(rpc), self._server(self._tunnels(number, network, homes))
            placed = {str(split): _arguments(split) for split in splits}
            found = self._medians(
                network, homes[0], {name: [*base, *more] for name, more in placed.items()}, 1
            )
            finals: dict[str, list[str]] = {}
            best = sorted(found, key=found.__getitem__, reverse=True)[:FINALISTS]
            for name in best:
                finals[name] = [*base, *placed[name]]
                finals[f"{name}{DRAWN}"] = [*base, *placed[name], "--backend-sampling"]
            first = placed[best[0]]
            finals[f"{best[0]}{TUNNEL}"] = [*through, *first]
            finals[f"{best[0]}{DRAWN}{TUNNEL}"] = [*through, *first, "--backend-sampling"]
            shares = ",".join(map(str, cluster.memory[1:]))
            finals["default"] = [*base, "-ngl", "99", *(["-ts", shares] if shares else [])]
            finals["hgx"] = self._serving(file)
            final = self._medians(network, homes[0], finals, ROUNDS)
            if "hgx" not in final:
                return None
            learnt = learn(registry, Ledger(homes[0]))
            again = solve(registry, self._workload, asked, corrections=learnt.corrections)
        planned, default = final.pop("hgx"), final.pop("default", None)
        tunnelled = max(rate for name, rate in final.items() if name.endswith(TUNNEL))
        plain = {name: rate for name, rate in final.items() if not name.endswith(TUNNEL)}
        quickest = max(plain, key=plain.__getitem__)
        return Outcome(
            cluster,
            " ".join(
                f"{'host' if s.device.startswith('m1/') else 'w' + str(int(s.device[1]) - 1)}:"
                f"{s.last_block - s.first_block + 1}"
                for s in plan.stages
            ),
            planned,
            plan.predicted.tokens_per_s if plan.predicted else math.nan,
            again.predicted.tokens_per_s if again.predicted else math.nan,
            default,
            plain[quickest],
            quickest,
            tunnelled,
            len(splits),
        )

    def _calibrated(self, cores: float) -> dict[str, Any]:
        """Measure a machine of that share with the engine, as its user would."""
        home = self._folder / f"class-{cores}"
        with lab([] if (home / "done").exists() else [cores]) as network:
            for machine in network.machines:
                env = self._env | {"HGX_HOME": f"{home}"}
                hgx = [sys.executable, "-m", "hgx"]
                machine.run(*hgx, "discover", "--local", "--json", env=env)
                engine = ["bench", "--engine", "--quick", "--model", "demo", "--json"]
                machine.run(*hgx, *engine, env=env)
                (home / "done").touch()
        registry = json.loads((home / "registry.json").read_text())
        device = next(one for one in registry["devices"] if one["backend"] == "cpu")
        return {
            name: device[name]
            for name in ("memory_bandwidth_bytes_per_s", "compute_flops_per_s", "engine")
            if name in device
        }

    def _nodes(self, number: int, network: Lab) -> list[Home]:
        """Make homes that trust each other, and start the workers' agents."""
        homes = [Home(self._folder / f"{number}-m{n + 1}") for n in range(len(network.machines))]
        for n, home in enumerate(homes, 1):
            home.create()
            home.node_file.write_text(json.dumps({"id": f"m{n}"}))
        for n, home in enumerate(homes[1:], 2):
            _trust(homes[0], home, f"m{n}")
            _trust(home, homes[0], "m1")
        for machine, home in zip(network.machines[1:], homes[1:], strict=True):
            _start_agent(machine, self._env | {"HGX_HOME": f"{home.path}"})
        return homes

    def _registry(self, cluster: Cluster, network: Lab, homes: Sequence[Home]) -> Registry:
        """Describe the cluster by what was measured of its machines and of the link."""
        nodes: list[dict[str, Any]] = [{"id": "m1"}]
        for n, (machine, home) in enumerate(zip(network.machines, homes, strict=True), 1):
            if n > 1:
                address = f"{machine.address}:{AGENT_PORT}"
                fingerprint = own_identity(home).fingerprint
                nodes.append(
                    {"id": f"m{n}", "paired": True, "address": address, "fingerprint": fingerprint}
                )
        memory = [mib * MIB for mib in cluster.memory] or [PLENTY] * len(cluster.cores)
        devices = [
            {
                "id": f"m{n}/cpu:0",
                "node": f"m{n}",
                "backend": "cpu",
                "memory_total_bytes": size + 512 * MIB if cluster.memory else size,
                **self._rates[cores],
            }
            for n, (size, cores) in enumerate(zip(memory, cluster.cores, strict=True), 1)
        ]
        links = [
            {"from": "m1", "to": f"m{n}", **_link(network, n)} for n in range(2, len(nodes) + 1)
        ]
        document = {"version": 1, "nodes": nodes, "devices": devices, "links": links}
        return Registry.model_validate_json(json.dumps(document))

    def _splits(self, cluster: Cluster, registry: Registry) -> Iterator[Split]:
        """Give all splits in steps that fit."""
        blocks, count = self._workload.n_block, len(cluster.cores)
        step = max(1, STEPS[count] // self._finer)
        workers = tuple(range(1, count))
        seen: set[Split] = set()
        for order in dict.fromkeys((workers, workers[::-1])):
            for sizes in _compositions(blocks, count, step):
                parts = zip((0, *order), sizes, strict=True)
                split = Split(tuple((machine, n) for machine, n in parts if n))
                if split not in seen and _fits(split, registry, self._workload):
                    seen.add(split)
                    yield split

    def _serving(self, registry: Path) -> list[str]:
        command = [sys.executable, "-m", "hgx", "--quiet", "serve", f"{self._model}", "--json"]
        return [*command, "--devices", f"{registry}", "--port", "0", "--ctx", f"{CTX}"]

    def _start_engines(self, network: Lab) -> None:
        """Start plain rpc servers beside the agents, which start their own."""
        server = f"{self._toolkit.need('rpc_server')}"
        for machine in network.machines[1:]:
            where = ["-H", machine.address, "-p", f"{RPC_PORT}", "-t", "1"]
            machine.start(server, *where, stdout=subprocess.DEVNULL)
        time.sleep(1)

    def _server(self, rpc: str) -> list[str]:
        base = [f"{self._toolkit.server}", "-m", f"{self._model}", "--port", "0", "-np", "1"]
        return [*base, "-c", f"{CTX}", "-t", "1", "--no-webui", "--rpc", rpc]

    def _tunnels(self, number: int, network: Lab, homes: Sequence[Home]) -> str:
        """Start a second agent on each worker, and hold a lease of it; return the near ends."""
        workers: list[str] = []
        for n, machine in enumerate(network.machines[1:], 2):
            home = Home(self._folder / f"{number}-m{n}-tunnel")
            home.create()
            home.node_file.write_text(json.dumps({"id": f"m{n}-tunnel"}))
            _trust(homes[0], home, f"m{n}-tunnel")
            _trust(home, homes[0], "m1")
            _start_agent(machine, self._env | {"HGX_HOME": f"{home.path}"}, TUNNEL_PORT)
            fingerprint = own_identity(home).fingerprint
            workers.append(f"{machine.address}:{TUNNEL_PORT},{fingerprint}")
        command = [sys.executable, f"{HERE / 'cluster_tunnels.py'}", f"{homes[0].path}", *workers]
        process = network.machines[0].start(*command, stdin=subprocess.PIPE, env=self._env)
        ends = process.stdout.readline().strip() if process.stdout else ""
        if not ends:
            raise SystemExit("the workers lent nothing to the tunnels")
        return ends

    def _medians(
        self, network: Lab, home: Home, configs: dict[str, list[str]], rounds: int
    ) -> dict[str, float]:
        """Run all ways in rounds; return each one's median tokens per second, where it ran."""
        order = [
            {"name": name, "command": command}
            for _ in range(rounds)
            for name, command in configs.items()
        ]
        env = self._env | {"HGX_HOME": f"{home.path}"}
        lines = self._child(network.machines[0], order, env)
        rates: dict[str, list[float]] = {}
        for line in lines:
            if "failed" in line:
                print(f"{line['name']} failed: {line['failed']}", file=sys.stderr, flush=True)
            else:
                rates.setdefault(line["name"], []).append(line["tokens_per_s"])
        return {name: statistics.median(some) for name, some in rates.items()}

    def _child(
        self, machine: Machine, configs: list[dict[str, Any]], env: dict[str, str]
    ) -> list[dict[str, Any]]:
        file = self._folder / "configs.json"
        file.write_text(json.dumps(configs))
        with file.open() as stdin:
            said = machine.run(sys.executable, f"{HERE / 'cluster_child.py'}", stdin=stdin, env=env)
        return [json.loads(line) for line in said.splitlines()]


def _trust(home: Home, other: Home, name: str) -> None:
    identity = own_identity(other)
    certificate = ssl.DER_cert_to_PEM_cert(own_certificate(identity))
    peer = TrustedPeer(fingerprint=identity.fingerprint, name=name, certificate=certificate)
    add_trusted(home, peer)


def _start_agent(machine: Machine, env: dict[str, str], port: int = AGENT_PORT) -> None:
    command = [sys.executable, "-m", "hgx", "serve", "--json", "--no-telemetry"]
    command += ["--port", f"{port}"]
    process = machine.start(*command, "--host", machine.address, env=env, stderr=subprocess.DEVNULL)
    if process.stdout is None or not process.stdout.readline():
        raise SystemExit("a worker's agent did not start")


def _link(network: Lab, number: int) -> dict[str, Any]:
    """Measure the link from the first machine to another one, as ``hgx bench`` does."""
    program = (
        "import json, statistics, sys, time; from hgx.net.peer import PeerClient\n"
        f"peer = PeerClient(sys.argv[1], {AGENT_PORT})\n"
        "times = [peer.tcp_handshakes(1)[0] for _ in range(20) if not time.sleep(0.05)]\n"
        "rates = peer.download(64 << 20)\n"
        "print(json.dumps({'rtt_s': statistics.median(times), "
        "'bandwidth_bytes_per_s': statistics.median(rates)}))"
    )
    address = network.machines[number - 1].address
    return json.loads(network.machines[0].run(sys.executable, "-c", program, address))


def _compositions(total: int, parts: int, step: int) -> Iterator[tuple[int, ...]]:
    """Give all ways to put blocks on machines in steps; the last takes what is left."""
    if parts == 1:
        yield (total,)
        return
    for first in range(0, total + 1, step):
        for rest in _compositions(total - first, parts - 1, step):
            yield (first, *rest)


def _fits(split: Split, registry: Registry, workload: Workload) -> bool:
    placement: list[tuple[str, int, int]] = []
    at = 0
    for machine, count in split.parts:
        placement.append((f"m{machine + 1}/cpu:0", at, at + count - 1))
        at += count
    try:
        evaluate(registry, workload, placement, PlanOptions(ctx=CTX, coordinator="m1"))
    except Infeasible:
        return False
    return True


def _arguments(split: Split) -> list[str]:
    away = [(machine, n) for machine, n in split.parts if machine]
    if not away:
        return ["-ngl", "0", "--device", "none", "--fit", "off"]
    counts = [n for _, n in away]
    counts[-1] += 1
    devices = ",".join(f"RPC{machine - 1}" for machine, _ in away)
    shares = ",".join(map(str, counts))
    return ["-ngl", f"{sum(counts)}", "--device", devices, "-ts", shares, "--fit", "off"]


def print_header(toolkit: Toolkit) -> None:
    """Print the machine."""
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    print(f"{platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GiB")
    print(f"llama.cpp {toolkit.version}, Gemma 3 270M Q4_K_M, context {CTX}, decode, one stream")
    print()
    print(
        "| cores, MiB | plan | hgx | predicted | learnt | llama.cpp | best | best split "
        "| best, tunnel | tried |"
    )
    print(f"{'|---' * 10}|", flush=True)


def print_row(number: int, it: Outcome) -> None:
    """Print a cluster's line."""
    machines = " ".join(map(str, it.cluster.cores))
    if it.cluster.memory:
        machines += ", " + " ".join(map(str, it.cluster.memory))
    default = "fails" if it.default is None else f"{it.default:.1f}"
    print(
        f"| {number}: {machines} | {it.plan} | {it.planned:.1f} | {it.predicted:.1f} "
        f"| {it.learnt:.1f} | {default} | {it.best:.1f} | {it.best_split} "
        f"| {it.tunnelled:.1f} | {it.tried} |",
        flush=True,
    )


def print_summary(outcomes: Sequence[Outcome]) -> None:
    """Print what the targets are about."""
    over = [it.planned / it.default for it in outcomes if it.default]
    best = [it.planned / it.best for it in outcomes]
    print()
    print(f"over llama.cpp's own split: {statistics.geometric_mean(over):.2f} (target 1.3)")
    tunnelled = [it.planned / it.tunnelled for it in outcomes]
    print(f"of the best split found: {statistics.geometric_mean(best):.3f} (target 0.97)")
    print(f"of the best one through tunnels: {statistics.geometric_mean(tunnelled):.3f}")
    for name, rates in (
        ("predicted", [it.predicted for it in outcomes]),
        ("learnt", [it.learnt for it in outcomes]),
    ):
        pairs = zip(rates, outcomes, strict=True)
        off = sorted(abs(rate / it.planned - 1) for rate, it in pairs)
        ninth = off[math.ceil(0.9 * len(off)) - 1]
        print(
            f"{name} off by {statistics.median(off):.0%} at the median (target 10%), "
            f"{ninth:.0%} at the 90th percentile (target 20%)"
        )


if __name__ == "__main__":
    main()
