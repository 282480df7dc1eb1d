"""The list of trusted peers."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from hgx.errors import PeerError, StorageError
from hgx.net.identity import own_identity
from hgx.store import trust
from hgx.store.home import Home
from hgx.store.trust import (
    TrustedPeer,
    add_trusted,
    find_trusted,
    remove_trusted,
    trust_file,
    trusted,
    trusted_peers,
)
from tests.net.certificates import pem_of

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = "ab" * 32, "cd" * 32


def peer(fingerprint: str, name: str | None = None) -> TrustedPeer:
    """Return a peer."""
    return TrustedPeer(fingerprint=fingerprint, name=name)


def test_nobody_at_first(tmp_path: Path) -> None:
    """Without a file nobody is trusted."""
    assert trusted(Home(tmp_path)) == frozenset()
    assert list(tmp_path.iterdir()) == []


def test_who_is_listed(tmp_path: Path) -> None:
    """The listed fingerprints are trusted; names and unknown fields do not matter."""
    peers = [{"fingerprint": ONE, "name": "tower", "since": "2026"}, {"fingerprint": TWO}]
    (tmp_path / "trusted.json").write_text(json.dumps({"version": 1, "peers": peers}))
    assert trusted(Home(tmp_path)) == {ONE, TWO}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "not JSON of the right form"),
        (b"[]", "not JSON of the right form"),
        (b"\xff", "not UTF-8"),
        (b"[" * 9**6, "not JSON of the right form"),
        (b'{"version": 2, "peers": []}', 'at "version"'),
        (b'{"version": 1}', 'at "peers"'),
        (b'{"version": 1, "peers": [{"fingerprint": "AB"}]}', 'at "peers.0.fingerprint"'),
        (
            b'{"version": 1, "peers": [{"fingerprint": "%s", "certificate": "x"}]}' % ONE.encode(),
            'at "peers.0"',
        ),
    ],
)
def test_damaged(tmp_path: Path, content: bytes, place: str) -> None:
    """A damaged file is refused as a whole, in one line that says where and what to do."""
    (tmp_path / "trusted.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"trusted\.json is damaged") as caught:
        trusted(Home(tmp_path))
    assert place in caught.value.message
    assert "\n" not in caught.value.message
    with pytest.raises(StorageError, match=r"trusted\.json is damaged"):
        add_trusted(Home(tmp_path), peer(ONE, "tower"))
    assert (tmp_path / "trusted.json").read_bytes() == content


def test_certificate_of_another(tmp_path: Path) -> None:
    """A certificate that is not that of the fingerprint is a damage."""
    certificate = pem_of(own_identity(Home(tmp_path)))
    peers = [{"fingerprint": ONE, "certificate": certificate}]
    (tmp_path / "trusted.json").write_text(json.dumps({"version": 1, "peers": peers}))
    with pytest.raises(StorageError, match=r"trusted\.json is damaged at .*peers\.0"):
        trusted(Home(tmp_path))


def test_unreadable(tmp_path: Path) -> None:
    """A file that cannot be read is refused in one line."""
    (tmp_path / "trusted.json").mkdir()
    with pytest.raises(StorageError, match=r"could not read .*trusted\.json"):
        trusted(Home(tmp_path))


def test_added(tmp_path: Path) -> None:
    """Who is added is trusted, with all that is known, in a file for the owner alone."""
    home = Home(tmp_path / "home")
    own = own_identity(Home(tmp_path / "other"))
    whole = TrustedPeer(
        fingerprint=own.fingerprint,
        name="tower",
        certificate=pem_of(own),
        paired_at="2026-11-19T22:06:36+00:00",
    )
    assert add_trusted(home, whole) == ()
    assert add_trusted(home, peer(TWO, "laptop")) == ()
    assert trusted_peers(home) == (whole, peer(TWO, "laptop"))
    assert stat.S_IMODE(trust_file(home).stat().st_mode) == 0o600


def test_file_becomes_private(tmp_path: Path) -> None:
    """A file that all could read is the owner's alone afterwards, and keeps unknown fields."""
    file = tmp_path / "trusted.json"
    entry = {"fingerprint": ONE, "name": "tower", "since": "2026"}
    file.write_text(json.dumps({"version": 1, "peers": [entry], "more": True}))
    file.chmod(0o644)
    add_trusted(Home(tmp_path), peer(TWO, "laptop"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())
    assert kept["peers"] == [entry, {"fingerprint": TWO, "name": "laptop"}]
    assert kept["more"] is True


def test_replaced(tmp_path: Path) -> None:
    """One of the same name or the same fingerprint goes; only the former is told."""
    home = Home(tmp_path)
    add_trusted(home, peer(ONE, "tower"))
    assert add_trusted(home, peer(TWO, "tower")) == (peer(ONE, "tower"),)
    assert add_trusted(home, peer(TWO, "laptop")) == ()
    assert trusted_peers(home) == (peer(TWO, "laptop"),)
    add_trusted(home, peer(ONE))
    add_trusted(home, peer("ef" * 32))
    assert len(trusted_peers(home)) == 3


@pytest.mark.parametrize("who", ["tower", ONE, ONE[:4], ONE[:5].upper()])
def test_removed(tmp_path: Path, who: str) -> None:
    """Who is removed, by name or by the first digits, is not trusted any more."""
    home = Home(tmp_path)
    add_trusted(home, peer(ONE, "tower"))
    add_trusted(home, peer(TWO, "laptop"))
    remove_trusted(home, who)
    assert trusted(home) == {TWO}


@pytest.mark.parametrize("who", ["", "aba", "tow", "ffff"])
def test_not_removed(tmp_path: Path, who: str) -> None:
    """Who is not there cannot be removed, and nobody is by a name that is too short."""
    home = Home(tmp_path)
    add_trusted(home, peer(ONE, "tower"))
    with pytest.raises(PeerError, match="no paired peer is called"):
        remove_trusted(home, who)
    assert trusted(home) == {ONE}


def test_which_of_them() -> None:
    """Where two could be meant neither is, and it says how to tell them apart."""
    peers = (peer(ONE, "tower"), peer(ONE[:-1] + "0", "tower"), peer(ONE, "tower"))
    with pytest.raises(PeerError, match=r"2 paired peers are called 'tower'.*certificate"):
        find_trusted(peers, "tower")
    assert find_trusted(peers, ONE) == peer(ONE, "tower")


def test_locked_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is held too long is an error that says so."""
    home = Home(tmp_path)
    monkeypatch.setattr(trust, "LOCK_TIMEOUT_S", 0.05)
    with (
        FileLock(tmp_path / "trusted.json.lock"),
        pytest.raises(StorageError, match="is being changed by another hgx"),
    ):
        add_trusted(home, peer(ONE, "tower"))


def test_no_place_for_a_lock(tmp_path: Path) -> None:
    """A place that cannot be locked is an error in one line."""
    (tmp_path / "trusted.json.lock").mkdir()
    with pytest.raises(StorageError, match=r"could not lock .*trusted\.json"):
        add_trusted(Home(tmp_path), peer(ONE, "tower"))


def test_processes_at_once(tmp_path: Path) -> None:
    """Processes that add peers at the same time lose none."""
    program = (
        "import sys, pathlib; from hgx.store.trust import *; from hgx.store.home import Home;"
        "home = Home(pathlib.Path(sys.argv[1]));"
        "[add_trusted(home, TrustedPeer(fingerprint=sys.argv[2] * 31 + f'{n:02x}', name=None))"
        " for n in range(8)]"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), digits])
        for digits in ("aa", "bb", "cc")
    ]
    assert [process.wait(timeout=60) for process in started] == [0, 0, 0]
    assert len(trusted(Home(tmp_path))) == 24
