"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from typing import TYPE_CHECKING

from hgx.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

_REMEDIES = {
    errno.ENOSPC: "free some space on that disk, or choose another place",
    errno.EDQUOT: "free some of your quota, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "create the directory first",
    errno.ENOTDIR: "choose a directory, not a file",
    errno.EEXIST: "choose a directory, not a file",
}
# Windows refuses to replace a file while someone reads it; readers are quick. Unverified there.
_REPLACE_ATTEMPTS = 20 if os.name == "nt" else 1
_REPLACE_PAUSE_S = 0.05


def write_atomically(path: Path, text: str, *, private: bool = False) -> None:
    """Put text into a file so that a reader sees the old content or the new, never a part.

    The text goes to a temporary file in the same directory, is forced to disk, and then takes
    the place of the file. Permissions of an existing file stay; a symbolic link stays a link.

    Args:
        path: The file to write. Its directory must exist.
        text: The whole content.
        private: Whether only the owner may read it from now on, whoever could before.

    Raises:
        StorageError: The disk is full or the place is not writable; the file is as it was.
    """
    try:
        target = path.resolve()
        temporary = target.with_name(f".hgx-{secrets.token_hex(8)}.tmp")
        try:
            with open(temporary, "xb", opener=_private if private else None) as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            if target.exists() and not private:
                shutil.copymode(target, temporary)
            _replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error("write", path, error) from error


def is_there(path: Path) -> bool:
    """Tell whether there is something at a path.

    Raises:
        StorageError: That cannot be told: no permission to look, or no possible name.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise storage_error("look at", path, error) from error
    return True


def storage_error(verb: str, path: Path, error: OSError | ValueError) -> StorageError:
    """Say in one sentence which file could not be used, why, and what to do.

    Args:
        verb: What was tried, in the infinitive: read, write, create.
        path: The file or directory.
        error: What the system said.
    """
    code, words = (error.errno, error.strerror) if isinstance(error, OSError) else (None, None)
    reason = (words or str(error)).lower()
    remedy = _REMEDIES.get(code or 0, "check its permissions, or choose another place")
    if verb == "read" and code == errno.ENOENT:
        remedy = "check the path"
    return StorageError(f"could not {verb} {shown_path(path)}: {reason}: {remedy}")


def shown_path(path: Path) -> str:
    """Write a path on one line, whatever characters its name has."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _replace(temporary: Path, target: Path) -> None:
    for _ in range(_REPLACE_ATTEMPTS - 1):
        try:
            temporary.replace(target)
        except PermissionError:
            time.sleep(_REPLACE_PAUSE_S)
        else:
            return
    temporary.replace(target)
