"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from hgx.errors import StorageError
from hgx.store.atomic import is_there, shown_path, storage_error, write_atomically


def test_writes_and_replaces(tmp_path: Path) -> None:
    """The file holds the last text, in UTF-8, and nothing else is left beside it."""
    file = tmp_path / "f"
    write_atomically(file, "one")
    write_atomically(file, "zwölf")
    assert file.read_bytes() == "zwölf".encode()
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_failure_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """When the disk fails or fills, the old file stays and the temporary one goes."""
    file = tmp_path / "f"
    file.write_text("old")

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=r"could not write .*f: ") as caught:
        write_atomically(file, "new")
    assert ("free some space" in caught.value.message) == (code == errno.ENOSPC)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_private(tmp_path: Path) -> None:
    """A private file is its owner's alone, from its first byte on and whatever it was before."""
    file = tmp_path / "f"
    for _ in range(2):
        write_atomically(file, "secret", private=True)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o644)
    write_atomically(file, "open")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt in the middle removes the temporary file and goes on up."""

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "f", "new")
    assert list(tmp_path.iterdir()) == []


def test_missing_directory(tmp_path: Path) -> None:
    """A directory that is not there is an error with its remedy."""
    with pytest.raises(StorageError, match="create the directory first"):
        write_atomically(tmp_path / "no" / "f", "text")


def test_missing_file(tmp_path: Path) -> None:
    """What is to be read and is not there was named wrongly."""
    path = tmp_path / "f"
    with pytest.raises(FileNotFoundError) as caught:
        path.read_text()
    assert storage_error("read", path, caught.value).message.endswith(": check the path")


@pytest.mark.skipif(os.name == "nt", reason="permissions and links are POSIX")
def test_permissions_and_links_stay(tmp_path: Path) -> None:
    """Replacing keeps the permissions of the file, and a link to it stays a link."""
    file, link = tmp_path / "f", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("refusals", [3, 1000])
def test_windows_reader_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    """On Windows a reader may delay the replacement a while, but not for ever."""
    left = refusals
    replace = Path.replace

    def busy(self: Path, target: Path) -> Path:
        nonlocal left
        if left:
            left -= 1
            raise PermissionError(errno.EACCES, "Access is denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr("hgx.store.atomic._REPLACE_ATTEMPTS", 5)
    monkeypatch.setattr("hgx.store.atomic._REPLACE_PAUSE_S", 0)
    if refusals < 5:
        write_atomically(tmp_path / "f", "new")
        assert (tmp_path / "f").read_text() == "new"
    else:
        with pytest.raises(StorageError, match="access is denied"):
            write_atomically(tmp_path / "f", "new")


def test_odd_names_stay_on_one_line() -> None:
    """A path with a line end in it is shown escaped."""
    assert shown_path(Path("a\nb")) == r"'a\nb'"
    assert shown_path(Path("büro")) == "büro"


def test_whether_something_is_there(tmp_path: Path) -> None:
    """A path that cannot be looked at is an error, and not the same as one that leads nowhere."""
    assert is_there(tmp_path)
    assert not is_there(tmp_path / "missing" / "file")
    for impossible in ("a" * 300, "null\0"):
        with pytest.raises(StorageError, match="could not look at"):
            is_there(tmp_path / impossible)
