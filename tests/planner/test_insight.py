"""All that is said of a plan, together."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings

from hgx.core.explanation import Explanation
from hgx.planner.anatomy import answer_of, dissect, price_answer
from hgx.planner.evaluate import evaluate
from hgx.planner.insight import binding, explain_plan
from hgx.planner.problem import Question
from hgx.planner.solve import solve
from tests.planner.made import MB, Case, case, cases, device, objective_of, options


@settings(max_examples=60, deadline=None)
@given(question=cases(devices=4))
def test_shares_add_up_to_the_objective(question: Case) -> None:
    """Whatever is minimised, what is said to bind makes up all of it."""
    plan = solve(*question)
    answer = answer_of(plan)
    assume(answer is not None)
    assert answer is not None
    priced = price_answer(Question(*question), answer)
    if question.options.objective != "balanced":
        assert priced.objective == pytest.approx(objective_of(plan))
    shares = [one.share for one in binding(priced, dissect(priced)) if one.share is not None]
    assert sum(shares) == pytest.approx(1.0)


def test_full_memories_bind_too() -> None:
    """A device without room for one more block is named with what is left; the others are not."""
    question = case(device("a/cuda:0", 135 * MB, 1e12), device("b/cuda:0"))
    told = explain_plan(Question(*question), solve(*question))
    assert told is not None
    full = [one for one in told.binds if one.kind == "memory"]
    assert [one.subject for one in full] == ["a/cuda:0"]
    assert told.binds[-1] is full[0]
    assert full[0].share is None
    assert 0 <= (full[0].left_bytes or 0) < 50 * MB
    shares = [one.share for one in told.binds if one.share is not None]
    assert shares == sorted(shares, reverse=True)


def test_everything_is_there() -> None:
    """Stages, links, gains, idle devices, other splits and evidence; all of it is JSON."""
    question = case(
        device("a/cuda:0", 135 * MB, 1e12), device("b/cuda:0"), device("c/cuda:0", bandwidth=1e9)
    )
    told = explain_plan(Question(*question), solve(*question))
    assert told is not None
    assert {one.device for one in told.stages} == {"a/cuda:0", "b/cuda:0"}
    assert [one.node for one in told.links] == ["b"]
    assert ("memory", "a/cuda:0") in [(one.kind, one.subject) for one in told.marginals]
    assert [(one.device, one.reason) for one in told.left_out] == [("c/cuda:0", "slower")]
    assert len(told.splits) == 3
    assert {one.subject for one in told.known} == {"a", "a/cuda:0", "b", "b/cuda:0"}
    assert told.unasked == 0
    assert Explanation.model_validate_json(told.model_dump_json()) == told


def test_a_pinned_plan_is_explained_as_it_is() -> None:
    """Its own placement is what gains are of; the planner's is among the splits."""
    question = case(device("a/cuda:0"), device("b/cuda:0"))
    plan = evaluate(question.registry, question.workload, [("b/cuda:0", 0, 3)], question.options)
    told = explain_plan(Question(*question), plan)
    assert told is not None
    assert told.splits[-1].rule == "best"
    assert all(one.kind != "memory" for one in told.marginals)
    (idle,) = told.left_out
    assert idle.longer is not None
    assert idle.longer < 0


def test_it_ends_in_time() -> None:
    """When the clock runs out, what was not asked is said to be open."""
    question = case(device("a/cuda:0", 135 * MB, 1e12), device("b/cuda:0"), device("c/cuda:0"))
    plan = solve(*question)
    ticks = iter(range(0, 10**9, 100))
    told = explain_plan(Question(*question), plan, clock=lambda: float(next(ticks)))
    assert told is not None
    assert told.marginals == ()
    assert told.unasked > 0
    assert {one.reason for one in told.left_out} == {"open"}


def test_nothing_to_explain() -> None:
    """A plan that says "impossible" says why by itself."""
    question = case(device("a/cuda:0", 10 * MB), asked=options())
    assert explain_plan(Question(*question), solve(*question)) is None
