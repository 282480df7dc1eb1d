"""How fast files are read that are not in memory.

The file is written first, forced to the disk and dropped from the system's cache. A disk that
keeps a cache of its own, or a virtual machine whose host does, may still answer from that: nothing
tells. macOS and Windows are unverified.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import sys
import tempfile
import zlib
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from hgx.bench.outcome import outcome
from hgx.bench.stats import FEWEST_SAMPLES
from hgx.errors import StorageError
from hgx.store.atomic import shown_path, storage_error
from hgx.units import GIB, MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from hgx.bench.device import Tools
    from hgx.bench.outcome import Outcome
    from hgx.bench.timing import Clock

SEGMENT_BYTES: Final = 16 * MIB
"""One sample; much more than the system reads ahead of what was asked for."""

_SPARE_BYTES = GIB  # what stays free on the disk: others write too
_FROM_MEMORY = "the system may have answered from memory, not from the disk"


class DiskEffort(NamedTuple):
    """How long to measure a disk.

    Attributes:
        seconds: Time for all of it, writing included.
        size_bytes: Of the file, where there is time and room for it.
        passes: How often it is read.
    """

    seconds: float
    size_bytes: int
    passes: int


QUICK = DiskEffort(4.0, 256 * MIB, 1)
NORMAL = DiskEffort(15.0, GIB, 3)


def disk_read(directory: Path, effort: DiskEffort, tools: Tools) -> Generator[float, None, Outcome]:
    """Read a file of the directory from the disk, sequentially.

    The file has no name where the system allows that, and goes in any case. What is read first is
    compared with what was written, between the samples.

    Args:
        directory: Where the file is written; it must exist.
        effort: How long.
        tools: Time, clock and conditions.

    Yields:
        How much is done, 0 to 1.

    Raises:
        StorageError: No room, no permission, or the disk gave back something else.
    """
    size = _room(directory, effort.size_bytes)
    ends = tools.clock() + effort.seconds
    measured_at, watch = tools.now(), tools.watch()
    try:
        # Without a buffer of Python's: it would be timed too.
        with tempfile.TemporaryFile(dir=directory, prefix=".hgx-bench-", buffering=0) as file:
            around = _around_cache(file)
            sums = yield from _write(file, size, ends - effort.seconds / 2, tools.clock)
            read = _Reading(file, sums, directory, tools.clock)
            cached = False
            for number in range(effort.passes):
                if read.is_over(ends):
                    break
                drop_from_cache(file)
                cached = cached or is_cached(file, len(sums) * SEGMENT_BYTES) is not False
                for segment in read.once(ends):
                    watch.look()
                    done = (number + (segment + 1) / len(sums)) / effort.passes
                    yield 0.5 + 0.5 * done
    except OSError as error:
        raise _no_file(directory, error) from error
    return outcome(
        "disk_read",
        "bytes_per_s",
        read.rates,
        method=f"sequential read of {format_bytes(len(sums) * SEGMENT_BYTES)}, written before",
        measured_at=measured_at,
        conditions=watch.conditions(),
        warnings=() if around or not cached else (_FROM_MEMORY,),
    )


def drop_from_cache(file: IO[bytes]) -> None:
    """Have the system forget what it keeps of a file in memory; where it can be told to."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def is_cached(file: IO[bytes], size_bytes: int) -> bool | None:
    """Tell whether the system has a file in memory, by looking at its beginning, middle and end.

    Returns:
        Null where that cannot be told.
    """
    nowait = getattr(os, "RWF_NOWAIT", None)
    if nowait is None:
        return None  # not Linux
    page = bytearray(4096)
    for place in (0, size_bytes // 2, size_bytes - len(page)):
        try:
            if os.preadv(file.fileno(), [page], place, nowait):
                return True
        except BlockingIOError:
            continue  # this much is not there without waiting for the disk
        except OSError:
            return None  # file systems in memory, and some others, do not know the question
    return False


def _room(directory: Path, wanted_bytes: int) -> int:
    """Choose the size of the file, so that enough stays free for others."""
    try:
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise storage_error("read", directory, error) from error
    room = min(wanted_bytes, free - _SPARE_BYTES) // SEGMENT_BYTES * SEGMENT_BYTES
    if room < FEWEST_SAMPLES * SEGMENT_BYTES:
        msg = (
            f"the disk was not measured: {shown_path(directory)} has {format_bytes(free)} free, "
            f"and {format_bytes(_SPARE_BYTES + FEWEST_SAMPLES * SEGMENT_BYTES)} must be: free "
            "some space, or choose another place with --home"
        )
        raise StorageError(msg)
    return room


def _around_cache(file: IO[bytes]) -> bool:
    """Have macOS read and write a file past its cache; whether that worked."""
    if sys.platform != "darwin":
        return False
    import fcntl  # noqa: PLC0415 - not on Windows

    fcntl.fcntl(file.fileno(), fcntl.F_NOCACHE, 1)
    return True


def _write(
    file: IO[bytes], size_bytes: int, until: float, clock: Clock
) -> Generator[float, None, list[int]]:
    """Write segments until the file is large enough or there is no time; return their sums."""
    sums: list[int] = []
    count = size_bytes // SEGMENT_BYTES
    for number in range(count):
        # Nothing that a file system could compress or find twice.
        data = random.Random(number).randbytes(SEGMENT_BYTES)  # noqa: S311 - no secret
        _write_all(file, data)
        os.fsync(file.fileno())  # only what is on the disk can be dropped from memory
        sums.append(zlib.crc32(data))
        yield 0.5 * (number + 1) / count
        if clock() > until:
            break
    return sums


def _write_all(file: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


class _Reading:
    """Reads a file of segments, times each, and compares those it reads for the first time."""

    def __init__(self, file: IO[bytes], sums: list[int], directory: Path, clock: Clock) -> None:
        self.rates: list[float] = []
        self._file = file
        self._sums = sums
        self._directory = directory
        self._clock = clock

    def is_over(self, ends: float) -> bool:
        """Tell whether there is no time for more samples, and as many as a verdict needs."""
        enough = min(FEWEST_SAMPLES, len(self._sums))
        return len(self.rates) >= enough and self._clock() > ends

    def once(self, ends: float) -> Iterator[int]:
        """Read segments in order while there is time, and give the number of each."""
        buffer = memoryview(bytearray(SEGMENT_BYTES))
        self._file.seek(0)
        for number, expected in enumerate(self._sums):
            before = self._clock()
            _fill(self._file, buffer)
            self.rates.append(SEGMENT_BYTES / max(self._clock() - before, 1e-9))
            if len(self.rates) <= len(self._sums) and zlib.crc32(buffer) != expected:
                place = shown_path(self._directory)
                msg = f"the disk of {place} gave back other bytes than were written: "
                raise StorageError(msg + "check it before you trust it")
            yield number
            if self.is_over(ends):
                break


def _fill(file: IO[bytes], buffer: memoryview) -> None:
    left = buffer
    while left:
        count: int = file.readinto(left)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - IO[bytes] does not tell that raw files have it
        if not count:
            raise OSError(errno.EIO, "the file ended early")
        left = left[count:]


def _no_file(directory: Path, error: OSError) -> StorageError:
    return storage_error("write and read a file in", directory, error)
