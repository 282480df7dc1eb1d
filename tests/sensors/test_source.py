"""The live machine as a source: files, commands and questions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hgx.errors import Unavailable
from hgx.sensors.source import LARGEST_BYTES, Machine, read_bounded, system_name
from tests.sensors.doubles import write_files

if TYPE_CHECKING:
    from pathlib import Path


def test_files(tmp_path: Path) -> None:
    """A file is found and read by its path below the root."""
    write_files(tmp_path, {"sys/b/name": "x", "sys/a/name": "y", "sys/a/other": "z"})
    machine = Machine(tmp_path)
    assert machine.glob("sys/*/name") == ("sys/a/name", "sys/b/name")
    assert machine.read("sys/a/name") == "y\n"


@pytest.mark.parametrize("path", ["gone", "sys", "a\0b"])
def test_files_that_cannot_be_read(tmp_path: Path, path: str) -> None:
    """A file that is not there, or is none, says nothing."""
    (tmp_path / "sys").mkdir()
    assert Machine(tmp_path).read(path) is None


def test_file_that_fails_while_it_is_read() -> None:
    """A sensor that goes away in the middle says nothing."""
    if not os.path.exists("/proc/self/mem"):  # noqa: PTH110 - a plain question
        pytest.skip("this system has no file that opens and does not read")
    assert Machine().read("proc/self/mem") is None


def test_size_is_bounded(tmp_path: Path) -> None:
    """Of a huge file only the beginning is read, and bytes that are no text are replaced."""
    (tmp_path / "huge").write_bytes(b"\xff" + b"x" * LARGEST_BYTES)
    text = read_bounded(str(tmp_path / "huge"))
    assert text is not None
    assert text[:2] == "\ufffdx"
    assert len(text) == LARGEST_BYTES


def test_commands() -> None:
    """What a command prints is its output; one that fails or is not there says nothing."""
    machine = Machine()
    assert machine.run(sys.executable, "-c", "print(' x ')") == f" x {os.linesep}"
    assert machine.run(sys.executable, "-c", "raise SystemExit(1)") is None
    assert machine.run("no-such-program-of-hgx") is None


def test_commands_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that does not end in time says nothing."""

    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("sysctl", 2)

    monkeypatch.setattr(subprocess, "run", hang)
    assert Machine().run("sysctl") is None


@pytest.mark.parametrize(
    "error", [OSError(), RuntimeError(), NotImplementedError(), Unavailable("a", "b")]
)
def test_questions(error: Exception) -> None:
    """A question has the answer that its call gives; one that fails has none."""

    def fail() -> None:
        raise error

    assert Machine().ask("x", lambda: 5) == 5
    assert Machine().ask("x", fail) is None


def test_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Android is told from Linux by what only Android has."""
    monkeypatch.delenv("ANDROID_ROOT", raising=False)
    assert Machine().system == system_name() == platform.system()
    monkeypatch.setenv("ANDROID_ROOT", "/system")
    assert system_name() == "Android"
    assert Machine(system="Darwin").system == "Darwin"
