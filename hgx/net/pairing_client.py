"""The way of a pairing to the machine that shows the code: TLS 1.3, one line at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.errors import PeerError
from hgx.net.pairing import Attempt, broken_off
from hgx.net.pairing_lines import MOST_LINE_BYTES
from hgx.net.wire import Connection, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.net.pairing import Own, Partner
    from hgx.net.pairing_code import PairingCode

WITHIN_S = 15.0
"""How long the whole exchange may take: the other machine may have to wait for a lock."""


class Joined(NamedTuple):
    """What came of it.

    Attributes:
        partner: Who showed the code; it trusts this machine.
        target: Where it is.
    """

    partner: Partner
    target: Target


def join(
    targets: Sequence[Target], code: PairingCode, own: Own, fingerprint: str | None = None
) -> Joined:
    """Pair with the machine that shows a code.

    Args:
        targets: All ways to it, in the order to try; at least one.
        code: As it was typed. It is tried on one machine only, the first that is reached.
        own: This machine.
        fingerprint: Of the certificate that the other should have, where that was announced: an
            address may be somebody else's here.

    Raises:
        PeerError: It was not reached, or has another code (fault "code").
    """
    problem: PeerError | None = None
    for target in targets:
        try:
            lines = _Lines(target, WITHIN_S)
        except PeerError as error:
            problem = problem or _about_pairing(error)
            continue
        with lines:
            if lines.fingerprint == own.identity.fingerprint:
                problem = problem or _own_code(target)
            elif fingerprint in {None, lines.fingerprint}:
                return Joined(
                    _exchange(lines, Attempt(code, own, lines.shown, str(target))), target
                )
    raise problem or PeerError(
        f"{targets[0]} is another machine than the one that shows the code",
        "unknown",
        "name it with --peer HOST:PORT, which it shows too",
    )


class _Lines(Connection):
    """A connection on which lines go to and fro."""

    @property
    def shown(self) -> bytes:
        """The certificate of the other end, in DER form."""
        return self._socket.getpeercert(binary_form=True) or b""

    def say(self, line: bytes) -> bytes:
        """Send a line and wait for one.

        Raises:
            PeerError: There is none, or it is too long.
        """
        self._send(line)
        answer = b""
        while not answer.endswith(b"\n"):
            received = self._receive()
            answer += received
            if not received or len(answer) > MOST_LINE_BYTES:
                raise self._closed()
        return answer


def _exchange(lines: _Lines, attempt: Attempt) -> Partner:
    where = attempt.where
    try:
        answer = lines.say(attempt.hello)
        done = lines.say(attempt.prove(answer))
    except PeerError as error:
        raise (broken_off(where) if error.fault in {"closed", "timeout"} else error) from error
    return attempt.finish(done)


def _about_pairing(error: PeerError) -> PeerError:
    if error.fault != "refused":
        return error
    return PeerError(error.reason, error.fault, "run `hgx pair` there, or check the address")


def _own_code(target: Target) -> PeerError:
    msg = f"{target} is this machine itself"
    return PeerError(msg, "unknown", "type the code on the other machine")
