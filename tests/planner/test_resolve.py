"""Changed problems beside a solved one."""

from __future__ import annotations

import pytest

from hgx.errors import Infeasible
from hgx.planner.anatomy import Answer
from hgx.planner.problem import Question
from hgx.planner.resolve import LEAST_S, MOST_S, allow, evaluated, solve_within
from hgx.planner.solve import solve
from tests.planner.made import MB, case, device, objective_of, placement_of


def test_time_is_shared() -> None:
    """Few problems have a second each, many have less, and all together no more than there is."""
    now = 0.0
    few = allow(10.0, 2, lambda: now)
    assert few.each_s == MOST_S
    assert allow(3.0, 6, lambda: now).each_s == pytest.approx(0.5)
    assert allow(3.0, 1000, lambda: now).each_s == LEAST_S
    assert allow(3.0, 0, lambda: now).each_s == MOST_S
    assert not few.expired()
    now = 10.0
    assert few.expired()


def test_an_answer_has_the_plans_numbers() -> None:
    """Placement, promise, objective and proof are those of the plan itself."""
    question = case(device("a/cuda:0", 135 * MB, 1e12), device("b/cuda:0"))
    plan = solve(*question)
    solved = solve_within(Question(*question), None, 60.0)
    assert solved is not None
    assert solved.placement == placement_of(plan)
    assert solved.predicted == plan.predicted
    assert solved.objective == pytest.approx(objective_of(plan))
    assert solved.proven


def test_what_fits_nowhere_has_no_answer() -> None:
    """That it is proven to be impossible is not an error here."""
    assert solve_within(Question(*case(device("a/cuda:0", 10 * MB))), None, 60.0) is None


def test_an_answer_to_another_question_is_checked() -> None:
    """A placement that does not fit there says so; one that does has its own numbers."""
    question = case(device("a/cuda:0", 135 * MB, 1e12), device("b/cuda:0"))
    kept = evaluated(Question(*question), Answer("a", (("b/cuda:0", 0, 3),)))
    assert kept is not None
    assert kept.objective > objective_of(solve(*question))
    with pytest.raises(Infeasible, match="a/cuda:0 needs"):
        evaluated(Question(*question), Answer("a", (("a/cuda:0", 0, 3),)))
