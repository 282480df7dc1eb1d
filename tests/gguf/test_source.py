"""Opening files: everything that is not a readable file is one clear error."""

from __future__ import annotations

import errno
import os
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from hgx.errors import ModelError
from hgx.gguf.source import FileSource, open_file


def test_a_file_is_read_at_any_offset(tmp_path: Path) -> None:
    """A source gives the bytes at an offset, and fewer where the file ends."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"0123456789")
    with open_file(path) as source:
        assert (source.name, source.size) == (str(path), 10)
        assert (source.read(2, 3), source.read(5, 1, 2), source.read(8, 5)) == (
            b"234",
            b"567",
            b"89",
        )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere is a ModelError with the path in it."""
    with (
        pytest.raises(ModelError, match=r"no\.gguf does not exist"),
        open_file(tmp_path / "no.gguf"),
    ):
        pass


def test_a_directory_is_not_a_model(tmp_path: Path) -> None:
    """A directory is said to be one."""
    with pytest.raises(ModelError, match="is a directory"), open_file(tmp_path):
        pass


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    """Opening a pipe nobody writes to would hang, so it is refused before it is opened."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="not a regular file"), open_file(tmp_path / "pipe"):
        pass


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    """What a download that never began leaves behind has its own message."""
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(ModelError, match="is empty"), open_file(tmp_path / "empty.gguf"):
        pass


def test_a_name_with_a_null_character_is_a_model_error() -> None:
    """A path the system cannot even express is an error of ours, not a ValueError."""
    with pytest.raises(ModelError, match="cannot be read"), open_file("a\0b"):
        pass


def test_a_forbidden_file_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason the system gives is in the message (root may read all, hence the stand-in)."""
    path = tmp_path / "secret.gguf"
    path.write_bytes(b"GGUF")

    def refuse(_self: Path, *_args: object, **_options: object) -> BinaryIO:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelError, match="Permission denied"), open_file(path):
        pass


def test_a_failing_disk_is_a_model_error(tmp_path: Path) -> None:
    """An error in the middle of reading carries the system's reason."""

    class Broken(BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    source = FileSource(tmp_path, Broken(b"GGUF"), 4)
    with pytest.raises(ModelError, match="Input/output error"):
        source.read(0, 4)
