"""Checks made at the same time, none of which stops another."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from hgx.errors import EngineError, HgxError, PeerError, StorageError, Unavailable
from hgx.flows.doctor_check import Check, Part, failed, run_parts, split

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = Check("place", "disk", "ok", "there is some")


def part(call: Callable[[], list[Check]], limit_s: float = 30) -> Part:
    """Return a part about memory."""
    return Part("place", "memory", call, limit_s)


def test_all_at_once_and_in_order() -> None:
    """Parts wait for each other here, so they run at the same time; their order stays."""
    together = threading.Barrier(3, timeout=30)

    def check(number: int) -> list[Check]:
        together.wait()
        return [GOOD._replace(found=f"{number}")] * number

    calls = [part(lambda number=number: check(number)) for number in (1, 2, 3)]
    assert [check.found for check in run_parts(calls)] == ["1", "2", "2", "3", "3", "3"]


@pytest.mark.parametrize(
    ("error", "found", "remedy"),
    [
        (Unavailable("it is gone", "get another"), "it is gone", "get another"),
        (StorageError("a/b: is full: free it"), "a/b: is full", "free it"),
        (StorageError("it is full"), "it is full", None),
        (
            PermissionError(13, "Permission denied", "/home/x"),
            "it cannot be looked at: permission denied (/home/x)",
            "check the permissions there",
        ),
        (OSError("odd"), "it cannot be looked at: odd", "check the permissions there"),
        (
            ZeroDivisionError("by zero"),
            "this check itself failed (ZeroDivisionError: by zero)",
            "report it, with this sentence",
        ),
    ],
)
def test_a_part_that_crashes(error: Exception, found: str, remedy: str | None) -> None:
    """It becomes a fault, with what its error says, and the others are made."""

    def crash() -> list[Check]:
        raise error

    crashed, good = run_parts([part(crash), part(lambda: [GOOD])])
    assert crashed == Check("place", "memory", "fault", found, remedy)
    assert good is GOOD


def test_a_part_that_hangs() -> None:
    """It becomes a fault when its time is over, and the others are made."""
    go = threading.Event()

    def hang() -> list[Check]:
        go.wait(60)
        return [GOOD]

    hung, good = run_parts([part(hang, 0.05), part(lambda: [GOOD])])
    go.set()
    assert hung.state == "fault"
    assert "did not end within 0.05 s" in hung.found
    assert hung.remedy
    assert good is GOOD


@pytest.mark.parametrize(
    ("error", "remedy", "expected"),
    [
        (PeerError("it refuses", "refused", "start it"), None, ("it refuses", "start it")),
        (PeerError("it refuses", "refused", "start it"), "look", ("it refuses", "look")),
        (EngineError("it said 'bad: worse'"), "look", ("it said 'bad: worse'", "look")),
    ],
)
def test_errors(error: HgxError, remedy: str | None, expected: tuple[str, str]) -> None:
    """An error tells what was found and what to do, unless another remedy is given."""
    check = failed("peers", "tower", error, state="warning", remedy=remedy)
    assert check == Check("peers", "tower", "warning", *expected)


def test_sentences() -> None:
    """What stands after the last colon is the remedy."""
    assert split("a: b: do c") == ("a: b", "do c")
    assert split("a") == ("a", None)
