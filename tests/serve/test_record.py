"""What served requests took, written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from hgx.core.options import PlanOptions
from hgx.errors import StorageError
from hgx.planner.solve import solve
from hgx.serve.launch import Launch
from hgx.serve.record import Recorder, answered_of
from hgx.store.home import Home
from hgx.store.ledger import Ledger
from tests.planner.made import device, registry, workload

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.core.served import ServedRequest
    from hgx.serve.overseer import Running

TIMINGS = {
    "cache_n": 7.0,
    "prompt_n": 5.0,
    "prompt_ms": 84.0,
    "predicted_n": 11.0,
    "predicted_ms": 500.0,
}


@pytest.fixture
def launch() -> Launch:
    """A small model on one device; nothing is started."""
    known, model, asked = registry(device("a/cpu:0")), workload(), PlanOptions(coordinator="a")
    engine = cast("Running", None)
    return Launch(engine, "m", model, solve(known, model, asked), asked, known, ())


def test_an_answer(tmp_path: Path, launch: Launch) -> None:
    """Its figures are in the ledger once the recorder has ended, beside what was predicted."""
    ledger = Ledger(Home(tmp_path))
    with Recorder(ledger, launch, print) as recorder:
        recorder.add(TIMINGS)
        recorder.add({"nothing": 1.0})
    (served,) = ledger.requests()
    assert (served.prompt_tokens, served.cached_tokens, served.output_tokens) == (12, 7, 11)
    assert served.measured.ttft_s == pytest.approx(0.084)
    assert served.measured.tpot_s == pytest.approx(0.05)
    assert served.promised.tpot_s > 0


def test_no_place(tmp_path: Path, launch: Launch) -> None:
    """A ledger that cannot be written is told once, and answers go on."""

    class Full(Ledger):
        def add(self, request: ServedRequest) -> None:
            raise StorageError(f"no place for {request.output_tokens}")

    told: list[str] = []
    with Recorder(Full(Home(tmp_path)), launch, told.append) as recorder:
        recorder.add(TIMINGS)
        recorder.add(TIMINGS)
    assert told == ["served requests are not written down any more: no place for 11"]


def test_too_little_is_said() -> None:
    """Figures without a prompt's time are none; an answer of one token has no time per token."""
    assert answered_of({"predicted_n": 3.0}) is None
    answered = answered_of({"prompt_n": 2.0, "prompt_ms": 5.0, "predicted_n": 1.0})
    assert answered is not None
    assert answered.measured.tpot_s is None
