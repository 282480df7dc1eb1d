"""Unequal machines on one: network namespaces on a bridge, each with a share of the processors.

It needs root, or the rights of it. The namespaces have names of this process, and whatever happens
they and all that runs in them are gone at the end.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

_PERIOD_US = 5_000
_CGROUPS = Path("/sys/fs/cgroup")


class Lab:
    """A network of machines.

    Attributes:
        machines: In the order of the shares.
        quotas: Whether the shares are kept to; where the system has no such thing they are not.
    """

    def __init__(self, machines: Sequence[Machine], *, quotas: bool) -> None:
        self.machines = tuple(machines)
        self.quotas = quotas


class Machine:
    """One namespace.

    Args:
        name: Of the namespace.
        number: Of the machine in its network, from 1.
        cores: Share of the processors, in cores.

    Attributes:
        address: Where others reach it.
    """

    def __init__(self, name: str, number: int, cores: float) -> None:
        self.name = name
        self.cores = cores
        self.address = f"10.98.0.{number}"
        self._number = number
        self._group = _group(name)

    def start(self, *command: str, **options: object) -> subprocess.Popen[str]:
        """Start a program inside, its output as text in pipes unless options say otherwise."""
        inside = ["ip", "netns", "exec", self.name, *command]
        if self._group is not None:
            join = f'echo $$ > "{self._group}/cgroup.procs"; exec "$@"'
            inside = ["sh", "-c", join, "sh", *inside]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        own = {"preexec_fn": self._on_its_cores}
        return subprocess.Popen(inside, **(pipes | own | options))  # pyright: ignore[reportCallIssue, reportArgumentType, reportUnknownVariableType]

    def _on_its_cores(self) -> None:
        """Let the program see no more processors than the share has, as it would at home."""
        there = sorted(os.sched_getaffinity(0))
        count = max(1, math.ceil(self.cores))
        first = self._number % len(there)
        os.sched_setaffinity(0, (there[first:] + there[:first])[:count])

    def run(self, *command: str, **options: object) -> str:
        """Run a program inside; return what it printed.

        Raises:
            SystemExit: It failed.
        """
        process = self.start(*command, **options)
        said, complaint = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{complaint}")
        return said

    def limit(self) -> bool:
        """Keep the machine to its share; return whether the system can."""
        if self._group is None:
            return False
        with suppress(OSError):
            self._group.mkdir()
        try:
            if (self._group / "cpu.max").exists():
                quota = f"{round(self.cores * _PERIOD_US)} {_PERIOD_US}"
                (self._group / "cpu.max").write_text(quota)
            else:
                (self._group / "cpu.cfs_period_us").write_text(f"{_PERIOD_US}")
                quota = f"{round(self.cores * _PERIOD_US)}"
                (self._group / "cpu.cfs_quota_us").write_text(quota)
        except OSError:
            self._group = None
            return False
        return True

    def clear(self) -> None:
        """End all that runs inside."""
        for _ in range(50):
            pids = _sh(f"ip netns pids {self.name}").split()
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            if not pids:
                return
            time.sleep(0.1)

    def remove(self) -> None:
        """End all that runs inside, and remove the machine."""
        self.clear()
        _sh(f"ip netns del {self.name}")
        if self._group is not None:
            with suppress(OSError):
                self._group.rmdir()


@contextmanager
def lab(shares: Sequence[float]) -> Generator[Lab]:
    """Build a network of machines; they are gone when the context ends.

    Args:
        shares: Of the processors, in cores, one per machine.

    Raises:
        SystemExit: This machine does not permit namespaces.
    """
    base = f"hgx{os.getpid()}"
    switch = f"{base}s"
    machines = [Machine(f"{base}m{n}", n, cores) for n, cores in enumerate(shares, 1)]
    try:
        _must(f"ip netns add {switch}")
        _must(f"ip -n {switch} link add bridge type bridge")
        _must(f"ip -n {switch} link set bridge up")
        for number, machine in enumerate(machines, 1):
            _must(f"ip netns add {machine.name}")
            veth = f"link add eth0 netns {machine.name} type veth peer name port{number}"
            _must(f"ip {veth} netns {switch}")
            _must(f"ip -n {switch} link set port{number} master bridge up")
            _must(f"ip -n {machine.name} addr add {machine.address}/24 dev eth0")
            _must(f"ip -n {machine.name} link set eth0 up")
            _must(f"ip -n {machine.name} link set lo up")
        limited = [machine.limit() for machine in machines]
        yield Lab(machines, quotas=all(limited))
    finally:
        for machine in machines:
            machine.remove()
        _sh(f"ip netns del {switch}")


def _group(name: str) -> Path | None:
    """Return where a control group of processors of that name would be; null without any."""
    for parent in (_CGROUPS / "cpu", _CGROUPS):
        if (parent / "cgroup.procs").exists() and os.access(parent, os.W_OK):
            return parent / name
    return None


def _must(command: str) -> None:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"no namespaces here: {command}: {done.stderr.strip()}")


def _sh(command: str) -> str:
    return subprocess.run(command.split(), capture_output=True, text=True, check=False).stdout
