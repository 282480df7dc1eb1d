"""The process between hgx and a foreign program; it ends the program once hgx is gone.

    python -I keeper.py LIMIT PROGRAM [ARGUMENT ...]

LIMIT is the memory the program may take in bytes (Linux), or ``none``. Commands come by stdin, one
byte each: ``t`` asks the program to end, ``k`` kills it; so does the end of stdin, which the kernel
brings about however hgx ends. To stdout go the lines ``started PID`` or ``failed REASON``, and
``ended STATUS`` (a signal's number is negative). stderr is where the program's output goes.

The program leads a process group of its own, and the whole group is killed with it. On Linux the
kernel kills the program should the keeper be killed; elsewhere hgx does, when it notices. Windows
has no groups and no way to ask: the program alone is killed. Run on Linux only so far.

It is run by its path and imports little, so that it starts in about 30 ms.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

TYPE_CHECKING = False  # as in ``typing``, which takes too long to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PR_SET_PDEATHSIG = 1
"""Number of the request in ``prctl(2)``."""


def main(arguments: Sequence[str]) -> int:
    """Run the program to its end.

    Args:
        arguments: The limit, then the program's command.

    Returns:
        0 when the program was started, whatever became of it; else 1.
    """
    limit, *command = arguments
    for number in (signal.SIGINT, signal.SIGTERM):
        # hgx decides, not a terminal. Were they ignored, the program would ignore them too.
        signal.signal(number, _do_nothing)
    try:
        program = _start(command, None if limit == "none" else int(limit))
    except (OSError, subprocess.SubprocessError) as error:
        _tell("failed", getattr(error, "strerror", None) or str(error))
        return 1
    _tell("started", program.pid)
    threading.Thread(target=_obey, args=(program,), daemon=True).start()
    status = program.wait()
    _signal(program, kill=True)  # for what it leaves behind
    _tell("ended", status)
    return 0


def _start(command: Sequence[str], memory_bytes: int | None) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own; this thread must outlive it."""
    return subprocess.Popen(  # noqa: S603 - what to run is decided by hgx
        command,
        stdin=subprocess.DEVNULL,
        stdout=2,
        stderr=2,
        # Python ignores SIGPIPE, and so shall the program: a peer that vanishes in the middle of
        # an answer would end llama.cpp's rpc server.
        restore_signals=False,
        start_new_session=True,
        preexec_fn=_ready(memory_bytes),  # noqa: PLW1509 - no thread has been started yet
    )


def _ready(memory_bytes: int | None) -> Callable[[], None] | None:
    """Return what the program's process does before it becomes the program; null off Linux."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - these two are for Linux
    import resource  # noqa: PLC0415

    prctl = ctypes.CDLL(None).prctl
    keeper = os.getpid()
    _, allowed = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_bytes
    if limit is not None and allowed != resource.RLIM_INFINITY:
        limit = min(limit, allowed)

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:  # it ended before the kernel was told to watch it
            os._exit(1)
        if limit is not None:
            # Private writable memory: mapped weights are files, and do not count.
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    return prepare


def _do_nothing(*_: object) -> None:
    pass


def _obey(program: subprocess.Popen[bytes]) -> None:
    """Do what hgx says until there is no hgx any more."""
    while command := os.read(0, 1):
        _signal(program, kill=command == b"k")
    _signal(program, kill=True)


def _signal(program: subprocess.Popen[bytes], *, kill: bool) -> None:
    """Ask the program's group to end, or kill it; nothing happens where it is gone."""
    with suppress(OSError):
        if sys.platform == "win32":
            program.kill()
        else:
            os.killpg(program.pid, signal.SIGKILL if kill else signal.SIGTERM)


def _tell(word: str, value: object) -> None:
    with suppress(OSError):  # nobody may be left to listen
        os.write(1, f"{word} {value}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
