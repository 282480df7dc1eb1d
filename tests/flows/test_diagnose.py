"""Why peers are not found, step by step, with networks that really fail."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hgx.errors import PeerError
from hgx.flows import diagnose as flow
from hgx.flows.diagnose import Step, diagnose, first_failure
from hgx.net.identity import own_identity
from hgx.net.interfaces import Interface
from hgx.store.home import Home
from tests.net.namespaces import machines
from tests.net.node import described
from tests.net.servers import answered, server

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from hgx.net.multicast import Way
    from tests.net.namespaces import Machine

MACHINES = 2
LOCAL = ("interface", "multicast join", "firewall")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Machine, ...]]:
    """Machines that reach each other."""
    with machines(MACHINES, tmp_path_factory.mktemp("network")) as made:
        yield made


class Found:
    """What a diagnosis found.

    Attributes:
        steps: All of them.
        outcomes: By name of the step.
    """

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.outcomes = {step.name: step.outcome for step in steps}

    @property
    def failure(self) -> Step:
        """The step to look at first."""
        failed = first_failure(self.steps)
        assert failed is not None
        return failed


def diagnosed(machine: Machine, *peers: str, wait_s: float = 1.0) -> Found:
    """Diagnose on a machine."""
    program = (
        "import json, sys; from hgx.flows.diagnose import diagnose;"
        "from hgx.store.home import Home; from hgx.net.identity import own_identity;"
        "steps = diagnose(Home(), wait_s=float(sys.argv[1]), peers=sys.argv[2:],"
        " own_fingerprint=own_identity(Home()).fingerprint); print(json.dumps(steps))"
    )
    out = machine.run("python", "-c", program, str(wait_s), *peers)
    return Found([Step(*step) for step in json.loads(out)])


def test_all_is_well(lan: tuple[Machine, ...]) -> None:
    """With a node that is announced every step is fine, and each says what it saw."""
    lan[0].node("tower")
    found = diagnosed(lan[1], wait_s=2.0)
    assert found.outcomes == dict.fromkeys((*LOCAL, "tcp", "tls", "version"), "ok")
    details = {step.name: step.detail for step in found.steps}
    assert lan[1].ipv4 in details["interface"]
    assert "eth0 (IPv4), eth0 (IPv6)" in details["multicast join"]
    assert "the other machine can still drop it" in details["firewall"]
    assert own_identity(Home(lan[0].home)).fingerprint in details["tls"]
    assert "tower runs hgx" in details["version"]
    assert first_failure(found.steps) is None


def test_nobody_there(lan: tuple[Machine, ...]) -> None:
    """Where no peer is announced or named, that is the last step; this node is no peer."""
    lan[0].node("own")
    found = diagnosed(lan[0], wait_s=2.0)
    assert found.outcomes == {**dict.fromkeys(LOCAL, "ok"), "tcp": "skipped"}
    assert found.steps[-1].detail == "nobody was heard in 2 s, and no peer is named."
    assert "start `hgx serve` on the other machine" in str(found.steps[-1].remedy)


def test_no_interface(lan: tuple[Machine, ...]) -> None:
    """Without an interface that step fails, and a named peer has no route."""
    with lan[1].unplugged():
        found = diagnosed(lan[1], lan[0].ipv4)
    assert (found.failure.name, found.outcomes["multicast join"]) == ("interface", "skipped")
    assert "connect a cable" in str(found.failure.remedy)
    assert (found.outcomes["firewall"], found.outcomes["tls"]) == ("skipped", "skipped")
    (tcp,) = [step for step in found.steps if step.name == "tcp"]
    assert (tcp.outcome, "no route" in tcp.detail) == ("failed", True)


def test_no_route(lan: tuple[Machine, ...]) -> None:
    """A peer in a network that nothing leads to fails at TCP, and says so."""
    found = diagnosed(lan[1], "10.99.0.1")
    assert (found.failure.name, "no route" in found.failure.detail) == ("tcp", True)
    assert "same network" in str(found.failure.remedy)


def test_refused(lan: tuple[Machine, ...]) -> None:
    """A machine without a node refuses, and the remedy is to start one."""
    found = diagnosed(lan[1], f"[{lan[0].ipv6}]:9474")
    assert (found.failure.name, "refuses" in found.failure.detail) == ("tcp", True)
    assert "start `hgx serve` there" in str(found.failure.remedy)
    assert found.failure.peer == f"[{lan[0].ipv6}]:9474"


@pytest.mark.parametrize("program", ["nft", "iptables"])
def test_firewalls(lan: tuple[Machine, ...], program: str) -> None:
    """A firewall that drops mDNS fails that step; one that drops the port fails TCP."""
    if not shutil.which(program):
        pytest.skip(f"the program {program} is not installed")
    lan[0].node("tower")
    udp, tcp = RULES[program]
    for rule in udp:
        lan[1].run(*rule)
    for rule in tcp:
        lan[0].run(*rule)
    found = diagnosed(lan[1], lan[0].ipv4)
    for machine in lan:
        machine.run(*FLUSH[program])
    assert found.failure.name == "firewall"
    assert "allow UDP port 5353" in str(found.failure.remedy)
    step = next(step for step in found.steps if step.name == "tcp")
    assert (step.outcome, "does not answer" in step.detail) == ("failed", True)
    assert "firewall" in str(step.remedy)


_NFT = ("nft", "add")
_CHAIN = ("table", "inet", "t", ";", "add", "chain", "inet", "t", "in")
_HOOK = ("{", "type", "filter", "hook", "input", "priority", "0", ";", "}")
_DROP = ("iptables", "-A", "INPUT", "-j", "DROP", "-p")
RULES: dict[str, tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]] = {
    "nft": (
        (
            (*_NFT, *_CHAIN, *_HOOK),
            (*_NFT, "rule", "inet", "t", "in", "udp", "dport", "5353", "drop"),
        ),
        (
            (*_NFT, *_CHAIN, *_HOOK),
            (*_NFT, "rule", "inet", "t", "in", "tcp", "dport", "9474", "drop"),
        ),
    ),
    "iptables": (
        ((*_DROP, "udp", "--dport", "5353"),),
        ((*_DROP, "tcp", "--dport", "9474"),),
    ),
}
FLUSH = {"nft": ("nft", "delete", "table", "inet", "t"), "iptables": ("iptables", "-F", "INPUT")}


def test_port_taken_by_another(lan: tuple[Machine, ...]) -> None:
    """A program that has the port of mDNS for itself fails the firewall step by name."""
    program = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
    program += "s.bind(('', 5353)); print('bound', flush=True); time.sleep(600)"
    process = lan[1].start("python", "-c", program)
    assert process.stdout is not None
    assert process.stdout.readline() == "bound\n"
    found = diagnosed(lan[1])
    assert found.failure.name == "firewall"
    assert "eth0 (IPv4): Address already in use" in found.failure.detail
    assert "though it did on eth0 (IPv6)" in found.failure.detail


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a peer on loopback."""
    return tmp_path_factory.mktemp("peer")


def on_loopback(
    monkeypatch: pytest.MonkeyPatch, home: Path, said: bytes, *, tls: bool = True
) -> Found:
    """Diagnose a server on loopback, without looking at interfaces."""
    monkeypatch.setattr(flow, "usable_interfaces", tuple)
    with server(said, home if tls else None) as port:
        steps = diagnose(Home(home), peers=[f"127.0.0.1:{port}"])
    return Found([step for step in steps if step.peer])


@pytest.mark.parametrize(
    ("said", "tls", "failing", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, "tls", "does not speak TLS 1.3"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", True, "version", "it answers 404"),
        (answered({"hello": "world"}), True, "version", "does not say what it is"),
        (
            answered({"api": 2, "hgx": "3.0", **described("tower")}),
            True,
            "version",
            "runs hgx 3.0 and speaks version 2",
        ),
    ],
)
def test_servers_that_are_no_peers(
    monkeypatch: pytest.MonkeyPatch, home: Path, said: bytes, *, tls: bool, failing: str, why: str
) -> None:
    """The step names what is wrong with a server, and later steps are skipped."""
    found = on_loopback(monkeypatch, home, said, tls=tls)
    assert found.outcomes["tcp"] == "ok"
    assert (found.failure.name, why in found.failure.detail) == (failing, True)
    assert found.failure.remedy
    assert found.outcomes["version"] == ("failed" if tls else "skipped")


def interface(**facts: Any) -> Interface:
    """Return an interface that the kernel does not have."""
    return Interface("x0", 77, ("192.0.2.9",), (), None)._replace(**facts)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to join on what is not there")
def test_multicast_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the group can be joined on no interface, that step fails with the system's words."""
    broken = (interface(multicast=None), interface(ipv4=(), ipv6=("fe80::1%x0",), multicast=True))
    monkeypatch.setattr(flow, "usable_interfaces", lambda: broken)
    found = Found(list(diagnose(Home(tmp_path))))
    assert found.failure.name == "multicast join"
    assert "x0 (IPv4): No such device; x0 (IPv6): No such device" in found.failure.detail
    assert (found.outcomes["firewall"], found.outcomes["tcp"]) == ("skipped", "skipped")
    assert found.steps[-1].detail == "nobody can be heard, and no peer is named."


def test_no_multicast_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interfaces that carry no multicast, as tunnels, are named."""
    monkeypatch.setattr(flow, "usable_interfaces", lambda: (interface(multicast=False),))
    found = Found(list(diagnose(Home(tmp_path))))
    assert found.failure == Step(
        "interface",
        "failed",
        "no interface carries multicast: x0 (192.0.2.9, no multicast).",
        "name peers with --peer HOST:PORT",
    )


def test_named_peers_work_without_multicast(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all peers that are named work, multicast that fails is no failure; else it is one."""
    monkeypatch.setattr(flow, "usable_interfaces", lambda: (interface(multicast=None),))

    def refuse(_: Way) -> str:
        return "Operation not permitted"

    monkeypatch.setattr(flow, "join", refuse)
    said = answered({"api": 1, "hgx": "0.2.0", **described("tower")})
    with server(said, home) as port, socket.create_server(("127.0.0.1", 0)) as bound:
        closed = bound.getsockname()[1]
        bound.close()
        good = f"127.0.0.1:{port}"
        found = Found(list(diagnose(Home(tmp_path), peers=[good])))
        other = Found(list(diagnose(Home(tmp_path), peers=[good, f"127.0.0.1:{closed}"])))
    assert first_failure(found.steps) is None
    step = next(step for step in found.steps if step.name == "multicast join")
    assert (step.outcome, step.remedy) == ("skipped", None)
    assert "Operation not permitted. The peers that are named work without it." in step.detail
    assert other.failure.name == "multicast join"


def test_many_peers_are_walked_to_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers are tried at the same time, each waits for the others, and the order is as given."""
    count = 5
    together = threading.Barrier(count, timeout=30)

    def meet(*_: object) -> socket.socket:
        together.wait()
        raise PeerError("it refuses", "refused", "start it")

    monkeypatch.setattr(flow, "usable_interfaces", tuple)
    monkeypatch.setattr(flow, "connect", meet)
    peers = [f"127.0.0.1:{port}" for port in range(2000, 2000 + count)]
    steps = diagnose(Home(tmp_path), peers=peers)
    assert [step.peer for step in steps if step.name == "tcp"] == peers


def test_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers for which no time is left are not tried, and say so."""
    monkeypatch.setattr(flow, "usable_interfaces", tuple)
    monkeypatch.setattr(flow, "_WALKING_S", -1.0)
    steps = diagnose(Home(tmp_path), peers=["127.0.0.1:2000"])
    (tcp,) = [step for step in steps if step.name == "tcp"]
    assert (tcp.outcome, tcp.remedy) == ("failed", "try again")
    assert "was not tried, the time was over" in tcp.detail
