"""A part of hgx in a process of its own: what hangs or crashes there takes nothing with it.

The child prints lines, and the parent reads them as they come. The child ends with its parent.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hgx.errors import Unavailable
from hgx.process.lifeline import die_with

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import IO, TextIO

LONGEST_LINE_BYTES = 16 * 1024**2
"""More than any answer has; what is longer was not meant for us."""

_KILL_WAIT_S = 1.0
_LAST_WORDS_BYTES = 2000


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a module of hgx with this interpreter."""
    return (sys.executable, "-m", module, *arguments)


class TooLate(Unavailable):
    """A program was not done by its deadline."""


@contextmanager
def lines_of(
    command: Sequence[str],
    *,
    what: str,
    silence_s: float,
    remedy: str,
    deadline_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Iterator[str]]:
    """Run a program and give its lines as they come; it is killed when the context ends.

    Args:
        command: The program; see ``python_module``.
        what: What it does, as the subject of a sentence: ``reading NVML``.
        silence_s: Seconds without a line after which it counts as hung.
        remedy: What the user can do about it, in the imperative.
        deadline_s: Seconds from its start after which it is not waited for, lines or not.
        clock: Returns seconds.

    Raises:
        TooLate: While lines are taken: the deadline is over.
        Unavailable: While lines are taken: it hung, crashed, or could not be started.
    """
    wait = _Wait(what, silence_s, remedy, deadline_s, clock)
    with _scratch(what, remedy) as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - the commands are hgx's own
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=Path(__file__).parents[2],  # from where the package can be imported
                env=os.environ | {"HGX_PARENT": str(os.getpid())},
            )
        except OSError as error:
            raise Unavailable(f"{what} could not start: {error.strerror}", remedy) from error
        try:
            yield _lines(process, wait, errors)
        finally:
            _end(process)


def _scratch(what: str, remedy: str) -> IO[bytes]:
    """Open a file for what the program writes to stderr."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        reason = f"{what} needs a place for temporary files ({(error.strerror or '').lower()})"
        raise Unavailable(reason, f"set TMPDIR; {remedy}") from error


def answers_to_parent() -> TextIO:
    """Set this process up as a child of hgx; call it before any vendor's library is loaded.

    It ends with its parent from now on. What libraries print goes to stderr.

    Returns:
        Where the lines for the parent go, one flush per line.
    """
    parent = os.environ.get("HGX_PARENT")
    if parent is not None:
        # Not sys.stdin.buffer, which would be closed under the thread at the very end.
        die_with(int(parent), os.fdopen(os.dup(0), "rb", buffering=0))
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return answers


class _Wait:
    """How long to wait for a program, and what to say when that is over."""

    def __init__(
        self,
        what: str,
        silence_s: float,
        remedy: str,
        deadline_s: float | None,
        clock: Callable[[], float],
    ) -> None:
        self.what = what
        self.remedy = remedy
        self._silence_s = silence_s
        self._deadline_s = deadline_s
        self._clock = clock
        self._began = clock()

    def next_s(self) -> float:
        """Return how long to wait for the next sign of life; raise where that is over."""
        if self._deadline_s is None:
            return self._silence_s
        left = self._began + self._deadline_s - self._clock()
        if left <= 0:
            raise TooLate(f"{self.what} took longer than {self._deadline_s:g} s", self.remedy)
        return min(self._silence_s, left)

    def is_over(self) -> Unavailable:
        """Say why it was not waited for any longer."""
        try:
            self.next_s()
        except TooLate as late:
            return late
        return Unavailable(f"{self.what} did not answer in {self._silence_s:g} s", self.remedy)


def _lines(process: subprocess.Popen[bytes], wait: _Wait, errors: IO[bytes]) -> Iterator[str]:
    arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_pump, args=(process.stdout, arrived), daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=wait.next_s())
        except queue.Empty:
            raise wait.is_over() from None
        if not line:
            break
        if not line.endswith(b"\n"):
            break
        yield line.decode(errors="replace")
    with suppress(subprocess.TimeoutExpired):
        process.wait(wait.next_s())
    if process.returncode != 0:
        raise Unavailable(f"{wait.what} {_end_in_words(process.returncode, errors)}", wait.remedy)


def _pump(stream: IO[bytes] | None, arrived: queue.SimpleQueue[bytes]) -> None:
    with stream or nullcontext() as lines:
        while lines and (line := lines.readline(LONGEST_LINE_BYTES)):
            arrived.put(line)
    arrived.put(b"")


def _end_in_words(status: int | None, errors: IO[bytes]) -> str:
    """Say how it ended, with the last line it wrote to stderr."""
    if status is None:
        return "did not end"
    how = f"ended with status {status}"
    if status < 0:
        with suppress(ValueError):
            how = f"crashed ({signal.Signals(-status).name})"
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _LAST_WORDS_BYTES))
    words = errors.read().decode(errors="replace").strip().splitlines()
    return f"{how}, saying {words[-1].strip()!r}" if words else how


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it; one that is stuck in the kernel's driver does not die, and is left behind."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_KILL_WAIT_S)
