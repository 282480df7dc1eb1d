"""Addresses of peers as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.errors import PeerError, StorageError
from hgx.flows.addresses import given_targets, parse_target
from hgx.net.wire import Target
from hgx.store.home import Home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("tower", Target("tower", 9474)),
        ("tower.local:80", Target("tower.local", 80)),
        ("10.0.0.2", Target("10.0.0.2", 9474)),
        ("10.0.0.2:65535", Target("10.0.0.2", 65535)),
        ("[fd00::2]", Target("fd00::2", 9474)),
        ("[fe80::1%eth0]:1", Target("fe80::1%eth0", 1)),
        ("fd00::2", Target("fd00::2", 9474)),
        ("fe80::1%eth0", Target("fe80::1%eth0", 9474)),
        ("::1", Target("::1", 9474)),
    ],
)
def test_addresses(text: str, target: Target) -> None:
    """A host may have a port, and IPv6 needs brackets only with one."""
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    ["", "a:", "a:0", "a:65536", "a:99999999999", "[fd00::2", "fd00::2]:1", "a b", "http://a", "ä",
     "[tower]:1", "a:1:2"],
)  # fmt: skip
def test_no_addresses(text: str) -> None:
    """What is no address is refused in one line that shows how one looks."""
    with pytest.raises(PeerError, match="is no address of a peer: write HOST:PORT") as caught:
        parse_target(text)
    assert (caught.value.fault, caught.value.exit_code) == ("address", 10)


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text is an address with a usable port, or refused in one printable line."""
    try:
        target = parse_target(text)
    except PeerError as error:
        assert error.message.isprintable()
    else:
        assert 0 < target.port < 65536
        assert parse_target(str(target)) == target


def test_named_and_from_the_file(tmp_path: Path) -> None:
    """Peers on the command line come first; those in the home's file are added, each once."""
    (tmp_path / "peers.txt").write_text("# mine\n\n tower:9474 # the big one\nlaptop\n")
    found = given_targets(Home(tmp_path), ["phone", "tower"], None)
    assert [target.host for target in found] == ["phone", "tower", "laptop"]


def test_another_file(tmp_path: Path) -> None:
    """A file that is named replaces the one in the home; it may begin with a byte order mark."""
    (tmp_path / "peers.txt").write_text("tower")
    other = tmp_path / "other.txt"
    other.write_text("\ufefflaptop", encoding="utf-8")
    assert given_targets(Home(tmp_path), [], other) == (Target("laptop", 9474),)


def test_nobody_is_named(tmp_path: Path) -> None:
    """Without names and file there is nobody."""
    assert given_targets(Home(tmp_path), [], None) == ()


def test_bad_line(tmp_path: Path) -> None:
    """A line that is no address is named with its file and number."""
    (tmp_path / "peers.txt").write_text("tower\n\nlap top\n")
    with pytest.raises(PeerError, match=r"peers\.txt, line 3: 'lap top' is no address"):
        given_targets(Home(tmp_path), [], None)


def test_unreadable_files(tmp_path: Path) -> None:
    """A file that is missing, a directory or not text is an error in one line."""
    with pytest.raises(StorageError, match=r"no\.txt is not there: write"):
        given_targets(Home(tmp_path), [], tmp_path / "no.txt")
    with pytest.raises(StorageError, match="could not read"):
        given_targets(Home(tmp_path), [], tmp_path)
    (tmp_path / "peers.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(StorageError, match="is not UTF-8 text"):
        given_targets(Home(tmp_path), [], None)
