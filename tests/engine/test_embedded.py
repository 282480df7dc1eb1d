"""The embedded engine: real where it matters, a few lines of Python where it must misbehave."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx2
import psutil
import pytest

from hgx.engine import embedded
from hgx.engine.base import EngineSpec
from hgx.engine.embedded import EmbeddedEngine, engine_devices
from hgx.errors import EngineError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_GOOD = """
class Any:
    def __getattr__(self, name):
        value = Any()
        setattr(self, name, value)
        return value
CommonParams, ggml_type = Any, Any()
class Server:
    def __init__(self, params):
        self.listening_address = "http://127.0.0.1:1"
"""
_STUBBORN = (
    _GOOD
    + """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Server:
    def __init__(self, params):
        while True:
            time.sleep(60)
"""
)
_ABORTING = _GOOD + "\nimport os\nprint('ggml.c:1: GGML_ASSERT(x) failed', flush=True)\nos.abort()"


def _gone(pid: int) -> bool:
    try:
        psutil.Process(pid).wait(30)
    except psutil.NoSuchProcess:
        return True
    return not psutil.pid_exists(pid)


@pytest.mark.engine
class TestReal:
    """With llama.cpp and the demo model."""

    def test_it_serves_behind_its_key(self, demo_model: Path, tmp_path: Path) -> None:
        """It answers on loopback to who has the key, logs, and is gone after stop."""
        engine = EmbeddedEngine(
            EngineSpec(model=str(demo_model), alias="demo", ctx=256), tmp_path / "logs"
        )
        try:
            endpoint = engine.start()
            ask = {"prompt": "One, two,", "max_tokens": 2}
            refused = httpx2.post(f"{endpoint.url}/v1/completions", json=ask)
            key = {"authorization": f"Bearer {endpoint.api_key}"}
            answer = httpx2.post(f"{endpoint.url}/v1/completions", json=ask, headers=key)
            assert endpoint.url.startswith("http://127.0.0.1:")
            assert (refused.status_code, answer.status_code) == (401, 200)
            assert engine.alive()
        finally:
            engine.stop()
        assert engine.pid is not None
        assert _gone(engine.pid)
        assert "loading model" in next((tmp_path / "logs").iterdir()).read_text()

    def test_a_damaged_model(self, demo_model: Path, tmp_path: Path) -> None:
        """A truncated file is an error with llama.cpp's own reason and a cure."""
        damaged = tmp_path / "damaged.gguf"
        with demo_model.open("rb") as whole:
            damaged.write_bytes(whole.read(16_000_000))
        engine = EmbeddedEngine(EngineSpec(model=str(damaged), alias="x"), tmp_path)
        with pytest.raises(EngineError, match=r"damaged\.gguf.*within the file.*fetch it again"):
            engine.start()
        assert not engine.alive()

    def test_its_devices(self) -> None:
        """The installed wheel names at least this machine's CPU."""
        assert "cpu" in {device.kind for device in engine_devices()}

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
    def test_nothing_outlives_a_killed_parent(self, demo_model: Path, tmp_path: Path) -> None:
        """After SIGKILL of the process that started it, the engine and its port are gone."""
        script = (
            "import sys, time, pathlib\n"
            "from hgx.engine.base import EngineSpec\n"
            "from hgx.engine.embedded import EmbeddedEngine\n"
            "spec = EngineSpec(model=sys.argv[1], alias='x', ctx=64)\n"
            "engine = EmbeddedEngine(spec, pathlib.Path(sys.argv[2]))\n"
            "print(engine.start().url, engine.pid, flush=True)\n"
            "time.sleep(60)\n"
        )
        command = [sys.executable, "-c", script, str(demo_model), str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
            assert owner.stdout is not None
            url, pid = owner.stdout.readline().split()
            owner.kill()
        assert _gone(int(pid))
        port = int(url.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: EngineSpec
) -> None:
    """Without xllamacpp nothing starts, and the remedy is named."""

    def nothing(_: str) -> None:
        return None

    monkeypatch.setattr(embedded, "find_spec", nothing)
    for attempt in (engine_devices, EmbeddedEngine(spec, tmp_path).start):
        with pytest.raises(Unavailable, match=r"pip install 'hgx-toolkit\[engine\]'"):
            attempt()


def test_an_engine_that_aborts(
    install_engine: Callable[[str], None], tmp_path: Path, spec: EngineSpec
) -> None:
    """An abort while loading ends the child alone, and its last words are quoted."""
    install_engine(_ABORTING)
    with pytest.raises(EngineError, match=r"GGML_ASSERT\(x\) failed"):
        EmbeddedEngine(spec, tmp_path).start()
    with pytest.raises(EngineError, match="does not run on this machine"):
        engine_devices()


def test_an_engine_that_never_gets_ready(
    install_engine: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    spec: EngineSpec,
) -> None:
    """Past the time limit the start fails, and a child that ignores SIGTERM is killed."""
    install_engine(_STUBBORN)
    monkeypatch.setattr(embedded, "_TICK_S", 0.05)
    monkeypatch.setattr(embedded, "_GRACE_S", 0.2)
    engine = EmbeddedEngine(spec, tmp_path, timeout_s=3.0)
    seconds: list[float] = []
    with pytest.raises(EngineError, match="within 3 s"):
        engine.start(seconds.append)
    assert seconds == sorted(seconds)
    assert seconds
    assert engine.pid is not None
    assert _gone(engine.pid)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_an_engine_that_is_killed(
    install_engine: Callable[[str], None], tmp_path: Path, spec: EngineSpec
) -> None:
    """A killed engine is not alive, and its obituary tells the signal and the log."""
    install_engine(_GOOD)
    engine = EmbeddedEngine(spec, tmp_path)
    assert not engine.alive()
    try:
        engine.start()
        assert engine.alive()
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        for _ in range(300):  # half a minute at most
            if not engine.alive():
                break
            time.sleep(0.1)
        assert not engine.alive()
        assert "signal 9" in engine.obituary()
        assert "engine-" in engine.obituary()
    finally:
        engine.stop()
    engine.stop()


def test_too_little_memory(
    install_engine: Callable[[str], None], tmp_path: Path, spec: EngineSpec
) -> None:
    """What llama.cpp prints when memory runs out (recorded) becomes advice on what to reduce."""
    recorded = "0.01.203 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer"
    refusal = f"{_GOOD}\nimport sys\nprint({recorded!r}, flush=True)\nServer = None"
    install_engine(refusal)
    with pytest.raises(EngineError, match=r"failed to allocate buffer .*smaller --ctx"):
        EmbeddedEngine(spec, tmp_path).start()


def test_an_engine_that_vanishes_while_loading(
    install_engine: Callable[[str], None], tmp_path: Path, spec: EngineSpec
) -> None:
    """A child that is killed while it loads, as for lack of memory, is reported as that."""
    install_engine(_GOOD + "\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(EngineError, match=r"killed by signal 9 .*smaller --ctx"):
        EmbeddedEngine(spec, tmp_path).start()


def test_a_stop_before_the_start(tmp_path: Path, spec: EngineSpec) -> None:
    """Stopping what never ran does nothing."""
    EmbeddedEngine(spec, tmp_path).stop()
