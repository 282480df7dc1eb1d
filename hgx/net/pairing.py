"""How two machines whose users share a short code come to know each other's certificates.

SPAKE2 makes a key of the code that neither an eavesdropper nor somebody in between can guess at
afterwards: one run is one guess. The fingerprints of both certificates go into that key, and what
both then prove with it covers all that was said, so whoever changed a word of it has another key.
The machine that shows the code proves its own key by TLS: the joining one takes the certificate
that TLS showed and no other. The joining one signs.

    joining   {"pair": 1, "name", "certificate", "spake2"}
    offering  {"name", "spake2", "confirm"}                  the code is used up from here on
    joining   {"confirm", "signature"}
    offering  {"paired": true}                               it trusts the other from here on

This is what both sides say and what it proves; how it travels is elsewhere.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, NamedTuple

from hgx.errors import PeerError
from hgx.net.identity import fingerprint_of
from hgx.net.pairing_code import words_of
from hgx.net.pairing_key import Run, Session, Told
from hgx.net.pairing_lines import (
    PROTOCOL,
    Answer,
    Done,
    Hello,
    Proof,
    Refusal,
    Version,
    read,
    write,
)
from hgx.net.proof import is_of_a_node, is_signed, own_certificate, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.net.identity import Identity
    from hgx.net.pairing_code import PairingCode
    from hgx.net.pairing_lines import RefusalReason

LASTS_S = 300.0
"""How long a code is good."""

DONE = write(Done())
"""The last line, to be sent once the joining machine is trusted."""

_COMPARED = 4  # words that both screens show
_AGAIN = "run `hgx pair` there again and type the new code"


class Own(NamedTuple):
    """This machine in the exchange.

    Attributes:
        name: What it calls itself; ``hgx.net.advert.is_name`` holds of it.
        identity: Its key and certificate.
    """

    name: str
    identity: Identity


class Partner(NamedTuple):
    """Who is at the other end, proven.

    Attributes:
        name: What it calls itself.
        certificate: In PEM.
        fingerprint: Of the certificate.
        words: What both screens show.
    """

    name: str
    certificate: str
    fingerprint: str
    words: str


class Refused(Exception):
    """What came is no attempt, or one too late; the code is as good as it was.

    Args:
        reason: Why.

    Attributes:
        line: What to say to whoever sent it.
    """

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(reason)
        self.line = write(Refusal(error=reason))


class Offer:
    """The side that shows a code: it lets one attempt be made.

    Args:
        code: As it is shown.
        own: This machine.
        lasts_s: How long the code is good from now on.
        clock: Returns seconds.
    """

    def __init__(
        self,
        code: PairingCode,
        own: Own,
        lasts_s: float = LASTS_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._code = code
        self._own = own
        self._certificate = own_certificate(own.identity)
        self._clock = clock
        self._until_s = clock() + lasts_s
        self._session: Session | None = None

    @property
    def left_s(self) -> float:
        """For how many seconds the code is still good."""
        return self._until_s - self._clock()

    @property
    def used(self) -> bool:
        """Whether the one attempt was made."""
        return self._session is not None

    def answer(self, hello: bytes) -> bytes:
        """Answer the first line of a joining machine; the first answer uses the code up.

        Raises:
            Refused: It is no such line, or the code was used before or is too old.
        """
        if self.used or self.left_s <= 0:
            raise Refused("void")
        said = _hello(hello)
        certificates = self._certificate, _der(said.certificate)
        if certificates[0] == certificates[1] or not is_of_a_node(certificates[1]):
            raise Refused("hello")
        run = Run("offering", self._code, certificates)
        key = run.key(said.spake2)
        if key is None:
            raise Refused("hello")
        told = Told((self._own.name, said.name), certificates, (run.message, said.spake2))
        self._session = Session(key, told)
        confirm = self._session.tag("offering").hex()
        return write(Answer(name=self._own.name, spake2=run.message, confirm=confirm))

    def finish(self, proof: bytes) -> Partner:
        """Check what the joining machine proves.

        Raises:
            PeerError: It proves nothing (fault "code").
        """
        said, session = read(Proof, proof), self._session
        if said and session and session.has_tag("joining", said.confirm):
            signed = session.told.framed("signature")
            if is_signed(session.told.certificates[1], signed, bytes.fromhex(said.signature)):
                return _partner(session, 1)
        raise not_proven()


class Attempt:
    """The side where a code was typed.

    Args:
        code: As it was typed.
        own: This machine.
        shown: The certificate by which TLS knows the other end, in DER form.
        where: What to call the other end in an error.

    Attributes:
        where: What the other end is called.
        hello: The first line, to be sent at once.
    """

    def __init__(self, code: PairingCode, own: Own, shown: bytes, where: str) -> None:
        self._own = own
        self.where = where
        self._certificates = shown, own_certificate(own.identity)
        self._run = Run("joining", code, self._certificates)
        self._session: Session | None = None
        pem = ssl.DER_cert_to_PEM_cert(self._certificates[1])
        self.hello = write(Hello(name=own.name, certificate=pem, spake2=self._run.message))

    def prove(self, answer: bytes) -> bytes:
        """Check that the other end has the code, and prove the same.

        Raises:
            PeerError: It has not (fault "code"), is no hgx, or one of another version.
        """
        said = read(Answer, answer)
        key = self._run.key(said.spake2) if said else None
        if said is None or key is None or not is_of_a_node(self._certificates[0]):
            raise self._not_answered(answer)
        messages = said.spake2, self._run.message
        session = Session(key, Told((said.name, self._own.name), self._certificates, messages))
        if not session.has_tag("offering", said.confirm):
            msg = f"{self.where} has another code, or somebody in between changed what was said"
            raise PeerError(msg, "code", _AGAIN)
        self._session = session
        confirm = session.tag("joining").hex()
        signature = sign(self._own.identity, session.told.framed("signature"))
        return write(Proof(confirm=confirm, signature=signature.hex()))

    def finish(self, done: bytes) -> Partner:
        """Take the other end's last word.

        Raises:
            PeerError: It does not trust this machine (fault "code").
        """
        if self._session is None or read(Done, done) is None:
            raise broken_off(self.where)
        return _partner(self._session, 0)

    def _not_answered(self, answer: bytes) -> PeerError:
        refusal = read(Refusal, answer)
        if refusal and refusal.error == "void":
            return PeerError(f"the code of {self.where} is used up or too old", "code", _AGAIN)
        if refusal and refusal.error == "version":
            msg = f"{self.where} pairs in another way than this hgx"
            return PeerError(msg, "version", "install the same hgx on both")
        msg = f"{self.where} does not answer as a machine that waits to be paired"
        return PeerError(msg, "not hgx", "run `hgx pair` there, or check the address")


def not_proven() -> PeerError:
    """Say that an attempt was made in vain."""
    msg = "somebody tried to pair without the code, which is void now"
    return PeerError(msg, "code", "run `hgx pair` again for a new one")


def broken_off(where: str) -> PeerError:
    """Say that the other end ended the exchange too early."""
    return PeerError(f"{where} broke the pairing off", "code", _AGAIN)


def _partner(session: Session, side: int) -> Partner:
    certificate = session.told.certificates[side]
    return Partner(
        session.told.names[side],
        ssl.DER_cert_to_PEM_cert(certificate),
        fingerprint_of(certificate),
        words_of(session.tag("words")[:_COMPARED]),
    )


def _hello(line: bytes) -> Hello:
    """Read a first line; what a later version says is told apart from what nobody says."""
    said = read(Hello, line)
    if said is not None:
        return said
    version = read(Version, line)
    raise Refused("version" if version and version.pair != PROTOCOL else "hello")


def _der(pem: str) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(pem)
    except ValueError as error:
        raise Refused("hello") from error
