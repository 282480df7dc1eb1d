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
from hgx.bench.timing import no_progress
from hgx.errors import StorageError
from hgx.store.atomic import shown_path, storage_error
from hgx.units import GIB, MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
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


def disk_read(
    directory: Path,
    effort: DiskEffort,
    tools: Tools,
    progress: Callable[[float], object] = no_progress,
) -> Outcome:
    """Read a file of the directory from the disk, sequentially.

    The file has no name where the system allows that, and goes in any case.

    Args:
        directory: Where the file is written; it must exist.
        effort: How long.
        tools: Time, clock and conditions.
        progress: Told how much is done, 0 to 1.

    Raises:
        StorageError: No room, no permission, or the disk gave back something else.
    """
    size = _room(directory, effort.size_bytes)
    clock, began = tools.clock, tools.clock()
    measured_at, watch = tools.now(), tools.watch()
    try:
        # Without a buffer of Python's: it would be timed too.
        with tempfile.TemporaryFile(dir=directory, prefix=".hgx-bench-", buffering=0) as file:
            around = _around_cache(file)
            sums = _write(file, size, began + effort.seconds / 2, clock)
            progress(0.5)
            samples: list[float] = []
            cached = False
            for number in range(effort.passes):
                if number and clock() - began > effort.seconds:
                    break
                drop_from_cache(file)
                cached = cached or is_cached(file, len(sums) * SEGMENT_BYTES) is not False
                samples += _read(file, len(sums), clock, watch.look)
                progress(0.5 + 0.5 * (number + 1) / effort.passes)
            _verify(file, sums, directory)
    except OSError as error:
        raise _no_file(directory, error) from error
    return outcome(
        "disk_read",
        "bytes_per_s",
        samples,
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


def _write(file: IO[bytes], size_bytes: int, until: float, clock: Clock) -> list[int]:
    """Write segments until the file is large enough or there is no time; return their sums."""
    sums: list[int] = []
    for number in range(size_bytes // SEGMENT_BYTES):
        # Nothing that a file system could compress or find twice.
        data = random.Random(number).randbytes(SEGMENT_BYTES)  # noqa: S311 - no secret
        _write_all(file, data)
        os.fsync(file.fileno())  # only what is on the disk can be dropped from memory
        sums.append(zlib.crc32(data))
        if clock() > until:
            break
    return sums


def _write_all(file: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _read(
    file: IO[bytes], segments: int, clock: Clock, between: Callable[[], object]
) -> list[float]:
    """Read all segments in order; return the rate of each in bytes per second."""
    buffer = memoryview(bytearray(SEGMENT_BYTES))
    file.seek(0)
    rates: list[float] = []
    for _ in range(segments):
        before = clock()
        _fill(file, buffer)
        rates.append(SEGMENT_BYTES / max(clock() - before, 1e-9))
        between()
    return rates


def _fill(file: IO[bytes], buffer: memoryview) -> None:
    left = buffer
    while left:
        count: int = file.readinto(left)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - IO[bytes] does not tell that raw files have it
        if not count:
            raise OSError(errno.EIO, "the file ended early")
        left = left[count:]


def _verify(file: IO[bytes], sums: list[int], directory: Path) -> None:
    file.seek(0)
    for expected in sums:
        buffer = memoryview(bytearray(SEGMENT_BYTES))
        _fill(file, buffer)
        if zlib.crc32(buffer) != expected:
            msg = f"the disk of {shown_path(directory)} gave back other bytes than were written: "
            raise StorageError(msg + "check it before you trust it")


def _no_file(directory: Path, error: OSError) -> StorageError:
    return storage_error("write and read a file in", directory, error)
