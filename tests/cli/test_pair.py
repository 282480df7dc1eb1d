"""``hgx pair``, as two users run it: on loopback, and on machines of a network of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hgx.cli.main import run
from hgx.cli.render.pair import PairScreen
from hgx.errors import PeerError
from hgx.flows.pair import Offered
from hgx.net.identity import own_identity
from hgx.net.pairing import Partner
from hgx.net.pairing_code import parse_code
from hgx.net.wire import Target
from hgx.store.home import Home
from hgx.store.trust import TrustedPeer, trusted
from tests.net.namespaces import Machine, line_with, machines

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

CODE = parse_code("7-velvet-otter")
PARTNER = Partner("laptop", "PEM", "3f" * 32, "pirate lotus frozen envelope")


@contextmanager
def showing(home: Path, *options: str) -> Generator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Show a code on loopback; it is ended whatever happens."""
    command = [sys.executable, "-m", "hgx", "--home", str(home), "pair", "--json"]
    command += ["--host", "127.0.0.1", "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end; return the exit status, and what else it printed."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_two_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two processes that share a code trust each other, and print the same words."""
    tower, laptop = tmp_path / "tower", tmp_path / "laptop"
    with showing(tower, "--name", "tower") as (process, offered):
        assert offered["unannounced"] == "127.0.0.1 is not for other machines"
        typed = str(offered["code"]).upper().split("-")
        arguments = ["--home", str(laptop), "pair", "--peer", offered["addresses"][0]]
        assert run([*arguments, "--name", "laptop", *typed]) == 0
        status, out, err = ended(process)
    shown = capsys.readouterr()
    said = json.loads(out)
    assert (status, err) == (0, "")
    assert said["paired"] == "laptop"
    assert said["fingerprint"] == own_identity(Home(laptop)).fingerprint
    assert shown.out == f"paired with tower: {said['words']}\n"
    assert "run here:\n  hgx discover\n" in shown.err
    assert trusted(Home(laptop)) == {own_identity(Home(tower)).fingerprint}
    assert trusted(Home(tower)) == {said["fingerprint"]}


def test_wrong_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong code is one line and the exit code of a peer's error on both sides."""
    tower, laptop = tmp_path / "tower", tmp_path / "laptop"
    with showing(tower) as (process, offered):
        number, first, second = offered["code"].split("-")
        wrong = f"{number}-{first}-{'otter' if second != 'otter' else 'onion'}"
        arguments = ["--home", str(laptop), "pair", wrong, "--peer", offered["addresses"][0]]
        assert run(arguments) == PeerError.exit_code
        status, out, err = ended(process)
    assert capsys.readouterr().err.startswith("hgx: error: 127.0.0.1:")
    assert (status, out) == (PeerError.exit_code, "")
    assert err == (
        "hgx: error: somebody tried to pair without the code, which is void now: "
        "run `hgx pair` again for a new one\n"
    )
    assert not trusted(Home(tower)) | trusted(Home(laptop))


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl+C ends the waiting, quietly."""
    with showing(tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        status, out, err = ended(process)
    assert (status, out) == (130, "")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["7"], "'7' is no code"),
        (["7", "velwet", "otter"], "did you mean velvet?"),
        (["--peer", "10.0.0.7"], "type that code too"),
        (["7-velvet-otter", "--port", "1"], "leave it out, or the code"),
        (["7-velvet-otter", "--host", "::1"], "leave it out, or the code"),
        (["--name", "a b"], "such as a-b"),
    ],
)
def test_wrong_usage(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage is found before anything is tried, and exits with 2."""
    home = tmp_path / "home"
    assert run(["--home", str(home), "pair", *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not home.exists()


def test_nobody_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port where no code is shown is an error that says what to do there."""
    arguments = ["--home", str(tmp_path), "pair", "7-velvet-otter", "--peer", "127.0.0.1:1"]
    assert run(arguments) == PeerError.exit_code
    assert "refuses the connection: run `hgx pair` there" in capsys.readouterr().err


@pytest.fixture
def lan(tmp_path: Path) -> Generator[tuple[Machine, ...]]:
    """Three machines that reach each other."""
    with machines(3, tmp_path) as made:
        yield made


def pairing(machine: Machine, *options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Show a code on a machine."""
    process = machine.start("python", "-m", "hgx", "pair", "--json", *options)
    return process, json.loads(line_with(process, "code"))


def test_found_by_the_code(lan: tuple[Machine, ...]) -> None:
    """Machines that show codes are told apart by the number, and pair without an address."""
    shown = [pairing(lan[at], "--name", name) for at, name in ((0, "tower"), (1, "shed"))]
    codes = [offered["code"] for _, offered in shown]
    assert [offered["unannounced"] for _, offered in shown] == [None, None]
    assert len({code.partition("-")[0] for code in codes}) == 2
    join = ("python", "-m", "hgx", "pair", "--quiet", "--name", "laptop")
    assert lan[2].run(*join, codes[1]).startswith("paired with shed: ")
    assert lan[2].run(*join, codes[0]).startswith("paired with tower: ")
    for process, _ in shown:
        assert json.loads(ended(process)[1])["paired"] == "laptop"
    peers = json.loads(lan[2].run("python", "-m", "hgx", "peers", "--json"))["peers"]
    assert [peer["name"] for peer in peers] == ["shed", "tower"]


def test_used_at_once_and_revoked(lan: tuple[Machine, ...]) -> None:
    """A node that was found before is used as soon as it is paired, and no more once revoked."""
    serving = lan[0].start("python", "-m", "hgx", "serve", "--json", "--name", "tower")
    line_with(serving, "fingerprint")
    discover = ("python", "-m", "hgx", "discover", "--json", "--no-measure")

    lan[1].run(*discover, "--wait", "2")

    def is_paired() -> bool:
        nodes = json.loads((lan[1].home / "registry.json").read_text())["nodes"]
        return {node["id"]: node.get("paired") for node in nodes}["tower"]

    assert is_paired() is False
    process, offered = pairing(lan[0])
    lan[1].run("python", "-m", "hgx", "pair", offered["code"])
    assert ended(process)[0] == 0
    assert is_paired() is True
    lan[1].run("python", "-m", "hgx", "peers", "revoke", "tower", "--yes")
    assert is_paired() is False


def test_not_found(lan: tuple[Machine, ...]) -> None:
    """Where nobody shows a code of that number it says so, and how to go on."""
    process = lan[0].start("python", "-m", "hgx", "pair", "7-velvet-otter")
    status, out, err = ended(process)
    assert (status, out) == (PeerError.exit_code, "")
    assert "no machine of this network shows a code that begins with 7" in err
    assert "--peer HOST:PORT" in err


def test_numbers_are_given_once(lan: tuple[Machine, ...]) -> None:
    """Where no number is left the code is shown with an address, and works with that."""
    program = "from hgx.net import pairing_mdns; pairing_mdns.MOST_NAMEPLATE = 1;"
    program += "from hgx.cli.main import run; raise SystemExit(run(['pair', '--json']))"
    first = lan[0].start("python", "-c", program)
    assert json.loads(line_with(first, "code"))["code"].startswith("1-")
    second = lan[1].start("python", "-c", program)
    offered = json.loads(line_with(second, "code"))
    assert "1 machines of this network show a code" in offered["unannounced"]
    place = f"{lan[1].ipv4}:9475"
    assert place in offered["addresses"]
    lan[2].run("python", "-m", "hgx", "pair", offered["code"], "--peer", place)
    assert ended(second)[0] == 0


def test_without_multicast(lan: tuple[Machine, ...]) -> None:
    """Where another program has the port of mDNS for itself the code is shown with an address."""
    program = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
    program += "s.bind(('', 5353)); print('bound', flush=True); time.sleep(600)"
    line_with(lan[0].start("python", "-c", program), "bound")
    _, offered = pairing(lan[0])
    assert "multicast cannot be used here" in offered["unannounced"]
    assert f"{lan[0].ipv4}:9475" in offered["addresses"]


def test_without_a_network(lan: tuple[Machine, ...]) -> None:
    """Where no network is up the code is shown for programs of this machine."""
    with lan[0].unplugged():
        _, offered = pairing(lan[0])
        assert offered["unannounced"] == "no network interface is up"
        assert "127.0.0.1:9475" in offered["addresses"]


def offered(**facts: Any) -> Offered:
    """Return a code that is announced."""
    return Offered(CODE, (Target("10.0.0.7", 9475),), 300, None)._replace(**facts)


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """It shows what to type on the other machine, with the address where that is needed."""
    screen = PairScreen(as_json=False, quiet=False)
    screen.offered(offered())
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "Within 5 minutes, on the other machine:",
        "  hgx pair 7-velvet-otter",
        "  (where it is not found: --peer 10.0.0.7:9475)",
    ]
    screen.offered(offered(unannounced="no network", targets=()))
    assert "  hgx pair 7-velvet-otter --peer HOST:PORT\n" in capsys.readouterr().err


def test_what_is_shown_of_a_changed_certificate(capsys: pytest.CaptureFixture[str]) -> None:
    """It says that a machine had another certificate before."""
    screen = PairScreen(as_json=False, quiet=False)
    screen.paired(PARTNER, (TrustedPeer(fingerprint="ab" * 32, name="laptop"),))
    shown = capsys.readouterr()
    assert shown.out == "paired with laptop: pirate lotus frozen envelope\n"
    assert "laptop had another certificate until now, abababababababab" in shown.err


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Quietly there is the code, then who it is, and nothing else."""
    screen = PairScreen(as_json=False, quiet=True)
    screen.offered(offered())
    screen.paired(PARTNER, ())
    screen.not_found_yet(PARTNER)
    shown = capsys.readouterr()
    assert shown.out == "7-velvet-otter\npaired with laptop: pirate lotus frozen envelope\n"
    assert shown.err == ""
