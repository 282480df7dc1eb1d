"""What more of something would bring."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings

from hgx.planner.anatomy import answer_of, dissect, price_answer
from hgx.planner.changes import promising
from hgx.planner.evaluate import evaluate
from hgx.planner.insight import binding
from hgx.planner.marginal import marginals
from hgx.planner.problem import Question
from hgx.planner.resolve import Allowance
from hgx.planner.solve import solve
from tests.planner.made import MB, Case, case, cases, device, objective_of, optimum

AMPLE = Allowance(60.0, lambda: False)
"""There is time."""


@settings(max_examples=25, deadline=None)
@given(question=cases(coordinators=("a",)))
def test_gains_are_those_of_separately_solved_problems(question: Case) -> None:
    """Each gain is the quotient of the optimum and of the changed problem's."""
    plan = solve(*question)
    answer = answer_of(plan)
    assume(answer is not None)
    assert answer is not None
    assume(question.options.objective != "balanced")  # objective_of cannot tell it
    priced = price_answer(Question(*question), answer)
    binds = list(binding(priced, dissect(priced)))
    proposed = list(promising(priced, binds, search=True))
    found, unasked = marginals(priced, proposed, None, AMPLE, search=True)
    assert unasked == 0
    assert len(found) == len(proposed)
    assert [one.gain for one in found] == sorted((one.gain for one in found), reverse=True)
    before = objective_of(plan)
    for one in found:
        change = next(
            each for each in proposed if (each.kind, each.subject) == (one.kind, one.subject)
        )
        after = optimum(question._replace(registry=change.registry))
        assert one.proven
        assert one.gain == pytest.approx(before / after - 1, abs=1e-7)


def test_more_memory_on_the_fast_device_gains() -> None:
    """A card that lacks room for the rest of the model gains by as much as the rest was slow."""
    question = case(device("a/cuda:0", 200 * MB, 1e12), device("b/cuda:0", bandwidth=1e10))
    answer = answer_of(solve(*question))
    assert answer is not None
    priced = price_answer(Question(*question), answer)
    found, _ = marginals(priced, promising(priced, (), search=True), None, AMPLE, search=True)
    best = found[0]
    assert (best.kind, best.subject, best.extra_bytes) == ("memory", "a/cuda:0", 2**26)
    assert best.gain > 1


def test_a_pinned_placement_stays() -> None:
    """Without a search, twice the bandwidth is the same blocks read twice as fast."""
    question = case(device("a/cuda:0", bandwidth=1e12), device("b/cuda:0", bandwidth=1e10))
    plan = evaluate(question.registry, question.workload, [("b/cuda:0", 0, 3)], question.options)
    answer = answer_of(plan)
    assert answer is not None
    priced = price_answer(Question(*question), answer)
    binds = list(binding(priced, dissect(priced)))
    found, _ = marginals(priced, promising(priced, binds, search=False), None, AMPLE, search=False)
    best = next(one for one in found if one.kind == "bandwidth")
    changed = next(
        one.registry for one in promising(priced, binds, search=False) if one.kind == "bandwidth"
    )
    kept = evaluate(changed, question.workload, [("b/cuda:0", 0, 3)], question.options)
    assert best.predicted == kept.predicted
    assert best.gain == pytest.approx(objective_of(plan) / objective_of(kept) - 1)


def test_without_time_nothing_is_solved() -> None:
    """What was not asked is counted."""
    question = case(device("a/cuda:0", 200 * MB, 1e12), device("b/cuda:0", 200 * MB))
    answer = answer_of(solve(*question))
    assert answer is not None
    priced = price_answer(Question(*question), answer)
    found, unasked = marginals(
        priced, promising(priced, (), search=True), None, Allowance(60.0, lambda: True), search=True
    )
    assert (found, unasked) == ([], 2)


def test_the_old_placement_counts_where_a_search_finds_nothing_in_time() -> None:
    """A gain is that of the placement as it was, at least, and is not called proven."""
    question = case(device("a/cuda:0", 200 * MB, 1e10), device("b/cuda:0", 200 * MB))
    answer = answer_of(solve(*question))
    assert answer is not None
    hurried = question._replace(options=question.options.model_copy(update={"timeout_s": 1e-9}))
    priced = price_answer(Question(*hurried), answer)
    binds = list(binding(priced, dissect(priced)))
    found, unasked = marginals(
        priced, promising(priced, binds, search=True), None, AMPLE, search=True
    )
    assert unasked == 0
    assert all(one.gain >= 0 for one in found)
    assert max(one.gain for one in found) > 0.1
