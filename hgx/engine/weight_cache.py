"""Weights that a worker's rpc server keeps on disk: whole files only, and only where there is room.

llama.cpp's rpc server writes large tensors into files named by their hash, and takes them from
there the next time without looking whether they are all there. What a server that was ended in the
middle had half written, or a full disk cut off, would be computed with as if it were the model. So
what is known to be whole is written down when a server has ended, and the rest is removed before
the next one starts.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from hgx.errors import StorageError
from hgx.store.atomic import write_atomically
from hgx.units import GIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESERVE_BYTES: Final = 4 * GIB
"""Of the disk, not to be used for weights."""

SETTLED_S: Final = 2.0
"""A file that was written to so long before the server's end was not being written any more."""

_SIZES: Final = TypeAdapter(dict[str, int])


class _Kept(NamedTuple):
    """A file of weights."""

    path: Path
    size: int
    written_at: float
    used_at: float


def make_room(folder: Path, most_bytes: int) -> bool:
    """Get the folder ready for a server: nothing cut off in it, and room for what may come.

    Where room is short, what was not used for longest goes first; nothing goes where all of it
    would not be enough.

    Args:
        folder: Where weights are kept; it is made where it is not there.
        most_bytes: How much may be written.

    Returns:
        Whether to keep weights there this time.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sizes = _known(folder)
        kept: list[_Kept] = []
        for one in _files(folder):
            if sizes.get(one.path.name) == one.size:
                kept.append(one)
            else:
                one.path.unlink()
        wanted = most_bytes + RESERVE_BYTES - shutil.disk_usage(folder).free
        if wanted > sum(one.size for one in kept):
            return False
        for one in sorted(kept, key=lambda one: one.used_at):
            if wanted <= 0:
                break
            one.path.unlink()
            wanted -= one.size
    except OSError:  # whatever cannot be tidied up cannot be relied on
        return False
    return True


def settle(folder: Path) -> None:
    """Write down which files are whole, right after a server has ended."""
    sizes = _known(folder)
    until = time.time() - SETTLED_S
    with suppress(OSError, StorageError):  # then they are sent again
        whole = {
            one.path.name: one.size
            for one in _files(folder)
            if one.written_at < until or sizes.get(one.path.name) == one.size
        }
        write_atomically(_record(folder), _SIZES.dump_json(whole, indent=1).decode() + "\n")


def _files(folder: Path) -> Iterator[_Kept]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != _record(folder):
            stat = path.stat()
            used_at = max(stat.st_atime, stat.st_mtime)
            yield _Kept(path, stat.st_size, stat.st_mtime, used_at)


def _known(folder: Path) -> dict[str, int]:
    """Sizes of the files that are whole; nothing where that is not known."""
    try:
        return _SIZES.validate_json(_record(folder).read_bytes())
    except (OSError, ValidationError):
        return {}


def _record(folder: Path) -> Path:
    return folder / "whole.json"
