"""Work that nobody has to wait for."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from hgx.process.background import Background


def test_results_and_errors_come_out() -> None:
    """What the call returns or raises comes out where the result is asked for."""

    def fail() -> int:
        msg = "burnt"
        raise ValueError(msg)

    assert Background(lambda: 3).result() == 3
    with pytest.raises(ValueError, match="burnt"):
        Background(fail).result()


def test_it_tells_when_it_is_done() -> None:
    """Before the end it is not done, and at the end it says so."""
    go, told = threading.Event(), threading.Event()
    work = Background(lambda: go.wait(30), done=told.set)
    assert not work.done()
    assert not work.wait(0)
    go.set()
    assert told.wait(30)
    assert work.wait(30)
    assert work.done()
    assert work.result()


def test_a_gate_lets_through_so_many() -> None:
    """No more calls go on at the same time than the gate allows, and all of them get through."""
    gate, busy, most = threading.Semaphore(2), threading.Semaphore(2), list[bool]()

    def work() -> None:
        most.append(busy.acquire(blocking=False))
        busy.release()

    for one in [Background(work, gate) for _ in range(20)]:
        one.result()
    assert most == [True] * 20


def test_nobody_waits_for_it() -> None:
    """A process ends although such work still hangs."""
    code = (
        "import threading\nfrom hgx.process.background import Background\n"
        "Background(threading.Event().wait)\nprint('end')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("end\n", "")
