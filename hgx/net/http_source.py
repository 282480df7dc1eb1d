"""A model read from afar: only the headers of its files, over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hgx.gguf.header import parse_header
from hgx.gguf.split import join_parts
from hgx.net.http_feed import open_feed
from hgx.net.http_get import HttpGet, open_client
from hgx.net.patience import Pace, Patience

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from hgx.gguf.header import Header
    from hgx.net.http_feed import Feed
    from hgx.net.model_address import ModelAddress

_AT_ONCE: Final = 8
"""Files of a split model that are read at the same time: each takes a few round trips."""


class HttpSource:
    """A file of a web server, as a byte source that is read from front to back.

    Args:
        name: What to call it.
        feed: Gives its bytes.
    """

    def __init__(self, name: str, feed: Feed) -> None:
        self.name: Final = name
        self.size: Final = feed.size
        self.cure: Final = "tell who offers it, or name another file"
        self._feed = feed
        self._start = 0
        self._held = b""

    def read(self, offset: int, count: int, ahead: int = 0) -> bytes:
        """Return bytes from ``offset``; see ``ByteSource``."""
        at, enough = offset - self._start, min(count, self.size - offset)
        if at + enough > len(self._held):
            kept = self._held[at:]
            taken = self._feed.take(offset + len(kept), enough - len(kept))
            self._start, self._held, at = offset, kept + taken, 0
        return self._held[at : at + count + ahead]


@contextmanager
def open_address(address: ModelAddress, pace: Pace | None = None) -> Generator[HttpSource]:
    """Open a file of a web server as a byte source for the length of a ``with`` block.

    Args:
        address: The file.
        pace: What is asked of its server.

    Raises:
        ModelError: The server is not reached, refuses, does not say how long the file is, or says
            what contradicts itself.
    """
    pace = pace or Pace()
    with open_client(address.name, pace) as client, Patience(pace) as patience:
        feed = open_feed(HttpGet(address, client, pace, patience))
        yield HttpSource(address.name, feed)


def read_remote_parts(address: ModelAddress) -> tuple[Header, ...]:
    """Read the headers of all files of a model, in order; see ``read_parts``.

    Args:
        address: A model in one file, or any part of a split one, the others lying next to it.

    Raises:
        ModelError: A part is missing or unreadable, or the parts contradict each other.
    """

    def beside(files: Sequence[str]) -> list[Header]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(_read, map(address.sibling, files)))

    return join_parts(_read(address), address.file, beside)


def _read(address: ModelAddress) -> Header:
    with open_address(address) as source:
        return parse_header(source)
