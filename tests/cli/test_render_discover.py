"""What is shown while ``hgx discover`` looks."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest

from hgx.cli.render.console import stderr
from hgx.cli.render.discover import Progress, Screen
from hgx.core.registry import Node, Registry
from hgx.flows.discover import Discovery
from hgx.flows.local import Local
from hgx.flows.peer_merge import FoundPeers

if TYPE_CHECKING:
    from pathlib import Path


class Window(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class Clock:
    """Time that stands still until it is set."""

    now_s = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.mark.parametrize(
    ("gone_s", "shown"),
    [
        (0.9, "Looking"),
        (2.5, "Waiting for cuda, nvml (at most 8 s more)"),
        (9.9, "Waiting for cuda, nvml (at most 1 s more)"),
        (11.0, "Waiting for cuda, nvml"),
    ],
)
def test_slow_backends_are_named(gone_s: float, shown: str) -> None:
    """After a second it says who is waited for and how long that may take; that counts down."""
    clock = Clock()
    progress = Progress(clock)
    progress.waiting(frozenset({"nvml", "cuda"}))
    clock.now_s += gone_s
    assert progress.__rich__().plain == shown


def test_what_comes_after_the_backends() -> None:
    """When all have answered it shows what is measured, and then that peers are waited for."""
    clock = Clock()
    progress = Progress(clock)
    clock.now_s += 5
    assert progress.__rich__().plain == "Looking"
    progress.waiting(frozenset({"c\x1buda"}))
    assert progress.__rich__().plain == r"Waiting for c\x1buda (at most 5 s more)"
    progress.waiting(frozenset())
    progress.measuring("box/cuda:0")
    assert progress.__rich__().plain == "Measuring box/cuda:0 for the first time"
    progress.seeking()
    assert progress.__rich__().plain == "Waiting for other machines"


@pytest.mark.parametrize(
    ("as_json", "quiet", "shown"),
    [(False, False, True), (True, False, False), (False, True, False)],
)
def test_only_people_are_shown_progress(
    monkeypatch: pytest.MonkeyPatch, *, as_json: bool, quiet: bool, shown: bool
) -> None:
    """On a terminal progress is shown, and not with --json nor with --quiet."""
    window = Window()
    monkeypatch.setattr(sys, "stderr", window)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert stderr().is_terminal
    with Screen(as_json=as_json, quiet=quiet, verbose=False).looking() as watcher:
        watcher.waiting(frozenset({"cuda"}))
        watcher.measuring("box/cuda:0")
        watcher.seeking()
    assert ("Waiting for other machines" in window.getvalue()) == shown


def test_announcements_that_were_not_heeded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many announcements were not heeded is one note, with the reasons."""
    local = Local(Node(id="box"), {}, {}, (), (), frozenset())
    peers = FoundPeers((), (), {"other version": 1, "bad name": 2})
    found = Discovery(Registry(), tmp_path / "registry.json", local, peers=peers)
    Screen(as_json=False, quiet=False, verbose=False).found(found)
    note = "note: 3 announcements were not heeded: bad name 2, other version 1"
    assert note in capsys.readouterr().err.splitlines()
