"""Machines of a network of their own: Linux network namespaces, joined by a bridge in another.

They need root, or the rights of it. Whatever happens, processes and namespaces go at the end:
the interfaces live in the namespaces, so nothing of them is left in the machine's own network.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_ROOT = Path(__file__).parents[2]
_numbers = itertools.count(1)


class Node(NamedTuple):
    """A node that answers.

    Attributes:
        process: It.
        running: What it says of itself.
    """

    process: subprocess.Popen[str]
    running: dict[str, Any]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


class Machine:
    """One namespace with an interface ``eth0``, and a home directory of its own.

    Attributes:
        name: Of the namespace.
        home: For hgx.
        ipv4: Its address.
        ipv6: Its address.
    """

    def __init__(self, name: str, number: int, home: Path) -> None:
        self.name = name
        self.home = home
        self.ipv4 = f"10.77.0.{number}"
        self.ipv6 = f"fd77::{number}"
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a program inside; it is killed at the end if it still runs.

        Args:
            command: ``python`` is this interpreter.
        """
        process = subprocess.Popen(
            self._inside(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env=os.environ | {"HGX_HOME": str(self.home)},
        )
        self._processes.append(process)
        return process

    def node(self, name: str, *options: str) -> Node:
        """Start a node and wait until it answers."""
        process = self.start("python", "-m", "tests.net.node", name, *options)
        return Node(process, json.loads(line_with(process, "name")))

    def find(self, *options: str) -> dict[str, Any]:
        """Look for peers from here; see ``tests.net.finder``."""
        return json.loads(self.run("python", "-m", "tests.net.finder", *options).splitlines()[-1])

    def run(self, *command: str, timeout_s: float = 60) -> str:
        """Run a program inside to its end and return what it printed.

        Raises:
            AssertionError: It failed.
        """
        process = self.start(*command)
        out, err = process.communicate(timeout=timeout_s)
        assert process.returncode == 0, err
        return out

    @contextmanager
    def setting(self, name: str, value: str, before: str) -> Generator[None]:
        """Set something of the kernel's network for a while."""
        _sysctl(self.name, f"{name}={value}")
        try:
            yield
        finally:
            _sysctl(self.name, f"{name}={before}")
            self.address()

    @contextmanager
    def unplugged(self) -> Generator[None]:
        """Take the interface down for a while."""
        _ip("-n", self.name, "link", "set", "eth0", "down")
        try:
            yield
        finally:
            _ip("-n", self.name, "link", "set", "eth0", "up")
            self.address()

    def address(self) -> None:
        """Give the interface its addresses, which the kernel forgets at times."""
        # They count at once: without nodad they are tried out for a second or more.
        for address in (f"{self.ipv4}/24", f"{self.ipv6}/64"):
            _ip("-n", self.name, "addr", "replace", address, "dev", "eth0", "nodad")

    def end(self) -> None:
        """End what still runs: in order, and by force where that takes long."""
        for process in self._processes:
            process.terminate()
        while self._processes:
            process = self._processes.pop()
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def _inside(self, command: tuple[str, ...]) -> list[str]:
        program = sys.executable if command[0] == "python" else command[0]
        return ["ip", "netns", "exec", self.name, program, *command[1:]]


@contextmanager
def machines(count: int, homes: Path) -> Generator[tuple[Machine, ...]]:
    """Make machines that reach each other by IPv4 and IPv6; skip where that is not permitted.

    Args:
        count: How many.
        homes: A directory for their homes.
    """
    _skip_unless_permitted()
    prefix = f"hgx{os.getpid()}n{next(_numbers)}"
    switch = f"{prefix}sw"
    with ExitStack() as stack:
        _namespace(stack, switch)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        _ip("-n", switch, "link", "set", "br0", "up")
        made: list[Machine] = []
        for number in range(1, count + 1):
            machine = Machine(f"{prefix}m{number}", number, homes / f"home{number}")
            _namespace(stack, machine.name)
            stack.callback(machine.end)
            _join(machine, switch, f"port{number}")
            made.append(machine)
        yield tuple(made)


def line_with(process: subprocess.Popen[str], word: str) -> str:
    """Read what a program prints up to the first line that has a word in it, and return that.

    Raises:
        AssertionError: It ended before.
    """
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return line
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


def heard_where(
    process: subprocess.Popen[str], holds: Callable[[dict[str, dict[str, Any]]], bool]
) -> dict[str, dict[str, Any]]:
    """Wait until a program hears such announcements, and return them.

    Args:
        process: ``tests.net.listener`` or ``tests.net.finder``.
        holds: Tells of all that are announced, by name, whether they are such.

    Raises:
        AssertionError: It ended before.
    """
    while True:
        heard = json.loads(line_with(process, '"heard"'))["heard"]
        if holds(heard):
            return heard


def _join(machine: Machine, switch: str, port: str) -> None:
    _ip("-n", machine.name, "link", "add", "eth0", "type", "veth", "peer", "name", port,
        "netns", switch)  # fmt: skip
    _ip("-n", switch, "link", "set", port, "master", "br0", "up")
    _ip("-n", machine.name, "link", "set", "lo", "up")
    _sysctl(machine.name, "net.ipv6.conf.eth0.accept_dad=0")
    _ip("-n", machine.name, "link", "set", "eth0", "up")
    machine.address()
    machine.home.mkdir()


def _namespace(stack: ExitStack, name: str) -> None:
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _sysctl(namespace: str, setting: str) -> None:
    name, _, value = setting.partition("=")
    path = "/proc/sys/" + name.replace(".", "/")
    command = ["ip", "netns", "exec", namespace, "sh", "-c", f"echo {value} > {path}"]
    subprocess.run(command, check=True, capture_output=True)


def _skip_unless_permitted() -> None:
    if sys.platform != "linux" or not shutil.which("ip"):
        pytest.skip("network namespaces need Linux and the program ip")
    name = f"hgx{os.getpid()}try"
    command = ["ip", "netns", "add", name]
    tried = subprocess.run(command, check=False, capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"network namespaces are not permitted here: {tried.stderr.strip()}")
    subprocess.run(["ip", "netns", "delete", name], check=True)
