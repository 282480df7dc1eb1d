"""A real ``hgx serve demo`` in a process of its own, on a free port, with one thread."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


class Serving:
    """A running server.

    Attributes:
        process: hgx itself.
        url: Base URL, with ``/v1``.
        engine: The process that llama.cpp lives in.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.url = process.stdout.readline().strip()
        self.engine = psutil.Process(process.pid).children()[0] if self.url else None

    @property
    def port(self) -> int:
        """The port of the gateway."""
        return int(self.url.removesuffix("/v1").rpartition(":")[2])

    def end(self, signal_number: int) -> tuple[int, str]:
        """Send a signal; return the exit status and what was written to stderr."""
        self.process.send_signal(signal_number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and what was written to stderr."""
        _, messages = self.process.communicate(timeout=60)
        return self.process.returncode, messages


@contextmanager
def serve_demo(home: Path, *options: str) -> Generator[Serving]:
    """Serve the demo model; whatever happens, the process is ended.

    Args:
        home: The home directory; the model is put together there.
        options: More options of ``hgx serve``.
    """
    command = [sys.executable, "-m", "hgx", "--home", str(home), "serve", "demo", "--port", "0"]
    command += ["--threads", "1", "--ctx", "512", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Serving(process)
        finally:
            process.kill()


def gone(process: psutil.Process | None) -> bool:
    """Whether a process ends within half a minute."""
    assert process is not None
    return not psutil.wait_procs([process], timeout=30)[1]
