"""``hgx doctor``, as a user runs it: on this machine, and on machines of a network of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hgx.cli.doctor import FAULTS, WARNINGS
from hgx.cli.main import run
from hgx.flows import doctor as flow
from hgx.flows.doctor_check import Check
from hgx.net.identity import own_identity
from hgx.store.home import Home
from hgx.store.trust import TrustedPeer, add_trusted
from tests.cli.test_main import every_error
from tests.net.certificates import pem_of
from tests.net.namespaces import machines
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.engine.binaries import Toolkit
    from hgx.flows.doctor_check import State
    from tests.net.namespaces import Machine

DOCS = Path(__file__).parents[2] / "docs"
DOCTOR = ("python", "-m", "hgx", "doctor", "--json")


@pytest.fixture
def lan(tmp_path: Path) -> Generator[tuple[Machine, ...]]:
    """Two machines that reach each other."""
    with machines(2, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("state", "code"), [("ok", 0), ("note", 0), ("warning", WARNINGS), ("fault", FAULTS)]
)
def test_exit_codes(
    state: State, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worst check decides the exit code, and it is no error: stderr stays empty."""
    check = Check("place", "disk", state, "there it is", "look")
    monkeypatch.setattr(flow, "examine", always((check,)))
    assert run(["doctor"]) == code
    assert capsys.readouterr().err == ""
    assert run(["doctor", "--quiet"]) == code
    assert bool(capsys.readouterr().out) == (code != 0)


def test_exit_codes_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """Its codes are nobody else's, and are in the help and in docs/exit-codes.md."""
    assert not {WARNINGS, FAULTS} & {error.exit_code for error in every_error()}
    text = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    assert run(["doctor", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for code, kind in ((WARNINGS, "warnings"), (FAULTS, "faults")):
        assert f"| {code} | |" in text
        assert f"{code} where there are {kind}" in words


def test_a_home_that_is_not_safe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that others can read is a fault, with the command that mends it as the last line."""
    key = own_identity(Home(tmp_path)).path
    key.chmod(0o644)
    (tmp_path / "registry.json").write_text('{"version": 1}')
    assert run(["doctor", "--no-multicast", "--home", str(tmp_path)]) == FAULTS
    out, err = capsys.readouterr()
    assert err == ""
    assert f"FAULT    identity         other users of this machine can read {key}\n" in out
    assert out.splitlines()[-1].endswith(f"First see to permissions, identity: chmod go-rwx {key}")


def test_a_real_process(tmp_path: Path) -> None:
    """As a process it prints one object in pure ASCII, and exits as that says."""
    command = [sys.executable, "-m", "hgx", "--home", str(tmp_path / "home"), "doctor"]
    command += ["--json", "--no-multicast", "--engine-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert (found["worst"], done.returncode, done.stderr) == ("fault", FAULTS, "")
    assert found["first"]["found"].startswith(f"there is no llama-server in {tmp_path}")
    assert not list(tmp_path.iterdir())


def examined(machine: Machine, *options: str) -> dict[str, Any]:
    """Examine a machine; return its checks by area and what they are about."""
    process = machine.start(*DOCTOR, *options)
    out, err = process.communicate(timeout=120)
    found = json.loads(out)
    codes = {"warning": WARNINGS, "fault": FAULTS}
    assert (process.returncode, err) == (codes.get(found["worst"], 0), "")
    return {f"{check['area']}: {check['what']}": check for check in found["checks"]}


def test_two_machines(lan: tuple[Machine, ...], llama_cpp: Toolkit) -> None:
    """A node and its paired peer are fine, engines and all; without the peer it is a warning."""
    engine = ("--engine-dir", str(llama_cpp.server.parent))
    tower, laptop = lan
    node = tower.node("tower")
    theirs = own_identity(Home(tower.home))
    peer = TrustedPeer(fingerprint=theirs.fingerprint, name="tower", certificate=pem_of(theirs))
    add_trusted(Home(laptop.home), peer)
    laptop.run("python", "-m", "hgx", "discover", "--no-measure")
    laptop.node("laptop")
    found = examined(laptop, *engine)
    assert found["ports: port 9474"]["found"].startswith("this node answers there")
    assert "10.77.0." in found["ports: interface"]["found"]
    assert theirs.fingerprint[:16] in found["peers: tower"]["found"]
    good = ("ports: multicast join", "ports: firewall", "engines: self-test", "peers: tower")
    assert {found[name]["state"] for name in good} == {"ok"}
    node.end()
    away = examined(laptop, *engine)["peers: tower"]
    assert away["state"] == "warning"
    assert "start `hgx serve` there" in away["remedy"]


def test_no_network(lan: tuple[Machine, ...]) -> None:
    """A machine that is unplugged is told so, with what to do."""
    with lan[0].unplugged():
        found = examined(lan[0])
    assert found["ports: interface"]["remedy"].startswith("connect a cable")
