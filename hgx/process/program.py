"""A foreign program that hgx runs, as llama.cpp's servers are, and that ends with hgx.

However hgx ends, SIGKILL included, the program and its children end too and their ports are free
again; see ``hgx.process.keeper``, which stands between both. Run on Linux only so far.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from hgx.errors import StorageError, Unavailable
from hgx.process import keeper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import IO, Self

_START_S = 30.0
"""Longest time for the program to be started, in seconds: it may be on a slow disk."""

_KILL_WAIT_S = 5.0


class Program:
    """One program, run once. As a context it is started at the beginning and stopped at the end.

    Args:
        command: The program and its arguments.
        log: File that its stdout and stderr are appended to, or the descriptor of something open.
        env: Variables that it gets besides hgx's own.
        memory_bytes: Memory of its own that it may take, in bytes; null for no limit. Only Linux
            keeps to it (RLIMIT_DATA).
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path | int,
        env: Mapping[str, str] | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self._command = [str(word) for word in command]
        self._log = log
        self._env = env or {}
        self._limit = "none" if memory_bytes is None else str(memory_bytes)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._status: int | None = None
        self._ended = threading.Event()

    @property
    def pid(self) -> int | None:
        """Process id of the program, or null before the start."""
        return self._pid

    def start(self) -> None:
        """Start the program; does nothing where it was started before.

        Raises:
            Unavailable: It is not there, or this machine cannot run it.
            StorageError: The log cannot be written.
        """
        if self._keeper is not None:
            return
        first: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._keeper = self._start_keeper()
        threading.Thread(target=self._listen, args=(self._keeper, first), daemon=True).start()
        try:
            told = first.get(timeout=_START_S)
        except queue.Empty:
            told = f"nothing happened for {_START_S:g} s"
        if self._pid is None:
            self.stop(0)
            raise self._not_started(told)

    def poll(self) -> int | None:
        """Return the program's exit status, negative for a signal; null while it runs."""
        return self._status

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the program's end.

        Args:
            timeout_s: Longest time to wait, in seconds.

        Returns:
            The exit status, as ``poll`` does.
        """
        self._ended.wait(timeout_s)
        return self._status

    def terminate(self) -> None:
        """Ask the program to end. Windows knows no such thing: it is killed there."""
        self._command_keeper(b"t")

    def kill(self) -> None:
        """Kill the program and its children, also where they are suspended."""
        self._command_keeper(b"k")

    def stop(self, grace_s: float = 3.0) -> None:
        """End the program: ask, wait, kill; idempotent.

        A program that is stuck in a driver of the kernel does not die, and is left behind.

        Args:
            grace_s: Seconds that it has to end by itself.
        """
        if self._keeper is None:
            return
        self.terminate()
        if self.wait(grace_s) is None:
            self.kill()
            if self.wait(_KILL_WAIT_S) is None:  # somebody has suspended the keeper
                self._keeper.kill()
                self.wait(_KILL_WAIT_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_keeper(self) -> subprocess.Popen[bytes]:
        new_group = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
        with self._output() as output:
            try:
                return subprocess.Popen(  # noqa: S603 - what to run is decided by hgx
                    [sys.executable, "-I", keeper.__file__, self._limit, *self._command],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    env=os.environ | self._env,
                    start_new_session=True,  # a terminal's interrupt is for hgx
                    creationflags=new_group,  # the same on Windows
                )
            except OSError as error:
                raise self._not_started(error.strerror or str(error)) from error

    def _output(self) -> AbstractContextManager[IO[bytes] | int]:
        if isinstance(self._log, int):
            return nullcontext(self._log)
        try:
            return self._log.open("ab")
        except OSError as error:
            msg = f"cannot write the log {self._log}: {error.strerror}; free it or use --home"
            raise StorageError(msg) from error

    def _not_started(self, why: str) -> Unavailable:
        reason = f"{self._command[0]} cannot be started ({why or 'its keeper ended'})"
        return Unavailable(reason, "check that it is there, made for this system and executable")

    def _listen(self, process: subprocess.Popen[bytes], first: queue.SimpleQueue[str]) -> None:
        """Take what the keeper says until its end, in a thread."""
        ended = None
        with process.stdout or nullcontext(()) as lines:
            for line in lines:
                word, _, value = line.decode(errors="replace").strip().partition(" ")
                if word == "started":
                    self._pid = int(value)
                if word == "ended":
                    ended = int(value)
                else:
                    first.put(value)
        status = process.wait()
        if ended is None and self._pid is not None:  # the keeper was killed
            _kill_group(self._pid)
        self._status = status if ended is None else ended
        self._ended.set()
        first.put("")
        if process.stdin is not None:
            process.stdin.close()

    def _command_keeper(self, command: bytes) -> None:
        if self._keeper is not None and self._keeper.stdin is not None:
            with suppress(OSError, ValueError):  # it has ended, and the pipe was closed
                self._keeper.stdin.write(command)


def how_it_ended(status: int) -> str:
    """Say an exit status in words, as in ``was killed (SIGKILL)``.

    Args:
        status: What ``Program.poll`` returned.
    """
    if status < 0:
        with suppress(ValueError):
            return f"was killed ({signal.Signals(-status).name})"
    return f"ended with status {status}"


def _kill_group(pid: int) -> None:
    with suppress(OSError):
        if sys.platform == "win32":
            os.kill(pid, signal.SIGTERM)
        else:
            os.killpg(pid, signal.SIGKILL)
