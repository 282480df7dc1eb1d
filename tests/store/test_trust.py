"""The list of trusted peers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hgx.errors import StorageError
from hgx.store.home import Home
from hgx.store.trust import trusted

if TYPE_CHECKING:
    from pathlib import Path


def test_nobody_at_first(tmp_path: Path) -> None:
    """Without a file nobody is trusted."""
    assert trusted(Home(tmp_path)) == frozenset()


def test_who_is_listed(tmp_path: Path) -> None:
    """The listed fingerprints are trusted; names and unknown fields do not matter."""
    one, other = "ab" * 32, "cd" * 32
    peers = [{"fingerprint": one, "name": "tower", "since": "2026"}, {"fingerprint": other}]
    (tmp_path / "trusted.json").write_text(json.dumps({"version": 1, "peers": peers}))
    assert trusted(Home(tmp_path)) == {one, other}


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
    ],
)
def test_damaged(tmp_path: Path, content: bytes, place: str) -> None:
    """A damaged file is refused as a whole, in one line that says where and what to do."""
    (tmp_path / "trusted.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"trusted\.json is damaged") as caught:
        trusted(Home(tmp_path))
    assert place in caught.value.message
    assert "\n" not in caught.value.message


def test_unreadable(tmp_path: Path) -> None:
    """A file that cannot be read is refused in one line."""
    (tmp_path / "trusted.json").mkdir()
    with pytest.raises(StorageError, match=r"could not read .*trusted\.json"):
        trusted(Home(tmp_path))
