"""The bytes of a file of a web server from front to back, by ranges or, without those, as a stream.

A server may claim anything, so every answer is held against what was asked for, and against what
was said of the file before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from hgx.errors import ModelError

if TYPE_CHECKING:
    import httpx2

    from hgx.net.http_get import HttpGet

FIRST_BYTES: Final = 1 << 18
"""Bytes asked for at first: more than most headers without a vocabulary have."""

MOST_BYTES: Final = 1 << 23
"""Bytes asked for at a time at most."""

_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_LENGTH: Final = re.compile(r"\d{1,19}")


class Feed(Protocol):
    """What gives the bytes of a file in order."""

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        ...

    def take(self, position: int, count: int) -> bytes:
        """Return ``count`` bytes from ``position``, or more; fewer only where the file ends.

        Positions only grow.

        Raises:
            ModelError: The server does not give them.
        """
        ...


def open_feed(get: HttpGet) -> Feed:
    """Ask for the beginning of a file, and find out how its server gives the rest.

    Raises:
        ModelError: The server is not reached, refuses, or does not say how long the file is.
    """
    answer = get.ask(0, FIRST_BYTES - 1)
    feed = _Ranges(get, answer) if answer.status_code == 206 else _Stream(get, answer)
    if feed.size == 0:
        msg = f"{get.name} is empty: name another file"
        raise ModelError(msg)
    return feed


class _Span(NamedTuple):
    """What an answer says it consists of: offsets of its first and last byte, size of the file."""

    first: int
    last: int
    size: int


class _Ranges:
    """Asks for as much as is needed, twice as much each time: few questions, little in vain."""

    def __init__(self, get: HttpGet, answer: httpx2.Response) -> None:
        self._get = get
        self._tag: Final = answer.headers.get("etag")
        self._next_bytes = 2 * FIRST_BYTES
        span = self._span(answer, 0, FIRST_BYTES - 1)
        self.size: Final = span.size
        self._begun: bytes | None = self._body(answer, span)

    def take(self, position: int, count: int) -> bytes:
        """Return bytes from a position; see ``Feed``."""
        got, self._begun = self._begun or b"", None
        enough = min(count, self.size - position)
        got = got[position:]
        while len(got) < enough:
            got += self._ask(position + len(got), max(self._next_bytes, enough - len(got)))
            self._next_bytes = min(2 * self._next_bytes, MOST_BYTES)
        return got

    def _ask(self, first: int, count: int) -> bytes:
        last = min(first + count, self.size) - 1
        answer = self._get.ask(first, last, self._tag)
        # The whole file instead of a range is how a server says that it is another one by now.
        changed = answer.status_code != 206 or answer.headers.get("etag") != self._tag
        span = None if changed else self._span(answer, first, last)
        if span is None or span.size != self.size:
            answer.close()
            msg = f"{self._get.name} changed while it was read: try again"
            raise ModelError(msg)
        return self._body(answer, span)

    def _span(self, answer: httpx2.Response, first: int, last: int) -> _Span:
        said = answer.headers.get("content-range", "")
        match = _RANGE.fullmatch(said)
        span = _Span(*map(int, match.groups())) if match else None
        # It may give less than was asked for, but from where it was asked for.
        if span is None or not first == span.first <= span.last <= min(last, span.size - 1):
            answer.close()
            raise self._get.wrong(f"was asked for bytes {first}-{last} and says {said[:60]!a}")
        return span

    def _body(self, answer: httpx2.Response, span: _Span) -> bytes:
        length = left = span.last - span.first + 1
        pieces: list[bytes] = []
        for piece in self._get.body(answer):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                break
        answer.close()
        if left:
            how = "more" if left < 0 else f"{length - left}"
            raise self._get.wrong(f"announces {length} bytes and sends {how}")
        return b"".join(pieces)


class _Stream:
    """Reads the one answer of a server without ranges, as far as is needed."""

    def __init__(self, get: HttpGet, answer: httpx2.Response) -> None:
        self._get = get
        self._body = get.body(answer)
        self._at = 0
        length = _LENGTH.fullmatch(answer.headers.get("content-length", ""))
        if length is None:
            answer.close()
            raise get.wrong("does not say how long it is")
        self.size: Final = int(length[0])

    def take(self, position: int, count: int) -> bytes:
        """Return bytes from a position; see ``Feed``."""
        enough = min(count, self.size - position)
        got = bytearray()
        while len(got) < enough:
            piece = next(self._body, b"")
            if not piece:
                raise self._get.wrong(f"announces {self.size} bytes and sends {self._at}")
            got += piece[max(0, position - self._at) :]
            self._at += len(piece)
        return bytes(got)
