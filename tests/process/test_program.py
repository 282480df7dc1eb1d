"""A foreign program: its end is told truthfully, and it ends with hgx however hgx ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.errors import StorageError, Unavailable
from hgx.process import keeper, program
from hgx.process.program import Program, how_it_ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux does this")

SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); {SLEEP}"


def python(code: str) -> list[str]:
    """Return a command that runs some Python, unbuffered."""
    return [sys.executable, "-u", "-c", code]


def soon(condition: Callable[[], bool]) -> bool:
    """Wait until something holds, half a minute at most."""
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def ended(pid: int) -> bool:
    """Tell whether a process is gone, or waits only for somebody to take note of its end."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def suspend(pid: int) -> None:
    """Suspend a process, and wait until it is."""
    process = psutil.Process(pid)
    process.suspend()
    assert soon(lambda: process.status() == psutil.STATUS_STOPPED)


def printed(log: Path) -> list[str]:
    """Wait for the program's first whole line, and return all of its words."""
    assert soon(lambda: log.exists() and log.read_bytes().endswith(b"\n"))
    return log.read_text().split()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A place for a program's output."""
    return tmp_path / "program.log"


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("pass", 0, "ended with status 0"),
        ("import sys; sys.exit(7)", 7, "ended with status 7"),
        ("import os; os.abort()", -signal.SIGABRT, "was killed (SIGABRT)"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, "was killed (SIGKILL)"),
    ],
)
def test_how_it_ended(code: str, status: int, words: str, log: Path) -> None:
    """Status and signal are told as they were, at once and later."""
    with Program(python(code), log) as run:
        assert run.wait(60) == status
        assert run.poll() == status
        assert how_it_ended(status) == words


def test_a_signal_without_a_name() -> None:
    """What the system has no name for is a number."""
    assert how_it_ended(-1000) == "ended with status -1000"


def test_output_goes_to_the_log(log: Path) -> None:
    """Both of its outputs are appended to the log."""
    log.write_text("before\n")
    code = "import sys; print('out'); print('err', file=sys.stderr); print(sys.stdin.read())"
    with Program(python(code), log) as run:
        assert run.wait(60) == 0
    assert log.read_text().split() == ["before", "out", "err"]


def test_output_goes_through_a_pipe(log: Path) -> None:
    """Whoever gives the writable end of a pipe reads the output to its end."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as output, Program(python("print('out')"), theirs):
        os.close(theirs)
        assert output.read() == b"out\n"
    assert not log.exists()


def test_variables_are_added(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets hgx's own environment and what is given besides."""
    monkeypatch.setenv("OURS", "1")
    code = "import os; print(os.environ['OURS'], os.environ['GIVEN'])"
    with Program(python(code), log, env={"GIVEN": "2"}) as run:
        assert run.wait(60) == 0
    assert log.read_text() == "1 2\n"


def test_it_can_be_asked_for_and_stopped(log: Path) -> None:
    """While it runs it has an id and no status; asked to end, it does."""
    run = Program(python(SLEEP), log)
    assert (run.pid, run.poll()) == (None, None)
    run.stop()
    run.start()
    try:
        pid = run.pid
        run.start()
        assert run.pid == pid
        assert pid is not None
        assert run.poll() is None
        assert run.wait(0.01) is None
        assert psutil.Process(pid).cmdline()[-1] == SLEEP
    finally:
        run.stop(60)
    assert run.poll() == -signal.SIGTERM
    run.stop()
    run.kill()
    assert not psutil.pid_exists(pid)


def test_one_that_does_not_want_to_end_is_killed(log: Path) -> None:
    """Once the grace is over, one that ignores the question is killed."""
    with Program(python(STUBBORN), log) as run:
        printed(log)
        run.stop(0.1)
        assert run.poll() == -signal.SIGKILL


def test_a_suspended_program_is_killed(log: Path) -> None:
    """A program that does not run at all, as on a suspended terminal, is killed all the same."""
    with Program(python(SLEEP), log) as run:
        assert run.pid is not None
        suspend(run.pid)
        run.terminate()
        assert run.wait(0.2) is None
        run.kill()
        assert run.wait(60) == -signal.SIGKILL


def test_its_children_go_with_it(log: Path) -> None:
    """What the program started ends with it, whether it is stopped or ends by itself."""
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], stdout=-3)\n"
        "print(child.pid)\n"
    )
    with Program(python(code + SLEEP), log) as run:
        child = int(printed(log)[-1])
        assert psutil.pid_exists(child)
    assert soon(lambda: ended(child))

    log.unlink()
    with Program(python(code), log) as run:
        assert run.wait(60) == 0
        assert soon(lambda: ended(int(printed(log)[-1])))


@on_linux
def test_a_vanished_reader_does_not_end_it(log: Path) -> None:
    """Writing to a connection that the other end left is an error, not a signal."""
    with Program(["grep", "SigIgn", "/proc/self/status"], log) as run:
        assert run.wait(60) == 0
    ignored = int(log.read_text().split()[1], 16)
    assert ignored >> (signal.SIGPIPE - 1) & 1
    assert not ignored >> (signal.SIGTERM - 1) & 1
    assert not ignored >> (signal.SIGINT - 1) & 1


@pytest.mark.parametrize("kind", ["missing", "not executable", "not a program", "a folder"])
def test_what_cannot_be_started(kind: str, tmp_path: Path, log: Path) -> None:
    """A program that is not there or cannot be run is named, with the reason and what to do."""
    path = tmp_path / "llama-server"
    if kind == "a folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"\x7fELF but not quite")
        path.chmod(0o755 if kind == "not a program" else 0o644)
    run = Program([str(path), "-v"], log)
    with pytest.raises(Unavailable) as caught:
        run.start()
    why = {"missing": "No such file", "not a program": "Exec format error"}
    assert why.get(kind, "Permission denied") in caught.value.reason
    assert f"{path} cannot be started (" in caught.value.reason
    assert run.pid is None


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """A log in a folder that is not there is an error that names it."""
    with pytest.raises(StorageError, match=r"cannot write the log .*nowhere.*: No such file"):
        Program(python("pass"), tmp_path / "nowhere" / "log").start()


def test_a_python_that_is_gone(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where even the keeper cannot be started, that is said."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable, match=r"true cannot be started .*No such file"):
        Program(["true"], log).start()


def test_a_keeper_that_ends_at_once(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keeper that says nothing and ends is no mystery: the program was not started."""
    monkeypatch.setattr(keeper, "__file__", str(tmp_path / "nowhere.py"))
    with pytest.raises(Unavailable, match=r"true cannot be started .its keeper ended."):
        Program(["true"], log).start()


def test_a_start_that_hangs(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that does not come to an end, as from a dead network disk, is given up."""
    silent = tmp_path / "silent.py"
    silent.write_text("import time, sys\nsys.stdin.read(1)\n")
    monkeypatch.setattr(keeper, "__file__", str(silent))
    monkeypatch.setattr(program, "_START_S", 0.1)
    with pytest.raises(Unavailable, match=r"true cannot be started .nothing happened for 0\.1 s."):
        Program(["true"], log).start()


@on_linux
def test_memory_is_limited(log: Path) -> None:
    """A program may take what it was given and no more; without a limit there is none."""
    code = "import resource; print(*resource.getrlimit(resource.RLIMIT_DATA)); b = bytearray(1<<30)"
    with Program(python(code), log, memory_bytes=512 * 1024**2) as run:
        assert run.wait(60) == 1
    words = log.read_text().split()
    assert words[:2] == [str(512 * 1024**2)] * 2
    assert words[-1] == "MemoryError"
    with Program(python(code), log) as run:
        assert run.wait(60) == 0


@on_linux
def test_a_limit_above_what_is_allowed(log: Path) -> None:
    """Where the system allows less than is asked for, that is the limit."""
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom hgx.process.program import Program\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))\n"
        "shown = [sys.executable, '-c', 'import resource; print(resource.getrlimit(2))']\n"
        "with Program(shown, Path(sys.argv[1]), memory_bytes=2**31) as run: run.wait(60)\n"
    )
    subprocess.run([*python(code), str(log)], timeout=60, check=True)
    assert log.read_text() == f"({2**30}, {2**30})\n"


HGX = """
import signal, sys
from pathlib import Path
from hgx.process.program import Program
run = Program(sys.argv[2:], Path(sys.argv[1]))
run.start()
print(run.pid, flush=True)
signal.pause()
"""

SERVER = """
import socket, subprocess, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(server.getsockname()[1], child.pid)
    server.accept()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_with_hgx(end: signal.Signals, log: Path) -> None:
    """However hgx ends, the program ends, its children too, and its port is free."""
    command = [*python(HGX), str(log), *python(SERVER)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as hgx:
        try:
            assert hgx.stdout is not None
            pid = int(hgx.stdout.readline())
            keeper_pid = psutil.Process(pid).ppid()
            port, child = (int(word) for word in printed(log))
            assert psutil.Process(keeper_pid).ppid() == hgx.pid
            hgx.send_signal(end)
            hgx.wait(60)
        finally:
            hgx.kill()
        assert soon(lambda: all(map(ended, (pid, child, keeper_pid))))
    with socket.create_server(("127.0.0.1", port)):
        pass


@on_linux
def test_it_ends_with_its_keeper(log: Path) -> None:
    """Should the keeper be killed, the kernel kills the program, and hgx tells the signal."""
    with Program(python(SERVER), log) as run:
        assert run.pid is not None
        child = int(printed(log)[1])
        os.kill(psutil.Process(run.pid).ppid(), signal.SIGKILL)
        assert run.wait(60) == -signal.SIGKILL
        assert soon(lambda: ended(run.pid or 0))
        assert soon(lambda: ended(child))


@on_linux
def test_the_kernel_alone_is_enough(log: Path) -> None:
    """With hgx suspended nobody but the kernel is left to end the program of a killed keeper."""
    command = [*python(HGX), str(log), *python(SLEEP)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hgx:
        try:
            assert hgx.stdout is not None
            pid = int(hgx.stdout.readline())
            suspend(hgx.pid)
            os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
            assert soon(lambda: ended(pid))
        finally:
            hgx.kill()


def test_a_suspended_keeper(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the keeper itself be suspended, the program ends nevertheless."""
    monkeypatch.setattr(program, "_KILL_WAIT_S", 0.5)
    with Program(python(SLEEP), log) as run:
        assert run.pid is not None
        suspend(psutil.Process(run.pid).ppid())
        run.stop(0.1)
        assert run.poll() == -signal.SIGKILL
        assert soon(lambda: ended(run.pid or 0))


def test_a_keeper_survives_a_terminal(log: Path) -> None:
    """Signals that a terminal or a session's end sends to everybody leave the decision to hgx."""
    with Program(python(SLEEP), log) as run:
        assert run.pid is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(psutil.Process(run.pid).ppid(), number)
        assert run.wait(0.3) is None
        assert os.getpgid(run.pid) == run.pid
        assert os.getsid(run.pid) != os.getsid(0)
