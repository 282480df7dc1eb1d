"""Children that measure well, badly, or not at all, as their parent sees them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from hgx.bench import parent
from hgx.bench.events import Failed, Partial, Progress, Refused, Result, Started, Written
from hgx.bench.parent import PATIENCE, Patience, Target, device_events
from tests.bench.doubles import benchmark

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


@pytest.mark.parametrize("then", ["time.sleep(60)", "while True: print(sys.argv[1], flush=True)"])
def test_the_limit(then: str) -> None:
    """A child is ended at the limit, counted from its start, whether it has news or is silent."""
    started = STARTED.model_dump_json()
    program = f"import sys, time; print({started!r}, flush=True)\n{then}"
    command = (sys.executable, "-c", program, GOING_ON.model_dump_json())
    events = device_events(TARGET, "quick", command=command, patience=Patience(60, 2))
    *_, last = events
    assert isinstance(last, Failed)
    assert last.reason == "it took longer than 2 s: run it without --quick"


def test_the_limit_without_quick() -> None:
    """One that is late although it had all the time has another remedy."""
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    (last,) = device_events(TARGET, "normal", command=command, patience=Patience(60, 1))
    assert isinstance(last, Failed)
    assert last.reason.startswith("measuring box/toast:1 took longer than 1 s: check the driver")


def test_what_was_known_of_a_crash() -> None:
    """When a child crashes between rounds, what the rounds before gave is told, each once."""

    def known(name: str, *, refused: bool = False) -> Partial:
        return Partial(subject=TARGET.subject, benchmark=benchmark(name), refused=refused)

    done = Result(subject=TARGET.subject, benchmark=benchmark("read"))
    gone = Refused(subject=TARGET.subject, benchmark=benchmark("device_to_host"))
    failed = Failed(subject=TARGET.subject, name="matmul_float64", reason="wrong")
    events = [
        *(known("read"), known("matmul_float32"), known("matmul_float32"), known("matmul_float64")),
        *(known("host_to_device", refused=True), known("device_to_host")),
        *(done, gone, failed, STARTED),
    ]
    *rest, last = told(*(event.model_dump_json() for event in events), then="os.abort()")
    assert rest == [
        *(done, gone, failed, STARTED),
        Result(subject=TARGET.subject, benchmark=benchmark("matmul_float32")),
        Refused(subject=TARGET.subject, benchmark=benchmark("host_to_device")),
    ]
    assert isinstance(last, Failed)


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
