"""What a certificate must be to be a node's, and proof that somebody holds its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from hgx.errors import StorageError
from hgx.store.atomic import shown_path

if TYPE_CHECKING:
    from hgx.net.identity import Identity


def own_certificate(identity: Identity) -> bytes:
    """Return a node's own certificate, in DER form."""
    loaded = x509.load_pem_x509_certificate(identity.path.read_bytes())
    return loaded.public_bytes(Encoding.DER)


def is_of_a_node(certificate: bytes) -> bool:
    """Tell whether a certificate is as nodes make theirs: signed by itself, and by it no other.

    Args:
        certificate: In DER form, from anybody.
    """
    try:
        loaded = x509.load_der_x509_certificate(certificate)
        loaded.verify_directly_issued_by(loaded)
        constraints = loaded.extensions.get_extension_for_class(x509.BasicConstraints)
        elliptic = isinstance(loaded.public_key(), EllipticCurvePublicKey)
    except (
        InvalidSignature,
        TypeError,
        UnsupportedAlgorithm,
        ValueError,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
    ):
        return False
    return elliptic and not constraints.value.ca


def sign(identity: Identity, data: bytes) -> bytes:
    """Sign something by a node's own key.

    Raises:
        StorageError: The key is not of the kind that hgx makes.
    """
    key = load_pem_private_key(identity.path.read_bytes(), None)
    if not isinstance(key, EllipticCurvePrivateKey):
        msg = (
            f"{shown_path(identity.path)} holds a key of another kind than hgx makes: delete it "
            "to become a new node"
        )
        raise StorageError(msg)
    return key.sign(data, ECDSA(SHA256()))


def is_signed(certificate: bytes, data: bytes, signature: bytes) -> bool:
    """Tell whether something was signed by the key of a certificate.

    Args:
        certificate: One that ``is_of_a_node``.
        data: What was signed.
        signature: From anybody.
    """
    key = x509.load_der_x509_certificate(certificate).public_key()
    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, data, ECDSA(SHA256()))
            return True
    except InvalidSignature:
        pass
    return False
