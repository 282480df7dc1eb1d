"""What counts as a node's certificate, and what shows that somebody holds its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hgx.errors import StorageError
from hgx.net.identity import fingerprint_of
from hgx.net.proof import is_of_a_node, is_signed, own_certificate, sign
from tests.net.certificates import made, node_at

if TYPE_CHECKING:
    from pathlib import Path


def test_own(tmp_path: Path) -> None:
    """A node's own certificate is one of a node, and is what its fingerprint is of."""
    own = node_at(tmp_path)
    assert is_of_a_node(own_certificate(own))
    assert fingerprint_of(own_certificate(own)) == own.fingerprint


@pytest.mark.parametrize(
    "facts", [{"authority": True}, {"authority": None}, {"kind": "rsa"}, {"issuer": True}]
)
def test_others(tmp_path: Path, facts: dict[str, Any]) -> None:
    """An authority's certificate, one that another signed or one of another key is no node's."""
    issuer = node_at(tmp_path) if facts.pop("issuer", None) else None
    other = made(tmp_path / "other.pem", issuer=issuer, **facts)
    assert not is_of_a_node(own_certificate(other))


def test_no_certificate(tmp_path: Path) -> None:
    """What is no certificate is no node's; neither is one with something behind it."""
    own = own_certificate(node_at(tmp_path))
    assert not any(is_of_a_node(data) for data in (b"", b"x", own[:-1], own + b"\0"))


def test_a_byte_that_was_changed(tmp_path: Path) -> None:
    """Whichever byte of a certificate is another, it is no node's, its version's included."""
    own = own_certificate(node_at(tmp_path))
    for at in range(len(own)):
        assert not is_of_a_node(own[:at] + bytes((own[at] ^ 0x36,)) + own[at + 1 :]), at


def test_signature(tmp_path: Path) -> None:
    """What a node signed is seen to be so: by its certificate, of these bytes, and no others."""
    own, other = node_at(tmp_path / "own"), node_at(tmp_path / "other")
    signature = sign(own, b"data")
    assert is_signed(own_certificate(own), b"data", signature)
    assert not is_signed(own_certificate(other), b"data", signature)
    assert not is_signed(own_certificate(own), b"other", signature)
    assert not is_signed(own_certificate(own), b"data", b"")


def test_another_kind_of_key(tmp_path: Path) -> None:
    """A key that hgx does not make is refused in one line, and proves nothing."""
    other = made(tmp_path / "other.pem", kind="rsa")
    with pytest.raises(StorageError, match="another kind than hgx makes"):
        sign(other, b"data")
    assert not is_signed(own_certificate(other), b"data", b"x" * 256)
