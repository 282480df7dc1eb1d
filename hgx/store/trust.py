"""Which peers this machine trusts: a list of pinned certificates, no authority."""

from __future__ import annotations

import hashlib
import json
import ssl
from typing import TYPE_CHECKING, Annotated, Literal, Self

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError, model_validator

from hgx.core.base import Document
from hgx.errors import PeerError, StorageError
from hgx.store.atomic import shown_path, storage_error, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hgx.store.home import Home

LOCK_TIMEOUT_S = 10.0
_LEAST_PREFIX = 4


class TrustedPeer(Document):
    """A peer that was paired.

    Attributes:
        fingerprint: SHA-256 of its certificate's DER form, in hex: what it is told by.
        name: What it called itself when it was paired.
        certificate: In PEM. Without one, as in files of an earlier hgx, it is known and shown, and
            cannot connect.
        paired_at: When, in ISO 8601.
    """

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    name: str | None = None
    certificate: str | None = None
    paired_at: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.certificate is not None:
            content = ssl.PEM_cert_to_DER_cert(self.certificate)
            if hashlib.sha256(content).hexdigest() != self.fingerprint:
                msg = "the certificate is not that of the fingerprint"
                raise ValueError(msg)
        return self


class _Trusted(Document):
    version: Literal[1]
    peers: tuple[TrustedPeer, ...]


def trust_file(home: Home) -> Path:
    """Return where the list is; without the file nobody is trusted."""
    return home.path / "trusted.json"


def trusted_peers(home: Home) -> tuple[TrustedPeer, ...]:
    """Return the peers that were paired, in the order of the file; none where none ever was.

    Raises:
        StorageError: The file is damaged or cannot be read; nobody is trusted by a part of it.
    """
    return _read(trust_file(home)).peers


def trusted(home: Home) -> frozenset[str]:
    """Return the fingerprints of the peers that were paired.

    Raises:
        StorageError: As for ``trusted_peers``.
    """
    return frozenset(peer.fingerprint for peer in trusted_peers(home))


def add_trusted(home: Home, peer: TrustedPeer) -> tuple[TrustedPeer, ...]:
    """Trust a peer from now on, in the place of any of that name or fingerprint.

    Returns:
        Those of that name that are not trusted any more: their certificate was another one.

    Raises:
        StorageError: The file is damaged, locked for long or not writable; it is as it was.
    """

    def same(known: TrustedPeer) -> bool:
        named = peer.name is not None and known.name == peer.name
        return named or known.fingerprint == peer.fingerprint

    replaced = _change(home, lambda peers: (*(one for one in peers if not same(one)), peer))
    return tuple(one for one in replaced if one.fingerprint != peer.fingerprint)


def remove_trusted(home: Home, who: str) -> None:
    """Trust a peer no more.

    Args:
        home: Where the file is.
        who: As for ``find_trusted``.

    Raises:
        PeerError: There is no such peer, or more than one (fault "unknown"); nothing changes.
        StorageError: As for ``add_trusted``.
    """

    def without(peers: tuple[TrustedPeer, ...]) -> tuple[TrustedPeer, ...]:
        gone = find_trusted(peers, who).fingerprint
        return tuple(peer for peer in peers if peer.fingerprint != gone)

    _change(home, without)


def find_trusted(peers: tuple[TrustedPeer, ...], who: str) -> TrustedPeer:
    """Find one peer.

    Args:
        peers: All of them.
        who: Its name, or the first 4 or more digits of its fingerprint.

    Raises:
        PeerError: There is no such peer, or more than one (fault "unknown").
    """
    named = {peer.fingerprint: peer for peer in peers if peer.name == who}
    prefixed = {
        peer.fingerprint: peer
        for peer in peers
        if len(who) >= _LEAST_PREFIX and peer.fingerprint.startswith(who.lower())
    }
    found = named or prefixed
    if not found:
        msg = f"no paired peer is called {who!a}"
        raise PeerError(msg, "unknown", "`hgx peers` lists those that are")
    if len(found) > 1:
        choice = " or ".join(fingerprint[:16] for fingerprint in found)
        msg = f"{len(found)} paired peers are called {who!a}"
        raise PeerError(msg, "unknown", f"give the certificate instead, {choice}")
    return next(iter(found.values()))


def _change(
    home: Home, change: Callable[[tuple[TrustedPeer, ...]], tuple[TrustedPeer, ...]]
) -> tuple[TrustedPeer, ...]:
    """Read, change and write the list while nobody else can; return who is not in it any more."""
    home.create()
    path = trust_file(home)
    try:
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=LOCK_TIMEOUT_S):
            old = _read(path)
            peers = change(old.peers)
            new = old.model_copy(update={"peers": peers})
            fields = new.model_dump(mode="json", exclude_unset=True)
            write_atomically(path, json.dumps(fields, indent=2) + "\n", private=True)
            return tuple(peer for peer in old.peers if peer not in peers)
    except Timeout as error:
        msg = f"{shown_path(path)} is being changed by another hgx: wait for it to end, or stop it"
        raise StorageError(msg) from error
    except OSError as error:
        raise storage_error("lock", path, error) from error


def _read(path: Path) -> _Trusted:
    try:
        # From text, because only there a strict tuple may be written as a JSON array.
        return _Trusted.model_validate_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return _Trusted(version=1, peers=())
    except OSError as error:
        raise storage_error("read", path, error) from error
    except (UnicodeDecodeError, ValidationError) as error:
        msg = (
            f"{shown_path(path)} is damaged{_place(error)}: put back a copy, or delete it and "
            "pair the peers again"
        )
        raise StorageError(msg) from error


def _place(error: UnicodeDecodeError | ValidationError) -> str:
    """Name the field that is wrong, where the file was JSON at all."""
    if isinstance(error, UnicodeDecodeError):
        return " (it is not UTF-8)"
    places = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
    field = ".".join(str(part) for part in places)
    return f" at {json.dumps(field)}" if field else " (it is not JSON of the right form)"
