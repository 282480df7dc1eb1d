"""Reading from the disk: real files, and disks that are full, lie or are memory."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import zlib
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, NamedTuple

import pytest

from hgx.bench import disk
from hgx.bench.conditions import Watch
from hgx.bench.device import Tools
from hgx.errors import StorageError
from hgx.units import GIB, MIB
from tests.bench.doubles import NOON
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hgx.bench.outcome import Outcome
    from hgx.core.benchmark import Benchmark

SMALL = disk.DiskEffort(60.0, 96 * MIB, 2)
TOOLS = Tools(lambda: NOON, Watch)


def disk_read(directory: Path, effort: disk.DiskEffort, tools: Tools = TOOLS) -> Said:
    """Measure to the end; return what came of it, and what was said to be done meanwhile."""
    steps, told = disk.disk_read(directory, effort, tools), list[float]()
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            outcome: Outcome = end.value
            return Said(outcome.benchmark, told)


class Said(NamedTuple):
    """A benchmark of the disk, and the progress on the way to it."""

    benchmark: Benchmark
    told: list[float]


def test_a_real_file(tmp_path: Path) -> None:
    """A file is written, read twice in segments and gone; the rates are samples in order."""
    found, told = disk_read(tmp_path, SMALL)
    assert (found.name, found.unit, len(found.samples)) == ("disk_read", "bytes_per_s", 12)
    assert "96 MiB" in found.method
    assert told == sorted(told)
    assert len(told) == 6 + 12
    assert told[5] == 0.5
    assert told[-1] == 1
    assert list(tmp_path.iterdir()) == []


def test_no_time(tmp_path: Path) -> None:
    """On a slow disk the file is what could be written in time, read once, and that is told."""
    found = disk_read(tmp_path, SMALL._replace(seconds=0.0)).benchmark
    assert found.warnings[0] == "only 1 of at least 5 samples"


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is nearly full is left alone, with what must be free."""
    usage = SimpleNamespace(free=GIB + 79 * MIB)
    monkeypatch.setattr(shutil, "disk_usage", always(usage))
    with pytest.raises(StorageError, match=r"has 1\.08 GiB free, and 1\.08 GiB must be: free some"):
        disk_read(tmp_path, SMALL)
    usage.free = GIB + 80 * MIB
    assert "80 MiB" in disk_read(tmp_path, SMALL).benchmark.method


def test_no_such_place(tmp_path: Path) -> None:
    """A directory that is not there is an error with its path."""
    with pytest.raises(StorageError, match="gone"):
        disk_read(tmp_path / "gone", SMALL)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path: Path) -> None:
    """A directory that is not writable is an error with its path."""
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="permission denied"):
        disk_read(tmp_path, SMALL)


def test_full_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up meanwhile is a refusal with its reason, and nothing is left."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left on device: free some space"):
        disk_read(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that come back changed are an error, however fast they came."""
    numbers = iter(range(99))

    def other_each_time(_: object) -> int:
        return next(numbers)

    monkeypatch.setattr(disk.zlib, "crc32", other_each_time)
    with pytest.raises(StorageError, match="gave back other bytes"):
        disk_read(tmp_path, SMALL)


@pytest.mark.parametrize(
    ("system", "cached", "noisy"),
    [
        ("linux", False, False),
        ("linux", True, True),
        ("win32", None, True),
        ("darwin", None, False),
    ],
)
def test_from_memory(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    cached: bool | None,
    noisy: bool,
) -> None:
    """What may have come from memory is said to be noisy; macOS reads past its cache."""
    asked: list[tuple[int, int, int]] = []

    def control(file: int, command: int, value: int) -> None:
        asked.append((file, command, value))

    fcntl = SimpleNamespace(F_NOCACHE=48, fcntl=control)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setitem(sys.modules, "fcntl", fcntl)
    monkeypatch.setattr(disk, "is_cached", always(cached))
    found = disk_read(tmp_path, SMALL).benchmark
    assert any("from memory" in why for why in found.warnings) == noisy
    assert [words[1:] for words in asked] == ([(48, 1)] if system == "darwin" else [])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_cache_of_a_real_file(tmp_path: Path) -> None:
    """A file that was just written is in memory, and one that was dropped is not."""
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        file.write(os.urandom(MIB))
        before = disk.is_cached(file, MIB)
        os.fsync(file.fileno())
        disk.drop_from_cache(file)
        after = disk.is_cached(file, MIB)
    if before is not None:  # some file systems cannot tell
        assert before
        assert after is False


def test_cache_where_nothing_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the system's calls nothing is dropped, and nothing is known."""
    monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        disk.drop_from_cache(file)
        assert disk.is_cached(file, MIB) is None


def test_cache_of_odd_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that does not know the question leaves it open."""

    def unknown(*_: object) -> int:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "RWF_NOWAIT", 8, raising=False)
    monkeypatch.setattr(os, "preadv", unknown, raising=False)
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        assert disk.is_cached(file, MIB) is None


def test_a_file_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is shorter than it was is an error, not an endless wait."""

    def cut(file: IO[bytes]) -> None:
        file.truncate(disk.SEGMENT_BYTES)

    monkeypatch.setattr(disk, "drop_from_cache", cut)
    with pytest.raises(StorageError, match="ended early"):
        disk_read(tmp_path, SMALL)


@pytest.mark.parametrize(("seconds", "count"), [(10.5, 5), (27.5, 9), (100.0, 12)])
def test_time_for_reading(tmp_path: Path, seconds: float, count: int) -> None:
    """Reading ends when time is up, after as many samples as a verdict needs."""
    ticks = count_up()
    found, _ = disk_read(tmp_path, SMALL._replace(seconds=seconds), TOOLS._replace(clock=ticks))
    assert len(found.samples) == count


def count_up() -> Callable[[], float]:
    """Make a clock that goes on by a second whenever it is looked at."""
    times = itertools.count()
    return lambda: float(next(times))


def test_each_byte_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read again is not compared again, so that time goes into samples."""
    sums: list[int] = []
    real = zlib.crc32

    def note(data: bytes) -> int:
        sums.append(real(data))
        return sums[-1]

    monkeypatch.setattr(disk.zlib, "crc32", note)
    disk_read(tmp_path, SMALL)
    assert sums[:6] == sums[6:]
