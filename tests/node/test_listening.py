"""Where a node listens: hosts as people write them, good and bad."""

from __future__ import annotations

import errno
import functools
import socket
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.errors import Unavailable
from hgx.node.listening import listen
from tests.net.namespaces import machines

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.net.namespaces import Machine

numeric = functools.partial(socket.getaddrinfo, flags=socket.AI_NUMERICHOST)
"""Looks up addresses alone, so that no name server is asked what these tests make up."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Machine, ...]]:
    """Two machines that reach each other; the tests leave no process on them."""
    with machines(2, tmp_path_factory.mktemp("network")) as made:
        yield made


@contextmanager
def names(**known: str) -> Generator[None]:
    """Let names be the addresses given, space between, and all other names unknown."""

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        return [found for text in known.get(host, host).split() for found in numeric(text, port)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


def refusal(host: str | None, port: int = 0) -> str:
    """Return what is said where nothing can be listened on."""
    with pytest.raises(Unavailable) as caught, listen(host, port):
        pass
    return caught.value.message


@pytest.mark.parametrize(
    ("host", "address", "version"),
    [
        ("127.0.0.1", "127.0.0.1", 4),
        ("127.1", "127.0.0.1", 4),
        ("::1", "::1", 6),
        ("0:0::1", "::1", 6),
        ("::ffff:127.0.0.1", "127.0.0.1", 4),
    ],
)
def test_one_address(host: str, address: str, version: int) -> None:
    """However an address of this machine is written, it alone is listened on, until the end."""
    with listen(host, 0) as found:
        port = found.port
        assert found[1:] == (address, version)
        assert found.addresses() == found.loopback() == (address,)
        with socket.create_connection((address, port), timeout=30):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, port), timeout=30)


def test_a_name() -> None:
    """Of a name's addresses the first that is of this machine is listened on."""
    with names(tower="192.0.2.77 127.0.0.1 ::1"), listen("tower", 0) as found:
        assert found[1:] == ("127.0.0.1", 4)


def test_a_name_of_somebody_else() -> None:
    """A name of other machines is an error that says which address it is."""
    with names(tower="fd99::1 192.0.2.77"):
        said = refusal("tower", 1234)
    assert "port 1234 of tower (192.0.2.77), it is not an address of this machine: give" in said


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("", "--host '' is empty"),
        ("a" * 70, f"--host {'a' * 60}... is neither an address nor a name"),
        ("a." * 50_000, "... is neither an address nor a name"),
        ("a..b", "--host a..b is neither"),
        (".", "--host . is neither"),
        ("127.0.0.1\0.example", r"--host '127.0.0.1\x00.example' is neither"),
        ("\x1b[31mred", r"--host '\x1b[31mred' is neither"),
        ("127.0.0.1\n", r"--host '127.0.0.1\n' is neither"),
        ("\udcff", r"--host '\udcff' is neither"),
        ("[::1]", "--host [::1] is neither"),
        ("127.0.0.1:80", "--host 127.0.0.1:80 is neither"),
        ("b\u00fccher", "--host b\u00fccher is neither an address nor a name that is known here"),
        ("fe80::1%nope", "--host fe80::1%nope is neither"),
        ("192.0.2.77", "port 0 of 192.0.2.77, it is not an address of this machine"),
        ("fd99::1", "port 0 of fd99::1, it is not"),
        ("fe80::99", "port 0 of fe80::99, it is not"),
        ("fe80::99%4000000000", "port 0 of fe80::99%4000000000, it is not"),
        ("224.0.0.1", "port 0 of 224.0.0.1, it is not"),
        ("ff02::1", "port 0 of ff02::1, it is not"),
        ("255.255.255.255", "port 0 of 255.255.255.255, it is not"),
    ],
)
def test_bad_hosts(host: str, said: str) -> None:
    """Each kind of bad host is one short sentence: what it is, why it is bad, what to do."""
    with names():
        message = refusal(host)
    assert said in message
    assert ": give --host an address of this machine" in message
    assert message.isprintable()
    assert len(message) < 250


def test_no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nobody can be asked for is told from one that is unknown."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert "--host tower cannot be looked up, no name server answers: give" in refusal("tower")


@given(st.text() | st.from_regex(r"[0-9a-fx.:%\[\]]{1,40}"))
def test_any_text(host: str) -> None:
    """Whatever is given as a host, it is listened on, or one sentence says why not."""
    with names(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_server", failing(errno.EADDRNOTAVAIL))
        message = refusal(host)
    assert "--host" in message
    assert message.isprintable()


def failing(number: int) -> Callable[..., NoReturn]:
    """Return what fails with an error of the system."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, "the system's own words")

    return fail


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_port_in_use(host: str | None) -> None:
    """A port that is taken is an error with a remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        of = f" of {host}" if host else ""
        assert f"port {port}{of}, it is in use: choose another with --port" in refusal(host, port)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "permission denied: choose another with --port (0 takes any free one)"),
        (errno.EAFNOSUPPORT, "address family not supported"),
    ],
)
def test_other_errors(number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else the system refuses has a remedy too; a name's other addresses may help."""
    monkeypatch.setattr(socket, "create_server", failing(number))
    with names(tower="::1 127.0.0.1"):
        message = refusal("tower", 80)
    assert said in message
    assert ("(::1)" in message) is (number == errno.EACCES)


def test_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that knows no IPv6 listens on all of IPv4."""
    opened = socket.socket()
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    monkeypatch.setattr(socket, "create_server", {("", 9474): opened}.__getitem__)
    with listen(None, 9474) as found:
        assert found == (opened, None, 4)


def test_a_network_of_two_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last address of a narrow network is one machine's, not a broadcast."""
    entry = SimpleNamespace(
        family=socket.AF_INET, address="127.0.0.1", netmask="255.255.255.254", broadcast=None
    )
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": [entry]})
    with listen("127.0.0.1", 0) as found:
        assert found.address == "127.0.0.1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - in a namespace
def test_all_interfaces_of_a_version(lan: tuple[Machine, ...], host: str) -> None:
    """All interfaces of IPv4 or IPv6 are told by their real addresses; the other is refused."""
    node, (own, other) = lan[0].node("tower", "--host", host), (lan[0].ipv4, f"[{lan[0].ipv6}]")
    if host == "::":
        own, other = other, own
    addresses = node.running["addresses"]
    assert own.strip("[]") in addresses
    assert {":" in address for address in addresses} == {host == "::"}
    assert node.running["unannounced"] is None
    assert list(lan[1].find()["peers"]) == ["tower"]
    found = lan[1].find("--no-multicast", "--peer", own, "--peer", other)
    assert list(found["peers"]) == ["tower"]
    assert len(found["missing"]) == 1
    assert f"{other}:9474 refuses the connection" in found["missing"][0]


def test_broadcast(lan: tuple[Machine, ...]) -> None:
    """The address of all machines of a network is not this machine's, whatever the system says."""
    process = lan[0].start("python", "-m", "hgx", "serve", "--host", "10.77.0.255")
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 7
    assert "10.77.0.255, it is not an address of this machine: give" in messages
    assert f"such as {lan[0].ipv4}, or" in messages


def test_no_interface_at_all(lan: tuple[Machine, ...]) -> None:
    """Where not even loopback is up nothing is promised but what comes true."""
    try:
        with lan[0].unplugged():
            lan[0].run("ip", "link", "set", "lo", "down")
            for interface in ("lo", "eth0"):
                lan[0].run("ip", "address", "flush", "dev", interface)
            running = lan[0].node("tower").running
    finally:
        lan[0].run("ip", "link", "set", "lo", "up")
    assert running["addresses"] == []
    assert running["unannounced"] == (
        "no network interface is up with an address: once one is, `hgx discover --peer "
        "ADDRESS:9474` on another machine finds it, and it is announced if it is started again"
    )
    assert list(lan[1].find("--no-multicast", "--peer", lan[0].ipv4)["peers"]) == ["tower"]


def test_link_local(lan: tuple[Machine, ...]) -> None:
    """A link-local address is known by its zone's name, its number, and alone."""
    node = lan[0].node("tower")
    zoned = next(text for text in node.running["addresses"] if text.startswith("fe80::"))
    node.end()
    command = "import socket; print(socket.if_nametoindex('eth0'))"
    number = lan[0].run("python", "-c", command).strip()
    address = zoned.partition("%")[0]
    for host in (zoned, address, f"{address}%{number}"):
        node = lan[0].node("tower", "--host", host)
        assert (node.running["addresses"], node.running["unannounced"]) == ([zoned], None)
        node.end()
