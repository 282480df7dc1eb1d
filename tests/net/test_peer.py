"""What is asked of a peer, and what counts as an answer."""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, get_args

import pytest

from hgx._version import __version__
from hgx.core.evidence import RATES
from hgx.core.registry import Registry
from hgx.core.thermal import ActivityKind
from hgx.errors import PeerError, PeerFault
from hgx.net import peer
from hgx.net.browser import MOST_PEERS
from hgx.net.identity import own_identity
from hgx.net.peer import PeerClient
from hgx.net.wire import Connection, Target
from hgx.store.home import Home
from hgx.store.registry_file import LARGEST_BYTES, registry_text
from tests.net.node import described
from tests.net.servers import HELLO, answered, dripping, server

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.net.peer import Said


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the identity that the servers here have."""
    return tmp_path_factory.mktemp("peer")


def document(name: str = "tower", **changed: Any) -> dict[str, Any]:
    """Return what a good node says, with changes."""
    return {"api": 1, "hgx": "9.8.7", **described(name), **changed}


def with_device(**changed: Any) -> dict[str, Any]:
    """Return what a node says whose device is changed."""
    good = document()
    return good | {"devices": [good["devices"][0] | changed]}


def ask(home: Path, said: object) -> Said:
    """Ask a node that says something."""
    with server(answered(said), home) as port:
        return PeerClient("127.0.0.1", port).node()


def fault(home: Path | None, said: Any) -> PeerError:
    """Ask what is no good node and return the error."""
    with server(said, home) as port, pytest.raises(PeerError) as caught:
        PeerClient("127.0.0.1", port).node()
    assert "\n" not in caught.value.message
    assert f"127.0.0.1:{port}" in caught.value.message
    return caught.value


def test_good_node(home: Path) -> None:
    """A node's answer comes with the fingerprint of its certificate."""
    said = ask(home, document())
    assert said.fingerprint == own_identity(Home(home)).fingerprint
    assert (said.hgx, said.node.id, [device.id for device in said.devices]) == (
        "9.8.7",
        "tower",
        ["tower/cpu:0"],
    )


def test_what_this_version_does_not_know(home: Path) -> None:
    """Fields that are unknown here are left out: a stranger does not fill the registry."""
    good = with_device(colour="red", name="chip")
    said = ask(home, good | {"more": 1, "node": {"id": "tower", "shape": "round"}})
    assert said.devices[0].model_extra == {}
    assert said.node.model_extra == {}
    assert said.devices[0].name == "chip"


def test_texts_are_tidied(home: Path) -> None:
    """Control characters appear as escapes, and long texts are cut, wherever they are."""
    good = with_device(name="\x1b[2Jred\u202e")
    said = ask(home, good | {"node": {"id": "tower", "name": "\x1b[31m" + "x" * 1000}})
    assert said.devices[0].name == "\\x1b[2Jred\\u202e"
    assert said.node.name == ("\\x1b[31m" + "x" * 1000)[:128]


@pytest.mark.parametrize(
    ("evidence", "kept"),
    [
        (None, {}),
        ("driver", {name: {"rank": "driver"} for name in RATES}),
        ("best", {}),
        ({RATES[0]: "vendor", RATES[1]: {"rank": ["driver"]}}, {RATES[0]: {"rank": "vendor"}}),
        (
            {
                RATES[0]: {"rank": "driver", "measured_at": "2026-01-01", "low": 1, "source": "x"},
                RATES[1]: {"rank": "engine", "measured_at": "9" * 41, "noisy": True},
                "more": {"rank": "driver"},
            },
            {
                RATES[0]: {"rank": "driver", "measured_at": "2026-01-01"},
                RATES[1]: {"rank": "engine", "noisy": True},
            },
        ),
    ],
)
def test_evidence_of_a_peer(home: Path, evidence: object, kept: object) -> None:
    """Of a peer's evidence only how well each rate is known stays, and since when."""
    assert ask(home, with_device(evidence=evidence)).devices[0].evidence == kept


def test_what_cannot_be_is_unknown(home: Path) -> None:
    """More free memory than there is, and values beyond all machines, are null."""
    good = with_device(memory_free_bytes=9 * 1024**3, temperature_c=1e9)
    node = {"id": "tower", "ram_total_bytes": 1, "ram_free_bytes": 2, "disk_read_bytes_per_s": 1e18}
    said = ask(home, good | {"node": node})
    assert (said.devices[0].memory_free_bytes, said.devices[0].temperature_c) == (None, None)
    assert (said.node.ram_free_bytes, said.node.disk_read_bytes_per_s) == (None, 1e18)


def largest() -> dict[str, Any]:
    """Return as much as a peer can say, and more than is kept, in the fewest bytes."""
    # Four bytes a character, here and in the registry.
    text, device = "\U00020000" * 128, document()["devices"][0]
    evidence: object = {"rank": "driver", "measured_at": text[:40], "noisy": True}
    rates = dict.fromkeys(RATES, 1.2345678901234567e17)
    heat = dict.fromkeys(("temperature_c", "temperature_limit_c"), -12.345678901234567)
    sizes = dict.fromkeys(("memory_total_bytes", "memory_free_bytes"), 2**63 - 1)
    benchmark = {"name": "read", "samples": [1.0] * 50}
    watts = {"power_w": 12345.678901234567, "samples": 2**63 - 1}
    thermal: object = {
        "stages": [{"resistance_k_per_w": 0.12345678901234567, "tau_s": n} for n in (1.0, 2.0)],
        "powers": [watts | {"kind": kind} for kind in get_args(ActivityKind)],
        "ambient_c": -12.345678901234567,
        "rmse_c": 1.2345678901234567e17,
        "highest_power_w": 12345.678901234567,
        "samples": 2**63 - 1,
        "duration_s": 1e17,
        "fitted_at": "2026-01-02T12:00:00.123456+12:34",
    }
    devices = [
        device
        | {"id": f"{'n' * 63}/{'b' * 32}:{number}", "node": "n" * 63, "backend": "b" * 32}
        | {"name": text, "evidence": {**dict.fromkeys(RATES, evidence), "more": [[["x"] * 50]]}}
        | {"benchmarks": {"read": benchmark}, "uuid": "x" * 128, "paired": True}
        | {**rates, **heat, **sizes, "unified_memory": False, "fallback": False}
        | {"thermal": thermal}
        for number in range(1000, 1000 + peer.MOST_DEVICES)
    ]
    node = {"id": "n" * 63, "name": text, "os": text, "arch": text, "benchmarks": {"a": benchmark}}
    return document(node=node | {"address": "x" * 128, "paired": True}, devices=devices)


def test_the_largest_answer(home: Path) -> None:
    """What is kept of the largest answers of all peers there may be fits into a registry."""
    said = ask(home, json.dumps(largest(), ensure_ascii=False).encode())
    registry = Registry(nodes=(said.node,), devices=said.devices)
    assert len(said.devices) == peer.MOST_DEVICES
    assert all(known.thermal for known in said.devices)
    assert said.node.benchmarks == said.devices[0].benchmarks == {}
    assert (said.node.paired, said.devices[0].paired, said.devices[0].uuid) == (None, None, None)
    assert len(registry_text(registry).encode()) < LARGEST_BYTES / MOST_PEERS


def test_more_devices_than_are_heeded(home: Path) -> None:
    """Of a peer that has too many devices the first count, and the others are not looked at."""
    device = document()["devices"][0]
    devices = [device | {"id": f"tower/cpu:{number}"} for number in range(peer.MOST_DEVICES)]
    said = ask(home, document(devices=[*devices, "nonsense"]))
    assert [known.id for known in said.devices] == [known["id"] for known in devices]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "does not say what it is"),
        ({"api": 1}, "does not say what it is"),
        (document(api="1"), "does not say what it is"),
        (document(devices={}), "does not say what it is"),
        (document(devices=document()["devices"] * 2), "a device twice"),
        (document(devices=["x"]), "describes itself wrongly"),
        (document(node={"id": "a b"}), "describes itself wrongly, at 'id'"),
        (document(node={"id": "a/b"}), "its node id is none"),
        (with_device(node="laptop"), "a device that is not its own"),
        (with_device(id="laptop/cpu:0"), "a device that is not its own"),
        (with_device(id="tower/cpu:x"), "a device that is not its own"),
        (with_device(id="tower/cuda:0"), "another backend"),
        (with_device(memory_total_bytes=-1), "describes itself wrongly, at 'memory_total_bytes'"),
        (with_device(memory_bandwidth_bytes_per_s=1.1e18), "'memory_bandwidth_bytes_per_s'"),
        (with_device(compute_flops_per_s=1), "'compute_flops_per_s'"),
        (with_device(memory_total_bytes=10**30), "is not JSON"),
        (with_device(evidence=float("nan")), "is not JSON"),
        (json.dumps(with_device()).replace("1e+11", "1e999").replace("100000000000.0", "1e999")
         .encode(), "is not JSON"),
        (b"{", "is not JSON"),
        (b"[" * 250_000, "is not JSON"),
        (b"[" * 20 + b"]" * 20, "is not JSON"),
        (b'"' + b"x" * (1 << 18) + b'"', "longer than 256 KiB"),
    ],
)  # fmt: skip
def test_bad_answers(home: Path, said: object, why: str) -> None:
    """An answer that is not a node's is refused with its reason."""
    error = fault(home, answered(said))
    assert error.fault == "not hgx"
    assert why in error.message


def test_other_version(home: Path) -> None:
    """A peer that speaks another version of the protocol is told from all others."""
    error = fault(home, answered(document(api=2)))
    assert error.fault == "version"
    assert "runs hgx 9.8.7 and speaks version 2" in error.message
    assert __version__ in error.message


@pytest.mark.parametrize(
    ("said", "expected", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "not hgx", "answers 404"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "not hgx", "does not speak HTTP"),
        (b"", "closed", "closed the connection"),
        (HELLO.encode() + b"Content-Length: 9\r\n\r\n{", "closed", "closed the connection"),
        (HELLO.encode() + b"X: " + b"x" * 10**6, "not hgx", "does not speak HTTP"),
    ],
)
def test_servers_of_other_kinds(home: Path, said: bytes, expected: PeerFault, why: str) -> None:
    """What speaks TLS 1.3 but is no node is told by what it says."""
    error = fault(home, said)
    assert (error.fault, why in error.message) == (expected, True), error.message


def test_no_tls() -> None:
    """A server without TLS is not a node."""
    error = fault(None, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert error.fault == "not TLS"


def test_dripping_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that sends a byte now and then holds nobody longer than the limit."""
    monkeypatch.setattr(peer, "WITHIN_S", 0.5)
    ended = threading.Event()
    error = fault(home, dripping(HELLO.encode(), ended))
    ended.set()
    assert error.fault == "timeout"


def test_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes connections and says nothing is not waited for forever."""
    monkeypatch.setattr(peer, "WITHIN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PeerError, match="did not answer within") as caught:
            PeerClient("127.0.0.1", port).node()
    assert caught.value.fault == "timeout"


def test_nobody_listens() -> None:
    """A port nobody listens on is refused, and the remedy is to start the node."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PeerError, match="start `hgx serve` there") as caught:
        PeerClient("127.0.0.1", port).node()
    assert caught.value.fault == "refused"


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 70 + ".invalid", "a..b"])
def test_unknown_name(host: str) -> None:
    """A name nobody knows is told from a peer that does not answer."""
    with pytest.raises(PeerError, match="not a name or address this machine knows") as caught:
        PeerClient(host, 9474).node()
    assert caught.value.fault == "name"


def test_no_route() -> None:
    """A link-local address of no interface cannot be reached."""
    with pytest.raises(PeerError, match="no route") as caught:
        PeerClient("fe80::1", 9474).node()
    assert caught.value.fault == "no route"


def test_other_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says of a connection that fails otherwise is passed on."""

    def fail(*_: object, **__: object) -> socket.socket:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(PeerError, match=r"connected to \(Operation not permitted\)") as caught:
        PeerClient("127.0.0.1", 9474).node()
    assert caught.value.fault == "closed"


def test_too_late_to_ask(home: Path) -> None:
    """A connection on which the time is over asks nothing more."""
    with server(b"", home) as port, Connection(Target("127.0.0.1", port), 0.2) as connection:
        time.sleep(0.3)
        with pytest.raises(PeerError, match=r"within 0\.2 s"):
            connection.ask("GET", "/v1/node")


def test_answer_before_the_answer(home: Path) -> None:
    """What comes before the answer, as HTTP allows, is passed over."""
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    with server(early + answered(document()), home) as port:
        assert PeerClient("127.0.0.1", port).node().node.id == "tower"


def test_handshakes(home: Path) -> None:
    """Each handshake takes some time."""
    with server(b"", home) as port:
        times_s = PeerClient("127.0.0.1", port).tcp_handshakes(3)
    assert len(times_s) == 3
    assert min(times_s) > 0


@pytest.mark.parametrize("said", [b"[]", b'{"rates": 1}', b'{"rates": ["x"]}'])
def test_bad_rates(home: Path, said: bytes) -> None:
    """An answer to an upload without rates is refused."""
    continued = b"HTTP/1.1 100 Continue\r\n\r\n"

    def take(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(continued)
        while not connection.recv(65536).endswith(b"0\r\n\r\n"):
            pass
        connection.sendall(answered(said))

    with server(take, home) as port, pytest.raises(PeerError, match="is none") as caught:
        PeerClient("127.0.0.1", port).upload(1000)
    assert caught.value.fault == "not hgx"


@pytest.mark.parametrize("transfer", ["download", "upload"])
@pytest.mark.parametrize(("status", "expected"), [(429, "busy"), (404, "not hgx")])
def test_refused_transfers(home: Path, transfer: str, status: int, expected: PeerFault) -> None:
    """A peer that is busy with a test is told from one that knows none."""
    said = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    with server(said, home) as port, pytest.raises(PeerError) as caught:
        getattr(PeerClient("127.0.0.1", port), transfer)(1000)
    assert caught.value.fault == expected


def test_upload_cut_off(home: Path) -> None:
    """A peer that closes in the middle of an upload is an error."""

    def close(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with server(close, home) as port, pytest.raises(PeerError, match="closed") as caught:
        PeerClient("127.0.0.1", port).upload(64 * 1024**2)
    assert caught.value.fault == "closed"
