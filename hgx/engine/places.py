"""Folders that may hold llama.cpp's programs, in the order in which they are looked at."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SUFFIX = ".exe" if sys.platform == "win32" else ""
"""What the name of a program ends in."""

_INSIDE_NAMED = ("", "bin", "build/bin", "build/bin/Release")
"""Where the programs are in a folder that somebody named: unpacked, installed, or built in it."""

_SYSTEM = (
    ("/opt/homebrew/bin", "Homebrew"),
    ("/usr/local/bin", "/usr/local/bin"),
    ("/home/linuxbrew/.linuxbrew/bin", "Homebrew"),
    ("/opt/local/bin", "MacPorts"),
    ("/usr/bin", "the system"),
    ("/usr/lib/llama.cpp", "the system"),
    ("/usr/lib/llama.cpp/bin", "the system"),
    ("/usr/libexec/llama.cpp", "the system"),
    ("/opt/llama.cpp", "/opt"),
    ("/opt/llama.cpp/bin", "/opt"),
    ("/snap/bin", "Snap"),
)
_OF_USERS = (
    ("HOME", ".local/bin", "~/.local/bin"),
    ("LOCALAPPDATA", "Microsoft/WinGet/Links", "winget"),
    ("ProgramFiles", "WinGet/Links", "winget"),
)
"""Folders below one that a variable names."""


class Place(NamedTuple):
    """A folder that may hold the programs.

    Attributes:
        folder: The folder; it need not exist.
        source: Who says so, as ``PATH`` or ``Homebrew``.
    """

    folder: Path
    source: str


def named_places(engine_dir: Path | None, env: Mapping[str, str]) -> tuple[Place, ...]:
    """List where the programs may be in the one folder that the user named.

    Args:
        engine_dir: What ``--engine-dir`` says, or null.
        env: The environment; HGX_LLAMA_CPP is looked at where nothing else is named.

    Returns:
        Nothing where nobody named a folder.
    """
    source, named = "--engine-dir", engine_dir
    if named is None and env.get("HGX_LLAMA_CPP"):
        source, named = "HGX_LLAMA_CPP", Path(env["HGX_LLAMA_CPP"])
    if named is None:
        return ()
    folder = Path(os.path.expanduser(named)).absolute()  # noqa: PTH111 - raises nothing
    return tuple(Place(folder / inside, source) for inside in _INSIDE_NAMED)


def path_places(env: Mapping[str, str]) -> tuple[Place, ...]:
    """List the folders of PATH.

    Args:
        env: The environment.
    """
    folders = env.get("PATH", "").split(os.pathsep)
    return tuple(Place(Path(folder).absolute(), "PATH") for folder in folders if folder)


def package_places(env: Mapping[str, str]) -> tuple[Place, ...]:
    """List where package managers put the programs, that of this Python included.

    Args:
        env: The environment, which says where the user's folders are.
    """
    return (
        Place(Path(sysconfig.get_path("scripts")), "this Python"),
        *_python_packages(),
        *(
            Place(Path(env[variable], below), source)
            for variable, below, source in _OF_USERS
            if env.get(variable)
        ),
        *(Place(Path(folder), source) for folder, source in _SYSTEM),
    )


def _python_packages() -> tuple[Place, ...]:
    """Find the installed packages that ship llama-server, without importing any."""
    libraries = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    servers = [
        server
        for library in libraries
        for pattern in (f"*/bin/llama-server{SUFFIX}", f"*/llama-server{SUFFIX}")
        for server in sorted(Path(library).glob(pattern))
    ]
    return tuple(Place(server.parent, "a package of this Python") for server in servers)
