"""llama.cpp's own rpc server, and a few lines of shell where it must misbehave."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.engine import rpc_server
from hgx.engine.binaries import Toolkit
from hgx.engine.hello import Protocol, hello
from hgx.engine.rpc_server import HOST, RpcOptions, RpcServer, rpc_protocol
from hgx.errors import EngineError, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

HELLO = Protocol(7, 0, 0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A place for its log."""
    return tmp_path / "rpc.log"


@pytest.fixture
def pretending(tmp_path: Path) -> Toolkit:
    """A toolkit whose rpc server is a shell script; ``script`` is to be written first."""
    server = tmp_path / "llama-server"
    script = tmp_path / "ggml-rpc-server"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return Toolkit(server, script, None, None, None, None, None, "PATH")


def write(toolkit: Toolkit, script: str) -> Toolkit:
    """Say what the rpc server does."""
    assert toolkit.rpc_server is not None
    toolkit.rpc_server.write_text(f"#!/bin/sh\n{script}\n")
    return toolkit


@pytest.mark.llama_cpp
class TestReal:
    """With the real program."""

    def test_it_answers_on_loopback_and_is_gone_after_the_stop(
        self, llama_cpp: Toolkit, log: Path
    ) -> None:
        """It says its protocol and its devices, listens on loopback alone, and leaves nothing."""
        server = RpcServer(llama_cpp, log, RpcOptions(devices=("CPU",), threads=1))
        assert (server.pid, server.port, server.protocol, server.devices) == (None, 0, None, ())
        assert not server.alive()
        try:
            protocol = server.start()
            assert protocol == server.protocol == hello(HOST, server.port, 30)
            assert protocol.major == HELLO.major
            assert [device.name for device in server.devices] == ["CPU"]
            total = psutil.virtual_memory().total
            assert abs(server.devices[0].memory_total_bytes - total) < total / 10
            assert server.pid is not None
            process = psutil.Process(server.pid)
            heard = [c.laddr for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
            assert heard == [(HOST, server.port)]
            assert server.alive()
            assert server.obituary() == f"it runs (log: {log})"
            assert process.environ()["GGML_RPC_NO_RDMA"] == "1"
            assert process.cmdline()[-4:] == ["--threads", "1", "--device", "CPU"]
        finally:
            server.stop()
        assert not server.alive()
        assert not psutil.pid_exists(server.pid)
        assert server.obituary() == f"it was stopped (log: {log})"
        with socket.create_server((HOST, server.port)):
            pass

    def test_two_at_a_time(self, llama_cpp: Toolkit, tmp_path: Path) -> None:
        """Several on one machine do not get into each other's way."""
        with (
            RpcServer(llama_cpp, tmp_path / "1") as one,
            RpcServer(llama_cpp, tmp_path / "2") as two,
        ):
            assert one.port != two.port
            assert {one.protocol, two.protocol} == {hello(HOST, one.port, 30)}

    def test_its_limits(self, llama_cpp: Toolkit, log: Path, tmp_path: Path) -> None:
        """It keeps weights where it is told to, and gets no more memory than it may have."""
        options = RpcOptions(cache=tmp_path / "cache", memory_bytes=256 * 1024**2)
        with RpcServer(llama_cpp, log, options) as server:
            assert (tmp_path / "cache" / "rpc").is_dir()
            assert server.pid is not None
            if sys.platform == "linux":
                limits = psutil.Process(server.pid).rlimit(psutil.RLIMIT_DATA)
                assert limits == (256 * 1024**2,) * 2

    def test_a_device_it_has_not(self, llama_cpp: Toolkit, log: Path) -> None:
        """What it says before it gives up comes with the error, and its log is named."""
        server = RpcServer(llama_cpp, log, RpcOptions(devices=("CUDA77",)))
        with pytest.raises(EngineError) as caught:
            server.start()
        assert str(caught.value) == (
            "the rpc server did not start: it ended with status 1, "
            f"saying 'error: unknown device: CUDA77' (log: {log})"
        )

    def test_a_port_that_is_taken(
        self, llama_cpp: Toolkit, log: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where another program was quicker to take the port, another port is tried."""
        with socket.create_server((HOST, 0)) as free:
            second = free.getsockname()[1]
        with socket.create_server((HOST, 0)) as taken:
            first = taken.getsockname()[1]
            ports = iter([first, second])
            monkeypatch.setattr(rpc_server, "_free_port", lambda: next(ports))
            with RpcServer(llama_cpp, log) as server:
                assert server.port == second
                assert len(server.devices) == 1
        log.unlink()
        with socket.create_server((HOST, 0)) as taken:
            monkeypatch.setattr(rpc_server, "_free_port", lambda: taken.getsockname()[1])
            with pytest.raises(EngineError, match="saying 'Failed to create server socket'"):
                RpcServer(llama_cpp, log).start()

    def test_a_client_that_vanishes(self, llama_cpp: Toolkit, log: Path) -> None:
        """A client that hangs up in the middle of an answer does not end it."""
        with RpcServer(llama_cpp, log) as server:
            for _ in range(5):
                with socket.create_connection((HOST, server.port), 30) as client:
                    client.sendall(b"\x0e" + (24).to_bytes(8, "little") + bytes(24))
                    client.sendall((b"\x00" + bytes(8)) * 1000)  # counts devices, again and again
            assert hello(HOST, server.port, 30) == server.protocol
            assert server.alive()

    def test_how_it_ended(self, llama_cpp: Toolkit, log: Path) -> None:
        """One that is killed is said to have been."""
        with RpcServer(llama_cpp, log) as server:
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            for _ in range(600):
                if not server.alive():
                    break
                time.sleep(0.05)
            assert server.obituary() == (
                f"it was killed (SIGKILL), as the system does where memory runs out (log: {log})"
            )

    def test_it_ends_with_hgx(self, llama_cpp: Toolkit, log: Path) -> None:
        """When hgx is killed, the rpc server ends and its port is free."""
        code = (
            "import sys\nfrom pathlib import Path\nfrom hgx.engine.binaries import find_toolkit\n"
            "from hgx.engine.rpc_server import RpcServer\n"
            "server = RpcServer(find_toolkit(Path(sys.argv[1])), Path(sys.argv[2]))\n"
            "server.start()\nprint(server.pid, server.port, flush=True)\nsys.stdin.read()"
        )
        command = [sys.executable, "-c", code, str(llama_cpp.server.parent), str(log)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as hgx:
            assert hgx.stdout is not None
            pid, port = (int(word) for word in hgx.stdout.readline().split())
            hgx.kill()
        for _ in range(600):
            if not psutil.pid_exists(pid):
                break
            time.sleep(0.05)
        with socket.create_server((HOST, port)):
            pass

    def test_the_protocol_of_a_toolkit(self, llama_cpp: Toolkit) -> None:
        """A toolkit's protocol is known without a model, and nothing is left running."""
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        assert rpc_protocol(llama_cpp).major == HELLO.major
        assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_a_toolkit_without_it(pretending: Toolkit, log: Path) -> None:
    """Without the program it cannot be made, and the remedy says how to get it."""
    without = replace(pretending, rpc_server=None)
    with pytest.raises(Unavailable, match=r"no ggml-rpc-server beside .*: install .*GGML_RPC=ON"):
        RpcServer(without, log)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "it ended with status 3"),
        ("echo hello; echo 'invalid number'; exit 1", "status 1, saying 'invalid number'"),
        ("echo 'a.c:1: GGML_ASSERT(x) failed'; kill -6 $$", r"(SIGABRT), saying 'a.c:1: GGML_ASS"),
    ],
)
def test_what_it_said_last(script: str, words: str, pretending: Toolkit, log: Path) -> None:
    """The error says how it ended, and of what it printed what explains that."""
    with pytest.raises(EngineError) as caught:
        RpcServer(write(pretending, script), log).start()
    assert words in str(caught.value)


def test_one_that_never_answers(pretending: Toolkit, log: Path) -> None:
    """One that runs and does not listen is given up when the time is over, and ended."""
    server = RpcServer(write(pretending, "exec sleep 600"), log)
    with pytest.raises(EngineError, match=r"did not answer in time: it runs \(log"):
        server.start(0.3)
    assert server.pid is not None
    assert not psutil.pid_exists(server.pid)


def test_an_answer_from_somebody_else(
    pretending: Toolkit, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What answers at the port although the program has ended is another one."""

    def answer(*_: object) -> Protocol:
        time.sleep(0.4)
        return HELLO

    monkeypatch.setattr(rpc_server, "hello", answer)
    with pytest.raises(EngineError, match="it ended with status 0"):
        RpcServer(write(pretending, "sleep 0.2"), log).start()


def test_no_protocol(pretending: Toolkit) -> None:
    """A toolkit whose rpc server does not work is told without a log that is gone already."""
    with pytest.raises(EngineError) as caught:
        rpc_protocol(write(pretending, "exit 4"))
    assert str(caught.value) == "the rpc server did not start: it ended with status 4"


def test_a_log_that_is_gone(pretending: Toolkit, log: Path) -> None:
    """Without its log its end is told all the same."""
    with pytest.raises(EngineError, match="it ended with status 0"):
        RpcServer(write(pretending, f"rm {log}"), log).start()
