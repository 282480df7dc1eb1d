"""A program run to its end, within limits."""

from __future__ import annotations

import sys
import tempfile
import time

import psutil
import pytest

from hgx.errors import Unavailable
from hgx.process.brief import Run, run_briefly


def run(code: str) -> Run:
    """Run some Python to its end."""
    command = [sys.executable, "-u", "-c", code]
    return run_briefly(command, timeout_s=60, most_bytes=1000, env={"WORD": "words"})


def test_what_it_says_and_how_it_ends() -> None:
    """Its output and its status come back, with what it was given in its environment."""
    code = "import os, sys; print(os.environ['WORD'], file=sys.stderr); print('\\xff'); sys.exit(3)"
    assert run(code) == Run(3, "words\n\xff\n")


def test_one_that_hangs() -> None:
    """One that does not end in time is killed with its children, and what it said comes back."""
    status, text = run_briefly(["sh", "-c", "sleep 600 & echo $!; wait"], timeout_s=1)
    assert status is None
    child = int(text)
    for _ in range(600):
        if not psutil.pid_exists(child):
            break
        time.sleep(0.05)
    assert not psutil.pid_exists(child)


def test_one_that_says_too_much() -> None:
    """One whose output has no end is killed, and the beginning of it comes back."""
    assert run("while True: print('news', end='')") == Run(None, "news" * 250)


def test_one_that_cannot_be_started() -> None:
    """A program that is not there is an error."""
    with pytest.raises(Unavailable, match="/nowhere/tool cannot be started"):
        run_briefly(["/nowhere/tool"], timeout_s=1)


def test_no_place_for_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder for temporary files it says so."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    with pytest.raises(Unavailable, match=r"needs a place for temporary files .*: set TMPDIR"):
        run("pass")
