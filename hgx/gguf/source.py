"""Where the bytes of a header come from: anything that is read from front to back."""

from __future__ import annotations

import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from hgx.errors import ModelError

if TYPE_CHECKING:
    import os
    from collections.abc import Generator
    from typing import BinaryIO


class ByteSource(Protocol):
    """The bytes of one file, wherever it lies."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def size(self) -> int:
        """Its length in bytes."""
        ...

    @property
    def cure(self) -> str:
        """What to do where it is damaged, in the imperative."""
        ...

    def read(self, offset: int, count: int, ahead: int = 0) -> bytes:
        """Return ``count`` bytes from ``offset``; fewer only where the file ends.

        Args:
            offset: Where they begin, not before where the last ones did.
            count: How many are needed.
            ahead: How many of the next ones are welcome, as far as they cost little.

        Raises:
            ModelError: The bytes could not be read.
        """
        ...


class FileSource:
    """A regular file on this machine.

    Args:
        path: What to call it.
        file: The file, open for reading without a buffer of its own.
        size: Its length in bytes.
    """

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self.name: Final = str(path)
        self.size: Final = size
        self.cure: Final = "download it again"
        self._file = file

    def read(self, offset: int, count: int, ahead: int = 0) -> bytes:
        """Return bytes from ``offset``; see ``ByteSource``."""
        try:
            self._file.seek(offset)
            return self._file.read(count + ahead)
        except OSError as error:
            raise _unreadable(self.name, error) from error


@contextmanager
def open_file(path: str | os.PathLike[str]) -> Generator[FileSource]:
    """Open a file as a byte source for the length of a ``with`` block.

    Raises:
        ModelError: It is missing, not a regular file, empty, or may not be read.
    """
    place = Path(path)
    try:
        status = place.stat()
        # Asked before opening: opening a pipe that nobody writes to would wait for ever.
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            msg = f"{place} is {kind}: name a .gguf file"
            raise ModelError(msg)
        file = place.open("rb", buffering=0)
    except FileNotFoundError as error:
        msg = f"{place} does not exist: check the path of the model"
        raise ModelError(msg) from error
    # ValueError is what a path with a null character raises.
    except (OSError, ValueError) as error:
        raise _unreadable(str(place), error) from error
    with file:
        if status.st_size == 0:
            msg = f"{place} is empty: download it again"
            raise ModelError(msg)
        yield FileSource(place, file, status.st_size)


def _unreadable(name: str, error: OSError | ValueError) -> ModelError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ModelError(f"{name} cannot be read: {reason}; check its permissions and the disk")
