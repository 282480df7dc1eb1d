"""What is written down of a request, and what that teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.core.served import Measured, rates_key
from hgx.flows.served import Answered, learn, served_request
from hgx.planner.calibrate import Correction, Factor
from hgx.planner.evaluate import evaluate
from hgx.planner.problem import Question
from hgx.planner.solve import solve
from hgx.store.home import Home
from hgx.store.ledger import Ledger
from tests.planner.made import MB, case, device, placement_of, workload
from tests.planner.requests import NOON

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.core.plan import Plan
    from hgx.core.served import ServedRequest

TWO = case(device("a/cuda:0", 150 * MB), device("b/cuda:0", bandwidth=5e10))
LEARNT = {"a/cuda:0": Correction(Factor(2.0), Factor(3.0))}


def planned(question: Question) -> Plan:
    """The plan for a question, with its corrections."""
    return solve(*question[:3], corrections=question.corrections)


def answered(tpot_s: float = 0.01, *, prompt: int = 100, cached: int = 0) -> Answered:
    """A request with as many tokens as the plans of these tests expect."""
    return Answered(NOON, prompt, cached, 128, 1, Measured(ttft_s=0.5, tpot_s=tpot_s))


def served(question: Question, it: Answered | None = None) -> ServedRequest:
    """A request as it is written down."""
    return served_request(question, planned(question), it or answered())


def test_what_was_planned_is_what_is_predicted() -> None:
    """For a request like the one planned for, the plan's own promise is written down."""
    question = Question(*TWO)
    plan = planned(question)
    one = served(question)
    assert plan.predicted
    assert one.predicted == one.promised
    assert one.predicted.tpot_s == pytest.approx(plan.predicted.tpot_s)
    assert one.predicted.ttft_s == pytest.approx(plan.predicted.ttft_s)
    assert [(it.device, it.first_block, it.last_block) for it in one.stages] == [
        (it.device, it.first_block, it.last_block) for it in plan.stages
    ]
    rates = {it.id: rates_key(it) for it in TWO.registry.devices}
    assert {it.device: it.rates for it in one.stages} == rates
    assert (one.model, one.architecture, one.ctx) == ("a model", "llama", 256)
    assert one.measured == Measured(ttft_s=0.5, tpot_s=0.01)


def test_corrections_do_not_feed_on_themselves() -> None:
    """What is learnt from is the prediction without correction; what was promised had it."""
    plan = planned(Question(*TWO))
    plain, mended = (
        served_request(Question(*TWO, learnt), plan, answered()) for learnt in ({}, LEARNT)
    )
    assert (mended.predicted, mended.stages) == (plain.predicted, plain.stages)
    told = evaluate(
        TWO.registry, TWO.workload, placement_of(plan), TWO.options, corrections=LEARNT
    ).predicted
    assert told
    assert mended.promised.tpot_s == pytest.approx(told.tpot_s)
    assert mended.promised.ttft_s == pytest.approx(told.ttft_s)
    assert mended.promised.tpot_s > mended.predicted.tpot_s


def test_a_request_is_predicted_as_it_was() -> None:
    """A longer prompt takes longer, and what of it was cached does not."""
    question = Question(*TWO)
    long, cached = (served(question, answered(prompt=200, cached=it)) for it in (0, 150))
    assert long.predicted.ttft_s > served(question).predicted.ttft_s > cached.predicted.ttft_s
    assert (cached.prompt_tokens, cached.cached_tokens, cached.fresh_tokens) == (200, 150, 50)


def test_a_plan_that_serves_nothing_has_no_requests() -> None:
    """A request without stages cannot have been answered."""
    question = Question(*case(device("a/cuda:0", MB)))
    with pytest.raises(ValueError, match="serves nothing"):
        served(question)


def test_what_is_learnt_is_what_happened(tmp_path: Path) -> None:
    """Requests that are written down teach the factor by which they took longer."""
    question = Question(*case(device("a/cuda:0"), model=workload(head=60 * MB)))
    ledger = Ledger(Home(tmp_path))
    tpot_s = served(question).predicted.tpot_s
    for _ in range(4):
        ledger.add(served(question, answered(1.3 * tpot_s)))
    lessons = learn(question.registry, ledger)
    assert lessons.notes == ()
    factor = lessons.corrections["a/cuda:0"].decode
    assert factor.value == pytest.approx(1.3, rel=0.01)
    assert factor.requests == 4
    # As predicted now, more of the same teach the same.
    for _ in range(4):
        mended = question._replace(corrections=lessons.corrections)
        ledger.add(served(mended, answered(1.3 * tpot_s)))
    again = learn(question.registry, ledger).corrections["a/cuda:0"].decode
    assert again.value == pytest.approx(1.3, rel=0.01)


def test_nothing_is_learnt_without_a_ledger() -> None:
    """Who has no ledger plans as predicted."""
    assert learn(TWO.registry, None) == ({}, ())
