"""Where sensors read: files, short commands of the system, and answers of libraries.

Everything that a sensor learns goes through a ``Source``, so that what one machine said can be
recorded and replayed on another; see ``hgx.sensors.recording``.
"""

from __future__ import annotations

import glob
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hgx.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

LARGEST_BYTES = 1024**2
"""What is read of one file or command; /proc/cpuinfo of 256 processors has half of it."""

_COMMAND_S = 5.0
_CHUNK_BYTES = 64 * 1024
# Windows opens a console window for each program unless it is told not to.
_NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)


class Source(Protocol):
    """A machine, or the recording of one."""

    @property
    def system(self) -> str:
        """``Linux``, ``Android``, ``Darwin``, ``Windows``, or another name of a system."""
        ...

    def read(self, path: str, /) -> str | None:
        """Read a file.

        Args:
            path: Relative to the root, with slashes: ``sys/class/hwmon/hwmon0/name``.

        Returns:
            Its text, at most ``LARGEST_BYTES`` of it; null where it cannot be read.
        """
        ...

    def glob(self, pattern: str, /) -> tuple[str, ...]:
        """Find files and directories by a pattern of ``*``, ``?`` and ``[...]`` in path segments.

        Returns:
            Their paths relative to the root, in the order of their letters.
        """
        ...

    def run(self, *command: str) -> str | None:
        """Run a short command.

        Returns:
            What it prints, at most ``LARGEST_BYTES`` of it; null where it is not there, fails or
            takes more than a few seconds.
        """
        ...

    def ask(self, name: str, call: Callable[[], JsonValue], /) -> JsonValue:
        """Ask what is neither file nor command.

        Args:
            name: What the answer is kept under.
            call: Gives the answer on a live machine; OSError, RuntimeError, NotImplementedError
                and Unavailable mean that there is none.

        Returns:
            The answer; null where there is none.
        """
        ...


class Machine:
    """This machine, live.

    Args:
        root: Where ``proc`` and ``sys`` are; another place in tests.
        system: What kind it is; what this one is when absent.
    """

    def __init__(self, root: Path = Path("/"), system: str | None = None) -> None:
        self._root = root
        self._prefix = f"{str(root).rstrip('/')}/"
        self._system = system or system_name()

    @property
    def system(self) -> str:
        """Name the kind of system."""
        return self._system

    def read(self, path: str, /) -> str | None:
        """Read a file."""
        return read_bounded(self._prefix + path)

    def glob(self, pattern: str, /) -> tuple[str, ...]:
        """Find files and directories."""
        found = glob.glob(pattern, root_dir=self._root)  # noqa: PTH207 - Path.glob is slower by far
        return tuple(sorted(path.replace(os.sep, "/") for path in found))

    def run(self, *command: str) -> str | None:
        """Run a command without input; what it writes to stderr is dropped."""
        try:
            done = subprocess.run(  # noqa: S603 - the commands are constants of this package
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"LC_ALL": "C"},
                timeout=_COMMAND_S,
                creationflags=_NO_WINDOW,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout[:LARGEST_BYTES].decode(errors="replace")

    def ask(self, name: str, call: Callable[[], JsonValue], /) -> JsonValue:  # noqa: ARG002 - the protocol's
        """Call."""
        try:
            return call()
        except (OSError, RuntimeError, NotImplementedError, Unavailable):
            return None


def system_name() -> str:
    """Name the kind of system this is; Termux's Python may call Android ``Linux``."""
    if hasattr(sys, "getandroidapilevel") or "ANDROID_ROOT" in os.environ:
        return "Android"
    return platform.system()


def read_bounded(path: str, flags: int = 0) -> str | None:
    """Read the first ``LARGEST_BYTES`` of a file; null where it cannot be read.

    Args:
        path: The file.
        flags: More flags for opening it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | flags)
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return None
    try:
        # Files of the kernel give a part at a time, and only an empty part is the end.
        content = bytearray()
        while len(content) < LARGEST_BYTES and (part := os.read(descriptor, _CHUNK_BYTES)):
            content += part
    except OSError:
        return None  # a sensor that went away, or has nothing to say now
    finally:
        os.close(descriptor)
    return content[:LARGEST_BYTES].decode(errors="replace")


MACHINE: Source = Machine()
"""This machine."""
