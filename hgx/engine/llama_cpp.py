"""The engine for several machines: llama-server, in a process of its own that ends with hgx.

Its log goes through hgx: what it says of layers and buffers is read while it loads, and its most
talkative lines, some twenty per token, are left out of the file.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hgx.engine.base import Endpoint
from hgx.engine.log import new_log, reason
from hgx.engine.readback import Loaded
from hgx.engine.server_arguments import server_arguments, server_environment
from hgx.errors import EngineError
from hgx.process.program import Program, how_it_ended

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from io import FileIO
    from pathlib import Path

    from hgx.engine.base import Progress
    from hgx.engine.server_arguments import ServerSpec

_TICK_S = 0.25
_LOG_END_S = 2.0
_LOOK_S = 0.1
_PIPE_BYTES = 1024 * 1024
_DEBUG = re.compile(rb"^[\d.]+ D ")
_LISTENING = re.compile(r"listening on (?P<url>http://127\.0\.0\.1:\d+)")


class LlamaCppEngine:
    """One model in one llama-server.

    Its HTTP port is on loopback, random, and asks for a random key that only this process knows.

    Args:
        program: llama-server.
        spec: What to run.
        logs: Folder for its log.

    Attributes:
        loaded: What it said of its layers and buffers; complete once ``start`` has returned.
    """

    def __init__(self, program: Path, spec: ServerSpec, logs: Path) -> None:
        self._command = (f"{program}", *server_arguments(spec))
        self._spec = spec
        self._logs = logs
        self._log: Path | None = None
        self._process: Program | None = None
        self._url: str | None = None
        self._reading: threading.Thread | None = None
        self.loaded = Loaded()

    @property
    def pid(self) -> int | None:
        """Process id of llama-server, or null before the start."""
        return self._process.pid if self._process else None

    def start(self, progress: Progress | None = None) -> Endpoint:
        """Start llama-server and wait until the model is loaded (see ``Engine``).

        It has all the time it needs, as weights may have to cross a slow network; whoever is told
        of the progress may raise, which ends it.
        """
        self._log = new_log(self._logs)
        api_key = secrets.token_urlsafe(32)
        try:
            process = self._process = self._launch(self._log, server_environment(api_key))
            began = time.monotonic()
            while self._url is None and process.wait(_TICK_S) is None:
                if progress:
                    progress(time.monotonic() - began)
        except BaseException:
            self.stop()
            raise
        if self._url is None:
            raise EngineError(self._failure())
        return Endpoint(url=self._url, api_key=api_key)

    def alive(self) -> bool:
        """Whether llama-server runs."""
        return self._process is not None and self._process.poll() is None

    def obituary(self) -> str:
        """Say how it ended and where its log is."""
        why = reason(self._log) if self._log else None
        said = f", saying {why!r}" if why else ""
        return f"llama-server {self._end()}{said}; its log is {self._log}; start it again"

    def stop(self, grace_s: float = 3.0) -> None:
        """End it: ask, wait, kill."""
        if self._process is not None:
            self._process.stop(grace_s)
        if self._reading is not None:
            self._reading.join(_LOG_END_S)

    def _launch(self, log: Path, environment: Mapping[str, str]) -> Program:
        """Start the process, with a thread that reads what it says to its end."""
        ours, theirs = os.pipe()
        if sys.platform == "linux":  # room for what is said between two looks
            import fcntl  # noqa: PLC0415 - other systems have none

            with suppress(OSError):  # more than this user's pipes may take in all
                fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._reading = threading.Thread(target=self._read, args=(ours, log), daemon=True)
        self._reading.start()
        try:
            process = Program(self._command, theirs, environment)
            process.start()
        finally:
            os.close(theirs)
        return process

    def _read(self, pipe: int, log: Path) -> None:
        with open(pipe, "rb") as lines, log.open("ab", buffering=0) as kept:
            while self._url is None and (line := lines.readline()):
                self._look_at(line.decode(errors="replace"))
                _keep([line], kept)
            rest = b""
            while piece := lines.read1(_PIPE_BYTES):
                *whole, rest = (rest + piece).split(b"\n")
                _keep([line + b"\n" for line in whole], kept)
                # Woken by each line, this thread would take the engine's processor from it.
                time.sleep(_LOOK_S)
            _keep([rest], kept)

    def _look_at(self, line: str) -> None:
        self.loaded.feed(line)
        if match := _LISTENING.search(line):
            self._url = match["url"]

    def _failure(self) -> str:
        if self._reading is not None:
            self._reading.join(_LOG_END_S)
        why = (reason(self._log) if self._log else None) or f"it {self._end()}"
        return (
            f"llama-server could not load {self._spec.model}: {why} (log: {self._log}); "
            "the log says more"
        )

    def _end(self) -> str:
        status = self._process.poll() if self._process else None
        return "did not start" if status is None else how_it_ended(status)


def _keep(lines: Iterable[bytes], kept: FileIO) -> None:
    """Write down lines that are not of the most talkative kind."""
    if said := b"".join(line for line in lines if not _DEBUG.match(line)):
        kept.write(said)
