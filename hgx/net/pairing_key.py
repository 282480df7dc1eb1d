"""The key that two machines make of a code, and what it proves of all that was said."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spake2 import (  # pyright: ignore[reportMissingTypeStubs] - the library has no types
    SPAKE2_A,
    SPAKE2_B,
    SPAKEError,
)
from spake2.ed25519_basic import (  # pyright: ignore[reportMissingTypeStubs] - see above
    NotOnCurve,
)

from hgx.net.identity import fingerprint_of
from hgx.net.pairing_lines import PROTOCOL

if TYPE_CHECKING:
    from hgx.net.pairing_code import PairingCode

Side = Literal["offering", "joining"]


class Told(NamedTuple):
    """All that was said; of each two the offering machine's is the first.

    Attributes:
        names: What the machines call themselves.
        certificates: In DER form.
        messages: Of SPAKE2, in hex.
    """

    names: tuple[str, str]
    certificates: tuple[bytes, bytes]
    messages: tuple[str, str]

    def framed(self, purpose: str) -> bytes:
        """Put it into bytes that can be read in one way only, for one purpose only."""
        parts = (
            f"hgx pairing {PROTOCOL} {purpose}".encode(),
            *(name.encode() for name in self.names),
            *self.certificates,
            *(message.encode() for message in self.messages),
        )
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class Session(NamedTuple):
    """A key, and what was said while it was made."""

    key: bytes
    told: Told

    def tag(self, purpose: str) -> bytes:
        """Make what only somebody with the same key can make, and only of the same words."""
        return hmac.digest(self.key, self.told.framed(purpose), "sha256")

    def has_tag(self, purpose: str, tag: str) -> bool:
        """Tell whether something in hex is that, in the same time whatever it is."""
        return hmac.compare_digest(bytes.fromhex(tag), self.tag(purpose))


class Run:
    """One run of SPAKE2.

    Args:
        side: Which one this is.
        code: The secret.
        certificates: In DER form, the offering machine's first; the key is of them too.

    Attributes:
        message: To be sent to the other side, in hex.
    """

    def __init__(self, side: Side, code: PairingCode, certificates: tuple[bytes, bytes]) -> None:
        make: Any = SPAKE2_A if side == "offering" else SPAKE2_B
        first, second = (fingerprint_of(certificate).encode() for certificate in certificates)
        self._spake = make(str(code).encode(), idA=first, idB=second)
        message: bytes = self._spake.start()
        self.message = message.hex()

    def key(self, message: str) -> bytes | None:
        """Return the key; null where the other side's message, in hex, is none.

        Whether the other side has the same key is not known yet. Once per run.
        """
        try:
            return self._spake.finish(bytes.fromhex(message))
        except (NotOnCurve, SPAKEError, ValueError):
            return None
