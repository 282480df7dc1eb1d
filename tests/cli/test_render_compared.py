"""Plans side by side, where real plans seldom have what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.cli.render.compared import print_changes, print_what_if
from hgx.cli.render.console import stdout
from hgx.core.compared import Move, PlanChanges, WhatIfPlan
from hgx.flows.compared import summarise
from tests.engine.plans import plan_of

if TYPE_CHECKING:
    from hgx.core.compared import Summary

PLAN = plan_of(("cpu:0", 2), ("cuda:0", 3))


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the tester's own terminal says."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed, without empty lines."""
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line]


def changes(before: Summary, after: Summary, *moves: Move, notes: tuple[str, ...] = ()) -> None:
    """Print what is different."""
    found = PlanChanges(before=before, after=after, moves=moves, ratio=None, notes=notes)
    print_changes(found, PLAN, stdout())


def test_moves(capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks and the output head are called by their names, whatever hides in those of devices."""
    one = summarise(PLAN)
    changes(
        one,
        one,
        Move(first_layer=0, last_layer=0, source="a", target="b"),
        Move(first_layer=1, last_layer=3, source="a", target=None),
        Move(first_layer=4, last_layer=5, source=None, target="b\N{RIGHT-TO-LEFT OVERRIDE}"),
        Move(first_layer=5, last_layer=5, source="a", target="b"),
        notes=("other\x1b[31m",),
    )
    assert lines(capsys)[-5:] == [
        "moved: block 0 from a to b",
        "moved: blocks 1-3 from a to nowhere",
        r"moved: block 4 and the output head from nowhere to b\u202e",
        "moved: the output head from a to b",
        r"- other\x1b[31m",
    ]


def test_rows_that_are_there_where_they_differ(capsys: pytest.CaptureFixture[str]) -> None:
    """Coordinators and contexts are told where they differ; what is not proven is said to be so."""
    before = summarise(PLAN).model_copy(update={"status": "feasible"})
    run = before.stages["n/cpu:0"].model_copy(update={"experts_away": 2, "memory_bytes": 2**30})
    after = before.model_copy(
        update={"gap": 0.05, "coordinator": "n", "ctx": 512, "stages": {"n/cpu:0": run}}
    )
    changes(before, after)
    shown = lines(capsys)
    assert shown[4:9] == [
        "proof not proven at most 5.0% off",
        "coordinator - n",
        "context - 512",
        "n/cpu:0 0-1, 0 B 0-1, experts of 2 away, 1 GiB",
        "n/cuda:0 2-4 + head, 0 B -",
    ]
    assert "no block moved" not in shown


def test_neither_fits(capsys: pytest.CaptureFixture[str]) -> None:
    """A plan without a prediction does not fit, on either side."""
    nothing = summarise(PLAN).model_copy(
        update={"predicted": None, "status": "infeasible", "stages": {}}
    )
    fields = {**dict(PLAN), "changes": ("-n",), "baseline": nothing, "ratio": None}
    print_what_if(WhatIfPlan.model_validate(fields), nothing, stdout())
    assert lines(capsys) == [
        "what if -n",
        "PRESENT CHANGED RATIO",
        "speed does not fit does not fit",
        "first token after - -",
        "per token - -",
        "proof infeasible infeasible",
    ]
