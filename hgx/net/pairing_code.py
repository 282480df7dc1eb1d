"""The one-time codes of pairing, as people read, say and type them: ``7-velvet-orbit``.

The number is no secret: by it the other machine is found. The two words are, and they are for one
attempt: who guesses is right once in 65536 codes.
"""

from __future__ import annotations

import difflib
import re
import secrets
from typing import NamedTuple

from hgx.net.words import WORDS

MOST_NAMEPLATE = 99

_EXAMPLE = "7-velvet-otter"
_WORDS = 2
_SEPARATORS = re.compile(r"[\W_]+")  # whatever a keyboard or a chat makes of a hyphen
_NAMEPLATE = re.compile(r"[1-9][0-9]?")


class PairingCode(NamedTuple):
    """A code.

    Attributes:
        nameplate: 1 to 99: which machine shows it.
        words: The secret.
    """

    nameplate: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return "-".join((str(self.nameplate), *self.words))


def new_code(nameplate: int) -> PairingCode:
    """Draw a code for a nameplate."""
    return PairingCode(nameplate, tuple(secrets.choice(WORDS) for _ in range(_WORDS)))


def parse_code(text: str) -> PairingCode:
    """Read a code as people type it: in any case, with spaces or hyphens.

    Raises:
        ValueError: No code reads so; the message says which part is wrong, and the nearest word.
    """
    nameplate, *words = [part for part in _SEPARATORS.split(text.lower()) if part] or [""]
    if not _NAMEPLATE.fullmatch(nameplate) or len(words) != _WORDS:
        msg = f"{text!a} is no code: a code is a number and two words, such as {_EXAMPLE}"
        raise ValueError(msg)
    for word in words:
        if word not in WORDS:
            near = difflib.get_close_matches(word, WORDS, n=1)
            advice = f"did you mean {near[0]}?" if near else "read it again"
            msg = f"{word!a} is not a word of any code: {advice}"
            raise ValueError(msg)
    return PairingCode(int(nameplate), tuple(words))


def words_of(data: bytes) -> str:
    """Put bytes into words that two people can compare, one for each byte."""
    return " ".join(WORDS[byte] for byte in data)
