"""Ports that are free, this node's or somebody else's; all on loopback."""

from __future__ import annotations

import json
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx._version import __version__
from hgx.flows import doctor_ports
from hgx.flows.diagnose import Step
from hgx.flows.doctor_check import Check, run_parts
from hgx.flows.doctor_ports import port_parts
from hgx.net.identity import own_identity
from hgx.store.home import Home
from tests.net.node import described
from tests.net.servers import answered, server

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

NODE = answered({"api": 1, "hgx": __version__, **described("tower")})
MODELS = answered({"object": "list", "data": [{"id": "demo", "owned_by": "hgx"}]})


@contextmanager
def bound(address: str = "127.0.0.1") -> Generator[int]:
    """Take a port and never answer there; gives its number."""
    with socket.create_server((address, 0)) as taken:
        yield taken.getsockname()[1]


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with bound() as port:
        return port


def node_port(home: Path, port: int) -> Check:
    """Check the port of a node."""
    return run_parts(port_parts(Home(home), port, free_port(), multicast=False))[0]


def model_port(port: int) -> Check:
    """Check the port of a served model."""
    return run_parts(port_parts(Home(), free_port(), port, multicast=False))[1]


def test_free_ports(tmp_path: Path) -> None:
    """Ports that nobody has are fine, and free afterwards too; nothing is made."""
    ports = (free_port(), free_port())
    home = Home(tmp_path / "none")
    for _ in range(2):
        found = run_parts(port_parts(home, *ports, multicast=False))
        assert [check.what for check in found] == [f"port {port}" for port in ports]
        assert [check.state for check in found] == ["ok", "ok"]
    assert not home.path.exists()


def test_this_node(tmp_path: Path) -> None:
    """Where this node answers the port is as it should be."""
    with server(NODE, tmp_path) as port:
        check = node_port(tmp_path, port)
    assert (check.state, check.remedy) == ("ok", None)
    assert check.found == f"this node answers there, with hgx {__version__}"


def test_another_node(tmp_path: Path) -> None:
    """A node with another home is told by its certificate, and has the port to itself."""
    with server(NODE, tmp_path / "other") as port:
        check = node_port(tmp_path, port)
    assert check.state == "warning"
    theirs = own_identity(Home(tmp_path / "other")).fingerprint
    assert f"another node of this machine answers there, certificate {theirs[:16]}" in check.found
    assert check.remedy == "end what has it, or choose another with `hgx serve --port`"


@pytest.mark.parametrize("program", ["silent", "web", "old hgx"])
def test_a_port_that_is_taken(tmp_path: Path, program: str) -> None:
    """Another program is a warning that says what it does and which process it is."""
    if program == "silent":
        taken, home, said = bound(), None, "did not answer within 3 s"
    elif program == "web":
        taken, home, said = server(b"HTTP/1.1 400 No\r\n\r\n"), None, "does not speak TLS 1.3"
    else:
        home = tmp_path / "old"
        old = answered({"api": 9, "hgx": "9.0", **described("tower")})
        taken, said = server(old, home), "runs hgx 9.0 and speaks version 9"
    with taken as port:
        check = node_port(tmp_path, port)
    assert check.state == "warning"
    assert said in check.found
    assert f"(process {psutil.Process().pid})" in check.found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address")
def test_a_port_at_another_address(tmp_path: Path) -> None:
    """A port that is taken where loopback does not lead to is not free either."""
    with bound("127.0.0.2") as port:
        check = node_port(tmp_path, port)
    assert check.state == "warning"
    assert f"cannot listen on port {port}, it is in use" in check.found


def test_a_damaged_identity(tmp_path: Path) -> None:
    """A node answers, and who this one is cannot be told: it counts as another."""
    other, home = tmp_path / "other", tmp_path / "home"
    (home / "identity").mkdir(parents=True)
    (home / "identity" / "node.pem").write_text("damaged")
    with server(NODE, other) as port:
        assert "another node" in node_port(home, port).found


def test_owners_that_are_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not say who has a port, the rest is said."""

    def refuse(kind: str) -> object:
        raise psutil.AccessDenied(msg=kind)

    monkeypatch.setattr(psutil, "net_connections", refuse)
    with server(b"no\r\n\r\n") as port:
        check = node_port(tmp_path, port)
    assert (check.state, "process" in check.found) == ("warning", False)


def test_a_served_model() -> None:
    """Where hgx serves a model that is said, with its name."""
    with server(MODELS) as port:
        check = model_port(port)
    assert (check.state, check.found) == ("ok", "`hgx serve` answers there with demo")


@pytest.mark.parametrize(
    "said",
    [
        answered({"data": [{"id": "gpt", "owned_by": "others"}]}),
        answered(b"not JSON"),
        b"not HTTP\r\n",
        b"",
    ],
)
def test_another_server(said: bytes) -> None:
    """Whatever else answers there is a warning."""
    with server(said) as port:
        check = model_port(port)
    assert check.state == "warning"
    assert f"cannot listen on port {port} of 127.0.0.1, it is in use" in check.found


def test_multicast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of the diagnosis become checks; what fails is a warning: peers can be named."""
    steps = [
        Step("interface", "ok", "up with an address: eth0."),
        Step("multicast join", "failed", "it is refused.", "allow it"),
        Step("firewall", "skipped", "it cannot be tried."),
    ]
    monkeypatch.setattr(doctor_ports, "own_steps", lambda: (steps, ()))
    found = run_parts(port_parts(Home(), free_port(), free_port(), multicast=True))[2:]
    assert found == (
        Check("ports", "interface", "ok", "up with an address: eth0"),
        Check("ports", "multicast join", "warning", "it is refused", "allow it"),
        Check("ports", "firewall", "note", "it cannot be tried"),
    )
    assert json.dumps([check._asdict() for check in found])
