"""``hgx peers``: the list, and how one is revoked."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from hgx.cli.main import run
from hgx.core.registry import Node, Registry
from hgx.errors import PeerError
from hgx.store.home import Home
from hgx.store.registry_file import update_registry
from hgx.store.trust import TrustedPeer, add_trusted, trusted

ONE, TWO = "1a" * 32, "2b" * 32


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home where two peers are paired."""
    made = Home(tmp_path)
    add_trusted(made, TrustedPeer(fingerprint=ONE, name="tower", paired_at="2026-11-18T10:00:00Z"))
    add_trusted(made, TrustedPeer(fingerprint=TWO, name="laptop", paired_at="long ago"))
    node = Node(
        id="tower", fingerprint=ONE, address="10.0.0.2:9474", seen_at="2026-11-19T22:06:36Z"
    )
    update_registry(made.registry, lambda _: Registry(nodes=(node,)))
    return made


def peers(home: Home, *arguments: str) -> int:
    """Run ``hgx peers``."""
    return run(["--home", str(home.path), "peers", *arguments])


def test_table(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has name, certificate and times, as this machine's clock shows them."""
    monkeypatch.setenv("TZ", "UTC")
    assert peers(home) == 0
    shown = capsys.readouterr()
    heading, laptop, tower = (line.split() for line in shown.out.splitlines())
    assert heading == ["PEER", "CERTIFICATE", "PAIRED", "LAST", "SEEN", "ADDRESS"]
    assert laptop == ["laptop", "2b2b2b2b2b2b2b2b", "long", "ago", "-", "-"]
    assert tower[:3] == ["tower", "1a1a1a1a1a1a1a1a", "2026-11-18"]
    assert tower[4] == "2026-11-19"
    assert tower[6] == "10.0.0.2:9474"
    assert "laptop was paired by an earlier hgx: pair it again to use it" in shown.err


def test_json(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON there are the whole fingerprints, and null where something is unknown."""
    assert peers(home, "--json") == 0
    shown = capsys.readouterr()
    found = {peer["name"]: peer for peer in json.loads(shown.out)["peers"]}
    assert found["tower"]["fingerprint"] == ONE
    assert found["laptop"]["address"] is None
    assert shown.err == ""


def test_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody is paired it says how that is changed."""
    assert peers(Home(tmp_path)) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (
        "",
        "No machine is paired with this one: `hgx pair` pairs one\n",
    )
    assert peers(Home(tmp_path), "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_revoked(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """With --yes nothing is asked; the home may be named behind the subcommand too."""
    assert run(["peers", "--home", str(home.path), "revoke", "tower", "--yes"]) == 0
    assert trusted(home) == {TWO}
    assert capsys.readouterr().err.startswith("tower is not trusted any more.\n")
    assert run(["peers", "revoke", "laptop", "--yes", "--quiet", "--home", str(home.path)]) == 0
    assert not trusted(home)
    assert capsys.readouterr().err == ""


def test_unknown(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Who is not paired cannot be revoked."""
    assert peers(home, "revoke", "twoer", "--yes") == PeerError.exit_code
    assert "no paired peer is called 'twoer': `hgx peers` lists" in capsys.readouterr().err


def test_nobody_to_ask(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can be asked it wants to be told --yes, and changes nothing."""
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert peers(home, "revoke", "tower") == 2
    assert "say --yes to revoke tower" in " ".join(capsys.readouterr().err.split())
    assert trusted(home) == {ONE, TWO}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no terminals to make")
@pytest.mark.parametrize(("answer", "status", "left"), [("y", 0, {TWO}), ("n", 1, {ONE, TWO})])
def test_asked_on_a_terminal(
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    status: int,
    left: set[str],
) -> None:
    """On a terminal it asks, and does as it is told."""
    controller, terminal = os.openpty()
    with os.fdopen(controller, "w") as person, os.fdopen(terminal, "r") as stdin:
        person.write(f"{answer}\n")
        person.flush()
        monkeypatch.setattr(sys, "stdin", stdin)
        assert peers(home, "revoke", "tower") == status
    assert trusted(home) == left
