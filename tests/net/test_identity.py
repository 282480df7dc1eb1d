"""The key by which a node is told from others."""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from filelock import FileLock

from hgx.errors import StorageError
from hgx.net import identity
from hgx.net.identity import (
    Identity,
    client_context,
    fingerprint_of,
    known_fingerprint,
    own_identity,
    server_context,
)
from hgx.store.home import Home

if TYPE_CHECKING:
    from pathlib import Path


def test_made_once(tmp_path: Path) -> None:
    """The first start makes it, for the owner's eyes only, and it stays."""
    home = Home(tmp_path / "home")
    first = own_identity(home)
    assert own_identity(home) == first
    assert len(first.fingerprint) == 64
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.path.parent.stat().st_mode) == 0o700
    assert {path.name for path in first.path.parent.iterdir()} <= {"node.pem", "lock"}


def test_known_without_being_made(tmp_path: Path) -> None:
    """Who only looks for others makes no identity."""
    home = Home(tmp_path / "home")
    assert known_fingerprint(home) is None
    assert not home.path.exists()
    assert own_identity(home).fingerprint == known_fingerprint(home)


def test_two_homes_differ(tmp_path: Path) -> None:
    """Each home is a node of its own."""
    assert own_identity(Home(tmp_path / "a")) != own_identity(Home(tmp_path / "b"))


def test_processes_at_once(tmp_path: Path) -> None:
    """Processes that start at the same time end with one identity."""
    program = (
        "from hgx.net.identity import *; from hgx.store.home import Home; import sys, pathlib;"
    )
    program += "print(own_identity(Home(pathlib.Path(sys.argv[1]))).fingerprint)"
    command = [sys.executable, "-c", program, str(tmp_path / "home")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {process.communicate(timeout=60)[0] for process in started}
    assert len(said) == 1
    assert len(said.pop().strip()) == 64


def encrypted(key: str) -> str:
    """Protect a private key by a password."""
    loaded = serialization.load_pem_private_key(key.encode(), None)
    return loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    ).decode()


@pytest.mark.parametrize("damage", ["", "no certificate", "half", "another key", "encrypted key"])
def test_damaged(tmp_path: Path, damage: str) -> None:
    """A damaged identity is refused in one line and never replaced."""
    home = Home(tmp_path / "home")
    path = own_identity(home).path
    text = path.read_text()
    other = own_identity(Home(tmp_path / "other")).path.read_text()
    begin = text.index("-----BEGIN PRIVATE")
    changed = {
        "": "",
        "no certificate": text[begin:],
        "half": text[: begin // 2],
        "another key": text[:begin] + other[other.index("-----BEGIN PRIVATE") :],
        "encrypted key": text[:begin] + encrypted(text[begin:]),
    }[damage]
    path.write_text(changed)
    with pytest.raises(StorageError, match=r"node\.pem.* does not hold a certificate") as caught:
        own_identity(home)
    assert "\n" not in caught.value.message
    assert path.read_text() == changed


def test_home_that_cannot_be_used(tmp_path: Path) -> None:
    """A place where no identity can be written is refused in one line."""
    (tmp_path / "identity").touch()
    with pytest.raises(StorageError, match=r"could not use .*node\.pem"):
        own_identity(Home(tmp_path))


def test_locked_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is held too long is an error that says so."""
    own_identity(Home(tmp_path))
    monkeypatch.setattr(identity, "LOCK_TIMEOUT_S", 0.05)
    with (
        FileLock(tmp_path / "identity" / "lock"),
        pytest.raises(StorageError, match="is locked by another process"),
    ):
        own_identity(Home(tmp_path))


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[bytes | None, str | None]:
    """Shake hands over a pair of sockets; return the server's certificate and the version."""
    here, there = socket.socketpair()

    def answer() -> None:
        with there:
            try:
                server.wrap_socket(there, server_side=True).close()
            except OSError:
                return

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with here, client.wrap_socket(here) as wrapped:
            return wrapped.getpeercert(binary_form=True), wrapped.version()
    finally:
        thread.join()


def test_peers_shake_hands(tmp_path: Path) -> None:
    """Two nodes speak TLS 1.3, and the client sees whose certificate it is."""
    own = own_identity(Home(tmp_path))
    certificate, version = handshake(server_context(own), client_context())
    assert (fingerprint_of(certificate or b""), version) == (own.fingerprint, "TLSv1.3")


@pytest.mark.parametrize("old", ["client", "server"])
def test_older_versions_are_refused(tmp_path: Path, old: str) -> None:
    """Neither side speaks anything older than TLS 1.3."""
    server, client = server_context(own_identity(Home(tmp_path))), client_context()
    changed = {"client": client, "server": server}[old]
    changed.minimum_version = ssl.TLSVersion.TLSv1_2
    changed.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError, match=r"protocol"):
        handshake(server, client)


def test_fingerprint_is_what_others_show(tmp_path: Path) -> None:
    """The fingerprint is that of the certificate alone, as `openssl x509` shows it."""
    own = own_identity(Home(tmp_path))
    certificate = ssl.PEM_cert_to_DER_cert(own.path.read_text().partition("-----BEGIN PRIV")[0])
    assert own == Identity(own.path, fingerprint_of(certificate))
