"""Tie a process to the one that started it, so that it ends whatever way its parent ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_PR_SET_PDEATHSIG = 1
"""Number of the request in ``prctl(2)``."""


def die_with(parent: int, lifeline: BinaryIO) -> None:
    """End this process as soon as its parent is gone, however that one ended.

    The lifeline works everywhere: the kernel closes its other end with the parent, SIGKILL
    included. A thread waits for that, so it cannot act while a library holds the interpreter's
    lock, as llama.cpp's loading of a model does. On Linux the kernel's own signal covers that
    time too. It is bound to the parent's thread, so the thread that starts an engine must outlive
    it.

    Args:
        parent: Process id of the parent, as the parent gave it.
        lifeline: Readable end of a pipe whose other end only the parent holds. It is read to its
            end by a thread; nothing else may read from it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was told to watch it
            os._exit(0)
    threading.Thread(target=_exit_at_end, args=(lifeline,), daemon=True).start()


def _exit_at_end(lifeline: BinaryIO) -> None:
    while lifeline.read(4096):
        pass
    os._exit(0)
