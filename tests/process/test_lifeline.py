"""A process that must not outlive the one that started it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest

from hgx.process import lifeline

_SCRIPT = """
import os, sys, time
{before}
from hgx.process.lifeline import die_with
die_with({parent}, sys.stdin.buffer)
print("ready", flush=True)
time.sleep(60)
"""


def _start(before: str, parent_pid: str) -> subprocess.Popen[bytes]:
    script = _SCRIPT.format(before=before, parent=parent_pid)
    return subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


@pytest.mark.parametrize("before", ["", "sys.platform = 'darwin'"], ids=["kernel", "pipe alone"])
def test_it_ends_when_the_lifeline_is_cut(before: str) -> None:
    """Once nobody holds the other end of the pipe, the process ends, on any system."""
    with _start(before, "os.getppid()") as child:
        assert child.stdout is not None
        assert child.stdin is not None
        try:
            assert child.stdout.readline() == b"ready\n"
            child.stdin.write(b"whatever comes is no reason to end")
            child.stdin.close()
            assert child.wait(30) == 0
        finally:
            child.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the parent's end by signal")
def test_a_parent_that_is_gone_already() -> None:
    """A process whose parent ended before it could be watched ends at once."""
    with _start("", "1_000_000_000") as child:
        assert child.stdout is not None
        assert child.wait(30) == 0
        assert child.stdout.read() == b""


def test_the_thread_ends_the_process_at_the_end_of_the_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes through the lifeline is ignored; its end ends the process."""
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", ends.append)
    lifeline._exit_at_end(io.BytesIO(b"x" * 10_000))  # pyright: ignore[reportPrivateUsage]
    assert ends == [0]
    assert signal.SIGKILL == 9
