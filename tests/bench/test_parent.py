"""Children that measure well, badly, or not at all, as their parent sees them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from hgx.bench import parent
from hgx.bench.events import Failed, Progress, Started, Written
from hgx.bench.parent import PATIENCE, Patience, Target, device_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.bench.events import Event

TARGET = Target("box/toast:1", "toast", 1, uuid="T-1", power="battery")
STARTED = Started(subject="box/toast:1", names=("read",))
GOING_ON = Progress(subject="box/toast:1", name="read", done=0.5)


def told(*lines: str, then: str = "", silence_s: float = 20, limit_s: float = 99) -> list[Event]:
    """Let a child print lines and then do something; return what its parent tells."""
    program = "import sys, os, time\n" + "".join(f"print({line!r}, flush=True)\n" for line in lines)
    command = (sys.executable, "-c", program + then)
    return list(
        device_events(TARGET, "quick", command=command, patience=Patience(silence_s, limit_s))
    )


def test_events_pass() -> None:
    """What a child tells is passed on in order."""
    lines = [event.model_dump_json() for event in (STARTED, GOING_ON)]
    assert told(*lines) == [STARTED, GOING_ON]


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("os.abort()", "crashed (SIGABRT)"),
        ("sys.exit('no kernel for this card')", "ended with status 1, saying 'no kernel"),
        ("time.sleep(60)", "did not answer in 1 s"),
        ("print('{}', flush=True)", "gave an unusable answer"),
        ("print('hello', flush=True)", "gave an unusable answer"),
    ],
)
def test_a_child_that_fails(then: str, words: str) -> None:
    """A crash, a hang or nonsense is the last event, with its reason; what came before stays."""
    first, last = told(STARTED.model_dump_json(), then=then, silence_s=1 if "sleep" in then else 20)
    assert first == STARTED
    assert isinstance(last, Failed)
    assert (last.subject, last.name) == (TARGET.subject, None)
    assert words in last.reason
    assert last.reason.startswith("measuring box/toast:1 ")


@pytest.mark.parametrize(
    "event", [Started(subject="box/other:0", names=()), Written(path="/etc/passwd")]
)
def test_a_child_speaks_for_itself(event: Event) -> None:
    """What a child says about anything but its device is not heeded."""
    (failed,) = told(event.model_dump_json())
    assert isinstance(failed, Failed)


def test_the_limit() -> None:
    """A child that has news for ever is ended at the limit."""
    first, last = told(STARTED.model_dump_json(), GOING_ON.model_dump_json(), limit_s=0)
    assert first == STARTED
    assert isinstance(last, Failed)
    assert last.reason == "it took longer than 0 s: run it without --quick"


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is told backend, number, id, identity, power source and effort."""
    commands: list[Sequence[str]] = []

    def module(name: str, *arguments: str) -> Sequence[str]:
        commands.append((name, *arguments))
        return (sys.executable, "-c", "")

    monkeypatch.setattr(parent, "python_module", module)
    assert list(device_events(TARGET, "normal", 3.0)) == []
    assert list(device_events(Target("box/cpu:0", "cpu", 0), "quick")) == []
    identity = "--uuid T-1 --power battery"
    assert [" ".join(command) for command in commands] == [
        f"hgx.bench.child toast 1 box/toast:1 --effort normal --sustained 3.0 {identity}",
        "hgx.bench.child cpu 0 box/cpu:0 --effort quick --sustained 0.0",
    ]


def test_quick_is_a_promise() -> None:
    """A quick benchmark is over in 10 s whatever happens, unless it hangs."""
    assert PATIENCE["quick"].limit_s < 10
    assert PATIENCE["quick"].silence_s < 10
