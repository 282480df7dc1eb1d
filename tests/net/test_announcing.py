"""Real nodes that announce themselves to each other, each in a network namespace."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from hgx.net.browser import MOST_PEERS
from hgx.net.mdns import MOST_RECORDS
from tests.net.hostile import FLOOD
from tests.net.namespaces import heard_where, line_with, machines

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Generator

    from tests.net.namespaces import Machine

MACHINES = 4


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Machine, ...]]:
    """Machines that reach each other; the tests leave no process on them."""
    with machines(MACHINES, tmp_path_factory.mktemp("network")) as made:
        yield made


def listening(machine: Machine) -> subprocess.Popen[str]:
    """Start to listen and wait until the sockets are open."""
    process = machine.start("python", "-m", "tests.net.listener")
    line_with(process, "kept")
    return process


def hear(process: subprocess.Popen[str], name: str, **facts: object) -> dict[str, Any]:
    """Wait until a name is announced, with these facts, and return all of them."""

    def announced(heard: dict[str, dict[str, Any]]) -> bool:
        return name in heard and facts.items() <= heard[name].items()

    return heard_where(process, announced)[name]


def hear_no_more(process: subprocess.Popen[str], name: str) -> None:
    """Wait until a name that was heard is gone."""
    heard_where(process, lambda heard: name not in heard)


def status_where(
    process: subprocess.Popen[str], holds: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Wait for a status of which something holds; none may keep too much on the way."""
    while True:
        status = json.loads(line_with(process, "kept"))
        assert status["peers"] + status["pending"] <= MOST_PEERS
        if holds(status):
            return status


def send(machine: Machine, kind: str) -> None:
    """Send hostile packets."""
    machine.run("python", "-m", "tests.net.hostile", kind, machine.ipv4)


def test_join_conflict_and_leave(lan: tuple[Machine, ...]) -> None:
    """A node is heard as it comes, renamed where its name is taken, and gone with its goodbye."""
    listener = listening(lan[0])
    first = lan[1].node("tower")
    heard = hear(listener, "tower")
    assert heard["port"] == 9474
    assert {lan[1].ipv4, lan[1].ipv6} < set(heard["addresses"])
    assert any(address.startswith("fe80::") for address in heard["addresses"])
    second = lan[2].node("tower")
    assert (first.running["name"], first.running["renamed_from"]) == ("tower", None)
    assert (second.running["name"], second.running["renamed_from"]) == ("tower-2", "tower")
    assert hear(listener, "tower-2")["node"] == "tower-2"
    assert second.end() == 0
    hear_no_more(listener, "tower-2")
    assert first.end(signal.SIGINT) == 130
    hear_no_more(listener, "tower")


def test_started_at_the_same_moment(lan: tuple[Machine, ...]) -> None:
    """Nodes of one name that start together, as after a power cut, end with different names."""
    listener = listening(lan[0])
    started = [lan[at].start("python", "-m", "tests.net.node", "pi") for at in (1, 2, 3)]
    names = {json.loads(line_with(process, "name"))["name"] for process in started}
    assert names == {"pi", "pi-2", "pi-3"}
    heard_where(listener, lambda heard: set(heard) == names)


@pytest.mark.parametrize(("rival", "name"), [("weaker rival", "pi"), ("stronger rival", "pi-2")])
def test_who_keeps_the_name(lan: tuple[Machine, ...], rival: str, name: str) -> None:
    """Of two that took a name at the same moment one keeps it, and both know which."""
    listener = listening(lan[0])
    lan[1].start("python", "-m", "tests.net.hostile", rival, lan[1].ipv4)
    status_where(listener, lambda one: one["kept"] > 0)
    assert lan[2].node("pi").running["name"] == name


def test_all_names_are_taken(lan: tuple[Machine, ...]) -> None:
    """A node that gets no name is not announced, says so, and answers all the same."""
    lan[0].node("tower")
    running = lan[1].node("tower", "--names", "1").running
    assert "1 nodes are called tower" in running["unannounced"]
    assert list(lan[2].find("--no-multicast", "--peer", lan[1].ipv4)["peers"]) == ["tower"]


def test_port_of_mdns_is_taken(lan: tuple[Machine, ...]) -> None:
    """Where another program has the port of mDNS for itself, a node is not announced."""
    program = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
    program += "s.bind(('', 5353)); print('bound', flush=True); time.sleep(600)"
    line_with(lan[1].start("python", "-c", program), "bound")
    running = lan[1].node("tower").running
    assert "multicast cannot be used here" in running["unannounced"]
    missing = lan[1].find()["missing"]
    assert any("multicast cannot be used here" in reason for reason in missing)


def test_new_address(lan: tuple[Machine, ...]) -> None:
    """A node tells of an address that it gets while it runs."""
    listener = listening(lan[0])
    lan[1].node("tower", "--follow", "0.1")
    before = hear(listener, "tower")
    lan[1].run("ip", "addr", "add", "10.77.0.200/24", "dev", "eth0")
    heard = heard_where(listener, lambda heard: heard["tower"] != before)["tower"]
    lan[1].run("ip", "addr", "del", "10.77.0.200/24", "dev", "eth0")
    assert "10.77.0.200" in heard["addresses"]


def test_network_comes_later(lan: tuple[Machine, ...]) -> None:
    """A node that starts before its network is announced when that comes up."""
    listener = listening(lan[0])
    with lan[1].unplugged():
        running = lan[1].node("tower", "--follow", "0.1").running
        assert running["addresses"] == ["127.0.0.1", "::1"]
        assert running["unannounced"] == (
            "no network interface is up with an address: once one is, it is announced there, and "
            "`hgx discover --peer ADDRESS:9474` on another machine finds it too"
        )
    assert lan[1].ipv4 in hear(listener, "tower")["addresses"]


def test_several_on_one_machine(lan: tuple[Machine, ...]) -> None:
    """A name is known to be taken although another node on the machine may get the answer."""
    lan[0].node("tower")
    names: list[str] = []
    for at in range(4):
        # Each has a home, and so a certificate, of its own.
        node = lan[1].node("tower", "--port", "0", "--home", str(lan[1].home / f"node{at}"))
        names.append(node.running["name"])
    assert names == ["tower-2", "tower-3", "tower-4", "tower-5"]
    assert set(lan[1].find()["peers"]) == {"tower", *names}


def test_killed_stays_announced(lan: tuple[Machine, ...]) -> None:
    """A node that is killed sends no goodbye; its name can be had again at once."""
    listener = listening(lan[0])
    node = lan[1].node("laptop")
    hear(listener, "laptop", port=9474)
    assert node.end(signal.SIGKILL) == -9
    again = lan[1].node("laptop", "--port", "9475")
    assert again.running["name"] == "laptop"
    hear(listener, "laptop", port=9475)


def test_one_address_only(lan: tuple[Machine, ...]) -> None:
    """With a host given, only that address is announced, by IPv4 or by IPv6."""
    listener = listening(lan[0])
    for host in (lan[1].ipv4, lan[1].ipv6):
        node = lan[1].node("tower", "--host", host)
        assert node.running["addresses"] == [host]
        assert hear(listener, "tower")["addresses"] == [host]
        node.end()
        hear_no_more(listener, "tower")


def test_stopped_before_it_is_announced(lan: tuple[Machine, ...]) -> None:
    """What stops a node while its name is still being asked for ends it in order, unseen."""
    listener = listening(lan[0])
    assert lan[1].run("python", "-m", "tests.net.node", "early", "--stopped") == ""
    lan[1].node("later")
    assert list(heard_where(listener, bool)) == ["later"]
    assert lan[0].find()["missing"] == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("control", "name"),
        ("elsewhere", "name"),
        ("long txt", "txt size"),
        ("broken txt", "txt"),
        ("port", "port"),
        ("loopback", "addresses"),
        ("pointer", "no answer"),
    ],
)
def test_hostile_announcements(lan: tuple[Machine, ...], kind: str, reason: str) -> None:
    """What no good node sends is dropped and counted under its reason."""
    listener = listening(lan[0])
    send(lan[1], kind)
    status = status_where(listener, lambda one: bool(one["dropped"].get(reason)))
    assert status["peers"] == 0
    assert set(status["dropped"]) == {reason}


def test_good_among_bad(lan: tuple[Machine, ...]) -> None:
    """After garbage a good announcement is heard, and one that goes bad is forgotten."""
    listener = listening(lan[0])
    send(lan[1], "garbage")
    send(lan[1], "ghost")
    hear(listener, "ghost")
    send(lan[1], "goodbye")
    hear_no_more(listener, "ghost")


def test_flood(lan: tuple[Machine, ...]) -> None:
    """Thousands of names are counted and not kept, again and again; a good node is found after."""
    listener = listening(lan[0])
    for round_ in (1, 2):
        send(lan[1], "flood")
        many = round_ * FLOOD / 20  # of a packet that the system drops nobody knows
        status_where(listener, lambda one: one["dropped"].get("too many", 0) > many)  # noqa: B023 - used at once
        calm = status_where(
            listener, lambda one: one["kept"] <= MOST_RECORDS and one["timers"] <= MOST_RECORDS
        )
        assert calm["peers"] == 0
    status_where(listener, lambda one: one["pending"] == 0)
    lan[2].node("tower")
    hear(listener, "tower")


def test_node_lives_through_a_flood(lan: tuple[Machine, ...]) -> None:
    """A node that is flooded still answers, and keeps its name."""
    node = lan[1].node("tower")
    send(lan[2], "flood")
    found = lan[0].find()
    assert list(found["peers"]) == ["tower"]
    assert node.end() == 0
