"""The key by which a node is told from others, whatever its name and address.

It is made at the first start and stays. A device id is the SHA-256 of the certificate, as in
Syncthing; nobody signs it, and trust is a list of such ids. Certificate and key are in one file,
so that they can only appear together.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock, Timeout

from hgx.errors import StorageError
from hgx.store.atomic import shown_path, storage_error

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.store.home import Home

LOCK_TIMEOUT_S = 10.0
"""How long to wait while another process makes the identity."""

_VALID_DAYS = 100 * 365  # what is pinned has no need to expire
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n"
)


class Identity(NamedTuple):
    """A node's key and certificate.

    Attributes:
        path: The PEM file of both.
        fingerprint: SHA-256 of the certificate's DER form, in hex.
    """

    path: Path
    fingerprint: str


def own_identity(home: Home) -> Identity:
    """Return the identity of this node, made now if there is none yet.

    Processes that start at the same time end with one identity.

    Raises:
        StorageError: It cannot be read or written, or it is damaged: it is never replaced
            silently, because all peers know this node by it.
    """
    home.create()
    path = _file(home)
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with FileLock(folder / "lock", timeout=LOCK_TIMEOUT_S):
            if not path.exists():
                _write_private(path, _new_pem())
        return Identity(path, _checked(path))
    except Timeout as error:
        msg = f"{shown_path(path)} is locked by another process: wait for it, or end it"
        raise StorageError(msg) from error
    except OSError as error:
        raise storage_error("use", path, error) from error


def known_fingerprint(home: Home) -> str | None:
    """Return this node's device id if it has one yet; looking for others needs none.

    Raises:
        StorageError: The identity cannot be read, or it is damaged.
    """
    return own_identity(home).fingerprint if _file(home).exists() else None


def fingerprint_of(certificate: bytes) -> str:
    """Return the device id that belongs to a certificate.

    Args:
        certificate: In DER form, as TLS gives it.
    """
    return hashlib.sha256(certificate).hexdigest()


def server_context(identity: Identity) -> ssl.SSLContext:
    """Return what a server needs to answer as this node, with TLS 1.3 and nothing older."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # No password: one that is asked for would wait on the terminal forever.
    context.load_cert_chain(identity.path, password=str)
    return context


def client_context() -> ssl.SSLContext:
    """Return what a client needs to ask a node, with TLS 1.3 and nothing older.

    It takes any certificate: the caller compares the fingerprint, which is the identity.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _file(home: Home) -> Path:
    return home.path / "identity" / "node.pem"


def _checked(path: Path) -> str:
    """Return the fingerprint of a file whose key and certificate belong together."""
    found = _CERTIFICATE.search(path.read_text(encoding="ascii", errors="replace"))
    try:
        if found:
            server_context(Identity(path, ""))
            return fingerprint_of(ssl.PEM_cert_to_DER_cert(found[0]))
    except (ssl.SSLError, ValueError):
        pass
    msg = (
        f"{shown_path(path)} does not hold a certificate and its key: put back a copy, or delete "
        "it to become a new node, which must be paired again"
    )
    raise StorageError(msg)


def _write_private(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".hgx-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _new_pem() -> bytes:
    # Imported here: only the first start of all needs it.
    from cryptography import x509  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - see above

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hgx node")])
    begin = datetime.now(UTC) - timedelta(days=1)  # clocks differ
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=_VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
