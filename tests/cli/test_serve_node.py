"""``hgx serve`` without a model, as a user runs it; on loopback only."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.cli.main import run
from hgx.cli.render.node import NodeScreen
from hgx.net.identity import own_identity
from hgx.net.peer import PeerClient
from hgx.node.agent import Running
from hgx.store.home import Home

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

RUNNING = Running("tower-2", ("10.0.0.2", "fe80::1%eth0"), 9474, None, "tower")


@pytest.fixture
def node(tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    """A node that answers on a free port of loopback; it is ended whatever happens."""
    command = [sys.executable, "-m", "hgx", "--home", str(tmp_path), "serve", "--json"]
    command += ["--name", "tower", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_node_answers_and_ends(node: subprocess.Popen[str], tmp_path: Path) -> None:
    """It says where it answers, tells its devices under its name, and leaves nothing behind."""
    assert node.stdout is not None
    said = json.loads(node.stdout.readline())
    told = PeerClient("127.0.0.1", said["port"]).node()
    assert told.fingerprint == said["fingerprint"] == own_identity(Home(tmp_path)).fingerprint
    assert told.node.id == "tower"
    assert told.devices[0].id == "tower/cpu:0"
    children = psutil.Process(node.pid).children()
    node.send_signal(signal.SIGTERM)
    node.communicate(timeout=60)
    assert node.returncode == 0
    assert not [child for child in children if child.is_running()]


def test_a_killed_node_leaves_no_child(node: subprocess.Popen[str]) -> None:
    """Also SIGKILL leaves neither a process nor an open port."""
    assert node.stdout is not None
    port = json.loads(node.stdout.readline())["port"]
    children = psutil.Process(node.pid).children(recursive=True)
    node.kill()
    node.wait(60)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 30)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompt", "Hello"], "name a model"),
        (["--name", "Living Room"], "such as living-room"),
        (["demo", "--name", "tower"], "only a node has a name"),
        (["demo", "--host", "\x1b[31m"], r"not on '\x1b[31m'"),
        (["demo", "--host", "192.0.2.1"], "127.0.0.1 or ::1 only"),
    ],
)
def test_wrong_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that do not belong together are wrong usage, with what would be right."""
    assert run(["serve", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Addresses are on stdout, ready to be copied; the rest is on stderr."""
    screen = NodeScreen(as_json=False, quiet=False)
    screen.notes(("no \x1b card",))
    screen.ready(RUNNING, "ab" * 32)
    out, err = capsys.readouterr()
    assert out.splitlines() == ["10.0.0.2:9474", "[fe80::1%eth0]:9474"]
    assert r"no \x1b card" in err
    assert err.splitlines()[1:3] == [
        "tower was taken in this network: this node is tower-2 (--name gives it another name)",
        "tower-2 is announced and answers at (Ctrl+C stops it):",
    ]
    assert err.splitlines()[-1] == "  hgx discover"


def test_what_is_shown_where_nothing_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    """Without multicast the reason is said, and how to be found all the same."""
    screen = NodeScreen(as_json=False, quiet=False)
    screen.ready(RUNNING._replace(unannounced="no multicast here"), "ab" * 32)
    err = capsys.readouterr().err
    assert "tower-2 is not announced: no multicast here" in err
    assert err.splitlines()[-1] == "  hgx discover --peer 10.0.0.2:9474"


@pytest.mark.parametrize(
    ("addresses", "said", "last"),
    [
        (("127.0.0.1", "::1"), "It answers this machine alone, at (", "  hgx discover --peer 127"),
        ((), "Nothing reaches it now (Ctrl+C stops it).", "  certificate abab"),
    ],
)
def test_what_is_shown_without_a_network(
    addresses: tuple[str, ...], said: str, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is sent to another machine with an address that leads nowhere from there."""
    running = Running("tower", addresses, 9474, "no network")
    NodeScreen(as_json=False, quiet=False).ready(running, "ab" * 32)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == len(addresses)
    assert "tower is not announced: no network" in err
    assert said in err
    assert err.splitlines()[-1].startswith(last)
    assert "another machine" not in err


@pytest.mark.parametrize("host", ["", "a" * 70, "\x1b[31m", "127.0.0.1\0", "192.0.2.77"])
def test_bad_hosts(host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad host is one sentence and an exit code, before anything else is done."""
    assert run(["--home", str(tmp_path), "serve", "--host", host]) == 7
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hgx: error: ")
    assert "--host" in err
    assert err[:-1].isprintable()
    assert not list(tmp_path.iterdir())


def test_quiet_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet only addresses are printed, with --json one object."""
    NodeScreen(as_json=False, quiet=True).ready(RUNNING, "ab" * 32)
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (2, "")
    NodeScreen(as_json=True, quiet=False).ready(RUNNING, "ab" * 32)
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "name": "tower-2",
        "addresses": ["10.0.0.2:9474", "[fe80::1%eth0]:9474"],
        "port": 9474,
        "fingerprint": "ab" * 32,
        "unannounced": None,
        "renamed_from": "tower",
    }
