"""Why devices have no blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings

from hgx.errors import OutOfTime
from hgx.planner.anatomy import answer_of, price_answer
from hgx.planner.idle import left_out
from hgx.planner.problem import Question
from hgx.planner.resolve import Allowance
from hgx.planner.solve import solve
from tests.planner.made import (
    MB,
    Case,
    case,
    cases,
    device,
    objective_of,
    options,
    registry,
    workload,
)

if TYPE_CHECKING:
    from hgx.core.explanation import LeftOut


def idle(question: Case, *, hurry: bool = False) -> dict[str, LeftOut]:
    """Devices without blocks in the best plan, by id."""
    answer = answer_of(solve(*question))
    assert answer is not None
    priced = price_answer(Question(*question), answer)
    return {one.device: one for one in left_out(priced, None, Allowance(60.0, lambda: hurry))}


@settings(max_examples=25, deadline=None)
@given(question=cases(coordinators=("a",)))
def test_how_much_longer_is_solved_with_the_device_required(question: Case) -> None:
    """With each device without blocks required, the optimum is as much worse as is said."""
    plan = solve(*question)
    assume(plan.stages)
    assume(question.options.objective != "balanced")  # objective_of cannot tell it
    used = {stage.device for stage in plan.stages}
    found = idle(question)
    assert found.keys() == {one.id for one in question.registry.devices} - used
    for name, one in found.items():
        wanted = question.options.model_copy(update={"require": (name,)})
        other = solve(*question._replace(options=wanted))
        if other.status == "infeasible":
            assert (one.reason, one.longer, one.proven) == ("impossible", None, True)
        else:
            assert (one.reason, one.proven) == ("slower", True)
            ratio = objective_of(other) / objective_of(plan)
            assert one.longer == pytest.approx(ratio - 1, abs=1e-7)
            assert one.longer is not None
            assert one.longer > -1e-7


def test_every_reason() -> None:
    """What you left out, what is out of reach, what is too small, and what is slower."""
    known = registry(
        device("a/cuda:0"),
        device("a/cuda:1"),
        device("a/cuda:2", 1 * MB),
        device("a/cuda:3", bandwidth=1e9),
        device("b/cuda:0"),
        nodes=("a", "b"),
        links=[],
    )
    asked = options().model_copy(update={"exclude": ("a/cuda:1",)})
    question = Case(known, workload(), asked)
    assert {name: one.reason for name, one in idle(question).items()} == {
        "a/cuda:1": "refused",
        "a/cuda:2": "impossible",
        "a/cuda:3": "slower",
        "b/cuda:0": "unreachable",
    }


def test_without_time_it_stays_open() -> None:
    """Nothing is claimed that was not found out."""
    question = case(device("a/cuda:0"), device("b/cuda:0", bandwidth=1e9))
    (one,) = idle(question, hurry=True).values()
    assert (one.reason, one.longer) == ("open", None)


def test_a_search_that_found_nothing_in_time_leaves_it_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So does the search's own time limit; no clock makes that happen reliably."""

    def late(*_: object) -> None:
        raise OutOfTime("no placement was found")

    monkeypatch.setattr("hgx.planner.idle.solve_within", late)
    (one,) = idle(case(device("a/cuda:0"), device("b/cuda:0", bandwidth=1e9))).values()
    assert (one.reason, one.longer, one.proven) == ("open", None, False)
