"""The two consoles all output goes through: results on stdout, messages on stderr."""

from __future__ import annotations

import io
import os
import sys
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, TextIO, cast

from rich.console import Console

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_UNWRAPPED = 1000
"""Columns when nobody's window is known: lines stay whole for grep and for files."""


def stdout() -> Console:
    """Return the console for results."""
    return _console(sys.stdout)


def stderr() -> Console:
    """Return the console for messages, progress and errors."""
    return _console(sys.stderr)


def busy(what: str, *, quiet: bool) -> AbstractContextManager[object]:
    """Show that something takes its time, as long as the context lasts; on a terminal only.

    Args:
        what: One word, as ``Planning``.
        quiet: Whether to show nothing at all.
    """
    console = stderr()
    return console.status(what) if console.is_terminal and not quiet else nullcontext()


def plain(text: str) -> str:
    """Make text from elsewhere safe to show: control characters appear as escapes.

    Args:
        text: A name, perhaps with control characters, line ends or text direction marks.

    Returns:
        One line; a backslash, ``x1b`` and ``[31m`` instead of red.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


class _Nowhere(io.TextIOBase):
    """What takes the place of a stream that was closed before the command began."""

    def write(self, text: str, /) -> int:
        return len(text)


def _console(stream: TextIO | None) -> Console:
    """Write to a stream as it deserves: colours and wrapping for a terminal only.

    NO_COLOR turns all styles off and COLUMNS sets the width, as elsewhere. Markup, emoji codes
    and highlighting are off, so that names appear as they are.
    """
    file = cast("IO[str]", _Nowhere()) if stream is None else stream
    _accept_all(file)
    windowless = not file.isatty() and not os.environ.get("COLUMNS")
    return Console(
        file=file,
        width=_UNWRAPPED if windowless else None,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        emoji=False,
        highlight=False,
    )


def _accept_all(stream: IO[str]) -> None:
    """Let an old code page show escapes instead of ending the command."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
