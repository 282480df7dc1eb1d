"""A process of hgx's own: its lines, its end, and the end of its parent."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from hgx.errors import Unavailable
from hgx.process.child import TooLate, lines_of, python_module


def python(code: str) -> tuple[str, ...]:
    """Return the command that runs some Python where hgx can be imported."""
    return (sys.executable, "-c", code)


def lines(code: str, silence_s: float = 20) -> list[str]:
    """Run some Python and take all of its lines."""
    with lines_of(python(code), what="it", silence_s=silence_s, remedy="mend it") as found:
        return list(found)


def ended(pid: int) -> bool:
    """Tell whether a process is gone, or waits only for somebody to take note of its end."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


CHILD = """
from hgx.process.child import answers_to_parent
answers = answers_to_parent()
print("a library talks")
answers.write("answer\\n")
"""


def test_libraries_cannot_talk_into_the_answers() -> None:
    """What a library prints does not come between the answers."""
    assert lines(CHILD) == ["answer\n"]


def test_half_a_line_is_not_an_answer() -> None:
    """A line that was cut off by the end of the process is left out."""
    assert lines("print('one'); print('tw', end='')") == ["one\n"]


def test_a_child_is_gone_when_its_reader_leaves() -> None:
    """A process that would go on is ended when the context ends."""
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with lines_of(python(code), what="it", silence_s=20, remedy="mend it") as found:
        pid = int(next(found))
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_every_line_is_a_sign_of_life() -> None:
    """Only silence counts as hanging: lines that keep coming are all taken."""
    code = "import time\nfor n in range(6): print(n, flush=True); time.sleep(0.5)"
    assert lines(code, silence_s=2.5) == [f"{n}\n" for n in range(6)]


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        "while True: print('news', flush=True)",
    ],
)
def test_a_deadline(code: str) -> None:
    """At the deadline it is not waited for any longer, whether there are lines or silence."""
    with (
        pytest.raises(TooLate, match=r"it took longer than 0\.5 s: mend it"),
        lines_of(python(code), what="it", silence_s=50, remedy="mend it", deadline_s=0.5) as found,
    ):
        for _ in found:
            pass


def test_a_deadline_after_the_last_line() -> None:
    """One that closed its output is waited for until its deadline, not for a whole silence."""
    code = "import os, time; os.close(1); time.sleep(60)"
    with (
        pytest.raises(Unavailable, match=r"it (did not end|took longer than 1 s): mend it"),
        lines_of(python(code), what="it", silence_s=50, remedy="mend it", deadline_s=1) as found,
    ):
        next(found)


def test_a_deadline_counts_from_the_start() -> None:
    """What was spent before the first line is asked for counts, by the clock that is given."""
    times = iter([100.0, 103.0])
    with (
        pytest.raises(TooLate, match="it took longer than 3 s"),
        lines_of(
            python("print('one')"),
            what="it",
            silence_s=20,
            remedy="mend it",
            deadline_s=3.0,
            clock=lambda: next(times),
        ) as found,
    ):
        next(found)


def test_silence_before_the_deadline() -> None:
    """Before its deadline it may still hang, and is said to."""
    with (
        pytest.raises(Unavailable, match=r"it did not answer in 0\.5 s"),
        lines_of(
            python("import time; time.sleep(60)"),
            what="it",
            silence_s=0.5,
            remedy="mend it",
            deadline_s=90,
        ) as found,
    ):
        next(found)


def test_a_child_that_closes_its_output_but_does_not_end() -> None:
    """It counts as failed, and is killed."""
    with pytest.raises(Unavailable, match="it did not end: mend it"):
        lines("import os, time; os.close(1); time.sleep(60)", silence_s=0.5)


def test_a_child_ends_with_its_parent() -> None:
    """When the process that started a child is killed, the child ends too."""
    child = f"{CHILD}\nimport os, time\nprint(os.getpid(), file=answers)\ntime.sleep(600)"
    parent = (
        "import sys\nfrom hgx.process.child import lines_of\n"
        f"command = (sys.executable, '-c', {child!r})\n"
        "with lines_of(command, what='it', silence_s=20, remedy='') as found:\n"
        "    for line in found: print(line, end='', flush=True)\n"
    )
    with subprocess.Popen(python(parent), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "answer\n"
        pid = int(process.stdout.readline())
        process.kill()
    for _ in range(600):
        if ended(pid):
            break
        time.sleep(0.05)
    assert ended(pid)


def test_modules_are_run_by_this_interpreter() -> None:
    """A module of hgx is run by the Python that runs hgx."""
    assert python_module("hgx.x", "1") == (sys.executable, "-m", "hgx.x", "1")
