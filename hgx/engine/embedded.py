"""The engine that comes as a wheel: llama.cpp's own server, in a child process of hgx.

The wheel (xllamacpp) has no RPC, so it serves one machine. llama.cpp may abort, and hgx must not:
hence the process of its own, which ends with hgx whatever way hgx ends.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from hgx.engine.base import Endpoint, EngineDevice
from hgx.engine.embedded_child import Start
from hgx.engine.log import new_log, reason
from hgx.errors import EngineError, Unavailable

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from hgx.engine.base import EngineSpec, Progress

_COMMAND = (sys.executable, "-m", "hgx.engine.embedded_child")
_TICK_S = 0.5
_GRACE_S = 3.0
"""Seconds a process has to end after it was asked to, before it is killed."""


class EmbeddedEngine:
    """One model in one child process.

    The child's HTTP port is on loopback, random, and asks for a random key that only this process
    knows. ``start`` must be called from a thread that outlives the engine (see
    ``hgx.process.lifeline``).

    Args:
        spec: What to run.
        logs: Folder for the engine's log.
        timeout_s: Longest time to load the model, in seconds.
    """

    def __init__(self, spec: EngineSpec, logs: Path, timeout_s: float = 600.0) -> None:
        self._spec = spec
        self._logs = logs
        self._timeout_s = timeout_s
        self._log: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child, or null before the start."""
        return self._process.pid if self._process else None

    def start(self, progress: Progress | None = None) -> Endpoint:
        """Start the child and wait until the model is loaded (see ``Engine``)."""
        _require_package()
        self._log = new_log(self._logs)
        start = Start(spec=self._spec, api_key=secrets.token_urlsafe(32), parent=os.getpid())
        with self._log.open("ab") as log:
            self._process = _spawn(log.fileno())
        try:
            line = self._converse(self._process, start, progress)
        except BaseException:
            self.stop()
            raise
        url = _field(line, "url")
        if url is None:
            self._await_end(self._process)
            raise EngineError(self._failure(_field(line, "failed")))
        return Endpoint(url=url, api_key=start.api_key)

    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.poll() is None

    def obituary(self) -> str:
        """Say how the child ended and where its log is."""
        return f"the engine {self._end()} while serving; its log is {self._log}; start it again"

    def stop(self, grace_s: float = 3.0) -> None:
        """End the child: ask, wait, kill."""
        process = self._process
        if process is None:
            return
        process.terminate()
        self._await_end(process, grace_s)

    def _await_end(self, process: subprocess.Popen[bytes], grace_s: float = _GRACE_S) -> None:
        """Let a child that is about to end do so, then kill it."""
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()

    def _converse(
        self, process: subprocess.Popen[bytes], start: Start, progress: Progress | None
    ) -> bytes:
        """Send the spec, then wait for the one line of answer; empty when the child died."""
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=lambda: answers.put(stdout.readline()), daemon=True).start()
        try:
            stdin.write(start.model_dump_json().encode() + b"\n")
            stdin.flush()
        except OSError:  # it is dead already; its log says why
            return b""
        began = time.monotonic()
        while time.monotonic() - began < self._timeout_s:
            try:
                return answers.get(timeout=min(_TICK_S, self._timeout_s))
            except queue.Empty:
                if progress:
                    progress(time.monotonic() - began)
        msg = f"the engine did not load {self._spec.model} within {self._timeout_s:g} s"
        raise EngineError(f"{msg}; its log is {self._log}; try a smaller model or a faster disk")

    def _failure(self, told: str | None) -> str:
        why = (reason(self._log) if self._log else None) or told or f"it {self._end()}"
        return (
            f"the engine could not load {self._spec.model}: {why} (log: {self._log}); {_cure(why)}"
        )

    def _end(self) -> str:
        """Say how the child ended."""
        status = self._process.poll() if self._process else None
        if status is not None and status < 0:
            return f"was killed by signal {-status}"
        return f"ended with status {status}"


def engine_devices(timeout_s: float = 120.0) -> tuple[EngineDevice, ...]:
    """Ask the installed engine which devices it can use, in its own order.

    A child process is asked, because drivers that do not work can end the process.

    Args:
        timeout_s: Longest time it may take, in seconds: GPUs take some to get ready.

    Raises:
        Unavailable: The engine is not installed.
        EngineError: The engine cannot be loaded on this machine.
    """
    _require_package()
    try:
        asked = subprocess.run(  # noqa: S603 - our own module, no input
            [*_COMMAND, "--devices"], capture_output=True, timeout=timeout_s, check=False
        )
        devices = cast("dict[str, list[object]]", json.loads(asked.stdout))["devices"]
    except (ValueError, subprocess.TimeoutExpired) as error:
        msg = "the installed engine (xllamacpp) does not run on this machine: reinstall it with "
        raise EngineError(msg + "pip install --force-reinstall xllamacpp") from error
    return tuple(EngineDevice.model_validate(device) for device in devices)


def _require_package() -> None:
    if find_spec("xllamacpp") is None:
        msg = "the embedded engine is not installed"
        raise Unavailable(msg, "pip install 'hgx-toolkit[engine]'")


def _spawn(log: int) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    # GNU OpenMP's threads spin long before they sleep, which other load on the cores punishes:
    # measured with 2 threads on 2 cores, 70 tokens/s idle fell to 0.8 beside four busy processes.
    # With 1000 spins it was 67 idle and 56 beside them.
    environment.setdefault("GOMP_SPINCOUNT", "1000")
    return subprocess.Popen(  # noqa: S603 - our own module
        _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
    )


def _field(line: bytes, name: str) -> str | None:
    try:
        message = cast("dict[str, str]", json.loads(line))
    except ValueError:
        return None
    return message.get(name)


def _cure(why: str) -> str:
    """Say what to do about a failed start, from what llama.cpp said."""
    if "alloc" in why or "memory" in why or "signal 9" in why:
        return "use a smaller --ctx, --parallel or model"
    if "magic" in why or "failed to read" in why or "not within" in why:
        return "the file is damaged or not GGUF: fetch it again"
    if "unknown model architecture" in why:
        return "the engine is older than the model: pip install --upgrade xllamacpp"
    return "the log says more"
