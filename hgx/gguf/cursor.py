"""Read a header from front to back through a small window, never holding more than that."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NoReturn

from hgx.errors import ModelError

if TYPE_CHECKING:
    from hgx.gguf.source import ByteSource

WINDOW: Final = 1 << 20
"""Bytes read at a time: large enough that reading costs little, small enough to forget."""

HEADER_LIMIT: Final = 1 << 28
"""Longest header that is believed, in bytes; those of large vocabularies take 30 million.

It bounds the time a damaged file can cost: every step of the walk consumes bytes.
"""

_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


class Cursor:
    """A position in a source, and the little-endian values that lie there.

    Every method that moves raises ``ModelError`` when the header would end first.

    Args:
        source: Where the bytes come from.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source: Final = source
        self._start = 0
        self._window = b""
        self._at = 0

    @property
    def position(self) -> int:
        """Offset of the next byte."""
        return self._start + self._at

    @property
    def remaining(self) -> int:
        """Bytes that the rest of the header can have at most."""
        return min(self.source.size, HEADER_LIMIT) - self.position

    def fail(self, what: str, advice: str = "") -> NoReturn:
        """Raise a ``ModelError`` that says what is wrong at this position and what to do."""
        cure = f"{self.source.cure}{advice}"
        msg = f"{self.source.name} is damaged: {what} at byte {self.position}; {cure}"
        raise ModelError(msg)

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        self._need(count)
        if self._at + count > len(self._window):
            self._refill(count)
        data = self._window[self._at : self._at + count]
        self._at += count
        return data

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes without reading them."""
        self._need(count)
        self._at += count

    def u32(self) -> int:
        """Return the next unsigned 32-bit number."""
        return int.from_bytes(self.take(_U32.size), "little")

    def u64(self) -> int:
        """Return the next unsigned 64-bit number."""
        return int.from_bytes(self.take(_U64.size), "little")

    def skip_strings(self, count: int) -> None:
        """Pass over ``count`` strings, each a 64-bit length and as many bytes.

        O(count) steps of Python, the bytes of the strings themselves costing only their reading.
        """
        self._need(count * _U64.size)
        while count:
            self._refill(_U64.size)
            passed, done = _walk_strings(self._window, count)
            self._need(passed)
            self._at = passed
            count -= done

    def _need(self, count: int) -> None:
        if count > self.remaining:
            self.fail(f"{count} more bytes are announced than it can hold")

    def _refill(self, count: int) -> None:
        self._need(count)
        # The old window is let go first, so that there are never two.
        self._start, self._at, self._window = self.position, 0, b""
        self._window = self.source.read(self._start, count, max(WINDOW - count, 0))
        if len(self._window) < count:
            self.fail("the file ends while it is being read")


def _walk_strings(window: bytes, count: int) -> tuple[int, int]:
    """Pass over up to ``count`` strings from the beginning of a window.

    This loop is what reading a header costs, a vocabulary having hundreds of thousands of strings.
    It runs until a length lies behind the window, because asking each time whether it does would
    double that cost.

    Returns:
        Bytes passed over, the last string perhaps reaching beyond the window, and strings.
    """
    length_at = _U64.unpack_from
    passed = done = 0
    try:
        for done in range(count):  # noqa: B007 - read when the window ends within the loop
            passed += _U64.size + length_at(window, passed)[0]
    except (struct.error, OverflowError):
        return passed, done
    return passed, count
