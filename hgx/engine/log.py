"""The log of an engine: where it is kept, and the line of it that says what went wrong."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from hgx.errors import StorageError
from hgx.store.atomic import storage_error

if TYPE_CHECKING:
    from pathlib import Path

_KEPT = 10
"""Logs of earlier runs that are kept, the newest."""

_ERROR = re.compile(r"^[\d.]+ E (?:\w{3} +)?(?P<text>.+)$")
"""A line of llama.cpp's log at level error, after its time; ``srv`` and the like name a part."""

_CRASH = re.compile(
    r"GGML_ASSERT|GGML_ABORT|terminate called|what\(\):|[Oo]ut of memory|Error:|^error "
)
"""Lines that C++ and Python print before they give up, which have no level."""


def new_log(folder: Path) -> Path:
    """Make a place for the log of the engine that this process starts.

    Args:
        folder: Where logs are kept; it is made if it is not there, and old logs are removed.

    Raises:
        StorageError: The folder cannot be written to.
    """
    path = folder / f"engine-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        logs = sorted(folder.glob("engine-*.log"), key=lambda log: log.stat().st_mtime)
        for log in logs[:-_KEPT]:
            log.unlink(missing_ok=True)
    except OSError as error:
        msg = f"cannot write the engine's log in {folder}: {error.strerror}; free it or use --home"
        raise StorageError(msg) from error
    return path


def rpc_log(folder: Path, name: str) -> Path:
    """Make a place for the log of an rpc server, in that of the last one of this name.

    Args:
        folder: Where logs are kept; it is made if it is not there.
        name: What is told apart by it.

    Raises:
        StorageError: The folder cannot be written to.
    """
    path = folder / f"rpc-{name}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    except OSError as error:
        raise storage_error("write", path, error) from error
    return path


def reason(log: Path) -> str | None:
    """Find the line that says what went wrong.

    llama.cpp reports a failure at its origin first and then once per caller, so the first line at
    level error is the one that explains. After a crash there is none; then it is what C++ or
    Python printed last before giving up.

    Args:
        log: The file; it need not exist.

    Returns:
        That line without its time, or null where no line explains anything.
    """
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if match := _ERROR.match(line):
            return match["text"].strip()
    crashes = [line.strip() for line in lines if _CRASH.search(line)]
    return crashes[-1] if crashes else None
