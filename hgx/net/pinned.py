"""TLS 1.3 in which both ends prove who they are: the wire for all that is not for strangers.

There is no authority. A certificate counts because it is one of those that were pinned when the
peers were paired, and for no other reason; so whoever takes a connection compares its fingerprint
as well, because a pinned certificate might have signed another.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from hgx.net.identity import client_context, fingerprint_of, server_context

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgx.net.identity import Identity


def mutual_server_context(identity: Identity, certificates: Iterable[str]) -> ssl.SSLContext:
    """Return what a server needs to let in paired peers and nobody else.

    Who is refused learns it from the first byte it reads: in TLS 1.3 a client is done before its
    certificate was looked at.

    Args:
        identity: This node's.
        certificates: Those of the paired peers, in PEM; with none everybody is refused. Who is
            let in is settled here: after a revocation a new context is needed.
    """
    context = server_context(identity)
    context.verify_mode = ssl.CERT_REQUIRED
    # A node's certificate is no authority's: it is trusted as it is, without a chain above it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # A ticket would let a peer come back without its certificate.
    context.num_tickets = 0
    if pinned := "".join(certificates):
        context.load_verify_locations(cadata=pinned)
    return context


def mutual_client_context(identity: Identity) -> ssl.SSLContext:
    """Return what a client needs to show its own certificate.

    It takes any server: the caller compares ``peer_of`` with the fingerprint it has pinned, before
    it sends anything.

    Args:
        identity: This node's.
    """
    context = client_context()
    # No password: one that is asked for would wait on the terminal forever.
    context.load_cert_chain(identity.path, password=str)
    return context


def peer_of(wrapped: ssl.SSLSocket | ssl.SSLObject) -> str:
    """Return the fingerprint of whoever is at the other end.

    Args:
        wrapped: A connection after its handshake.

    Raises:
        ssl.SSLError: It showed no certificate.
    """
    certificate = wrapped.getpeercert(binary_form=True)
    if certificate is None:
        msg = "the peer showed no certificate"
        raise ssl.SSLError(msg)
    return fingerprint_of(certificate)
