"""Certificates for tests, made as a node makes its own or otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hgx.net.identity import Identity, fingerprint_of, own_identity
from hgx.store.home import Home

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes


def pem_of(identity: Identity) -> str:
    """Return a node's certificate, in PEM."""
    loaded = x509.load_pem_x509_certificate(identity.path.read_bytes())
    return loaded.public_bytes(serialization.Encoding.PEM).decode()


def node_at(path: Path) -> Identity:
    """Return the identity of a node whose home is there."""
    return own_identity(Home(path))


def made(
    path: Path,
    *,
    issuer: Identity | None = None,
    authority: bool | None = False,
    kind: str = "elliptic",
) -> Identity:
    """Make an identity in a file.

    Args:
        path: Of the file.
        issuer: Whose key signs it; its own where null.
        authority: What it says of whether it may sign others; nothing where null.
        kind: Of the key: elliptic or rsa.
    """
    key: CertificateIssuerPrivateKeyTypes = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "elliptic"
        else rsa.generate_private_key(65537, 2048)
    )
    signing, issued_by = key, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    if issuer:
        loaded = serialization.load_pem_private_key(issuer.path.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signing = loaded
        issued_by = x509.load_pem_x509_certificate(issuer.path.read_bytes()).subject
    begin = datetime.now(UTC) - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")]))
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=9))
    )
    if authority is not None:
        constraints = x509.BasicConstraints(ca=authority, path_length=None)
        builder = builder.add_extension(constraints, critical=True)
    certificate = builder.sign(signing, hashes.SHA256())
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Identity(path, fingerprint_of(certificate.public_bytes(serialization.Encoding.DER)))
