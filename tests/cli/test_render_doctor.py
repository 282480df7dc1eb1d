"""What a doctor's checks look like."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hgx.cli.render.doctor import show_checks
from hgx.flows.doctor_check import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKS = (
    Check("place", "disk", "ok", "4 GiB free"),
    Check("place", "registry", "note", "there is none yet", "run `hgx discover`"),
    Check("engines", "llama.cpp", "warning", "no \x1b[31mrpc server", "install it"),
    Check("peers", "tow\ner", "fault", "it is another one", "pair it again"),
    Check("peers", "phone", "fault", "it hangs"),
)


def shown(
    capsys: pytest.CaptureFixture[str], checks: Sequence[Check], *, quiet: bool = False
) -> list[str]:
    """Return the lines that are printed."""
    show_checks(checks, as_json=False, quiet=quiet)
    return capsys.readouterr().out.splitlines()


def test_by_area(capsys: pytest.CaptureFixture[str]) -> None:
    """Each area is a heading, each check a line with a mark in words, and the remedy is below."""
    assert shown(capsys, CHECKS) == [
        "place",
        "  ok       disk       4 GiB free",
        "  note     registry   there is none yet",
        "                      -> run `hgx discover`",
        "engines",
        r"  WARNING  llama.cpp  no \x1b[31mrpc server",
        "                      -> install it",
        "peers",
        r"  FAULT    tow\ner    it is another one",
        "                      -> pair it again",
        "  FAULT    phone      it hangs",
        r"2 faults and 1 warning. First see to peers, tow\ner: pair it again",
    ]


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet there are only warnings and faults; where there are none, nothing."""
    assert [line.split()[0] for line in shown(capsys, CHECKS, quiet=True)] == [
        *("engines", "WARNING", "->", "peers", "FAULT", "->", "FAULT")
    ]
    assert shown(capsys, CHECKS[:2], quiet=True) == []


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        (CHECKS[:2], "Nothing is wrong."),
        (CHECKS[:3], "1 warning. First see to engines, llama.cpp: install it"),
        (CHECKS[4:], "1 fault. First see to peers, phone"),
    ],
)
def test_the_verdict(
    capsys: pytest.CaptureFixture[str], checks: Sequence[Check], verdict: str
) -> None:
    """The last line counts what is wrong and says what to do first."""
    assert shown(capsys, checks)[-1] == verdict


@pytest.mark.parametrize("quiet", [False, True])
def test_json(capsys: pytest.CaptureFixture[str], *, quiet: bool) -> None:
    """With --json it is one object of all checks."""
    show_checks(CHECKS, as_json=True, quiet=quiet)
    found = json.loads(capsys.readouterr().out)
    assert found["worst"] == "fault"
    assert found["first"]["what"] == "tow\ner"
    assert [Check(**check) for check in found["checks"]] == [*CHECKS]
    show_checks(CHECKS[:1], as_json=True, quiet=quiet)
    assert json.loads(capsys.readouterr().out)["first"] is None
